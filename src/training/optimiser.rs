//! How parameters follow their gradients.

use serde::{Deserialize, Serialize};

use crate::plan::{Hyperparameters, Rule};
use crate::{Error, Result};

/// How parameters follow their gradients. What PyTorch calls the learning rate comes with every step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Optimiser {
    /// PyTorch's `SGD`, without dampening.
    Sgd {
        /// What remains of the last step: 0 to below 1.
        momentum: f32,
        /// Whether the momentum is Nesterov's.
        nesterov: bool,
        /// Weight decay, as a part of the gradient.
        weight_decay: f32,
    },
    /// PyTorch's `AdamW`.
    AdamW {
        /// What remains of the means of gradients and of their squares.
        betas: [f32; 2],
        /// Added to the root of the mean square.
        eps: f32,
        /// Weight decay, apart from the gradient.
        weight_decay: f32,
    },
}

impl Default for Optimiser {
    fn default() -> Self {
        Optimiser::Sgd { momentum: 0.9, nesterov: true, weight_decay: 5e-4 }
    }
}

impl Optimiser {
    pub(super) fn rule(self) -> Rule {
        match self {
            Optimiser::Sgd { nesterov, .. } => Rule::Sgd { nesterov },
            Optimiser::AdamW { .. } => Rule::AdamW,
        }
    }

    pub(super) fn check(self) -> Result<()> {
        let within = |what: &str, value: f32, most: f32| match value >= 0.0 && value < most {
            true => Ok(()),
            false => Err(Error::Unsupported(format!("{what} {value} is not at least 0 and below {most}"))),
        };
        match self {
            Optimiser::Sgd { momentum, weight_decay, .. } => {
                within("momentum", momentum, 1.0)?;
                within("weight decay", weight_decay, f32::INFINITY)
            }
            Optimiser::AdamW { betas, eps, weight_decay } => {
                within("beta", betas[0], 1.0)?;
                within("beta", betas[1], 1.0)?;
                within("eps", eps, f32::INFINITY)?;
                within("weight decay", weight_decay, f32::INFINITY)
            }
        }
    }

    /// What the plan wants to know for step `step`, of which the first is 1.
    pub(super) fn hyperparameters(self, rate: f32, step: u64) -> Hyperparameters {
        match self {
            Optimiser::Sgd { momentum, weight_decay, .. } => {
                Hyperparameters { rate, momentum, decay: weight_decay, ..Hyperparameters::default() }
            }
            Optimiser::AdamW { betas: [first, second], eps, weight_decay } => {
                let gone = |beta: f32| 1.0 - f64::from(beta).powf(step as f64);
                Hyperparameters {
                    rate,
                    momentum: first,
                    decay: weight_decay,
                    second_momentum: second,
                    eps,
                    step: (f64::from(rate) / gone(first)) as f32,
                    unbias: (1.0 / gone(second).sqrt()) as f32,
                    ..Hyperparameters::default()
                }
            }
        }
    }
}
