//! What only training needs: parameters that change, batch norms that take the batch's own statistics, the loss, and the
//! way back through all of that.
//!
//! Its steps are apart from the others, so that a build without training has none of them: they are then a type without
//! values, and what executors have for them is never compiled.

#[cfg(training)]
pub(crate) use steps::AFFINE_PARTS;
#[cfg(training)]
pub use steps::{
    Blend, HYPERPARAMETERS, Load, LoadedPart, NormGradient, NormSums, Normalise, PoolGradient, Rule, TrainStep, Update,
};

use super::ValueId;

/// Index of a list in [`Plan::arenas`](super::Plan::arenas).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArenaId(pub(crate) usize);

/// A value that stays from run to run.
#[derive(Clone, Debug)]
pub struct State {
    /// Which.
    pub value: ValueId,
    /// What it is before the first run, NCHW.
    pub initial: Vec<f32>,
}

/// What this build does not have.
#[cfg(not(training))]
#[derive(Clone, Debug)]
pub enum TrainStep {}

#[cfg(not(training))]
impl TrainStep {
    pub(super) fn inputs(&self) -> Vec<ValueId> {
        match *self {}
    }

    pub(super) fn output(&self) -> Option<ValueId> {
        match *self {}
    }
}

#[cfg(training)]
mod steps {
    use super::super::{KernelId, Pool, ValueId};
    use super::ArenaId;
    use crate::network::Activation;

    /// What the two items of a batch norm's parameter are: `[2, C, 1, 1]`, in this order, which is that of the sums that
    /// its gradient consists of.
    pub(crate) const AFFINE_PARTS: [&str; 2] = ["bias", "weight"];

    /// Channels of the input that holds hyperparameters: see [`Rule`].
    pub const HYPERPARAMETERS: usize = 8;

    /// A step that only training has.
    #[derive(Clone, Debug)]
    pub enum TrainStep {
        /// Parameters become a kernel.
        Load(Load),
        /// Mean and biased variance of every channel over batch and pixels: `[2, C, 1, 1]`.
        BatchStatistics {
            /// Any map.
            input: ValueId,
            /// First the means, then the variances.
            output: ValueId,
        },
        /// A batch norm with the statistics of its batch.
        Normalise(Normalise),
        /// The gradient of what an activation was applied to.
        ActivationGradient {
            /// Which.
            activation: Activation,
            /// The activation's result where it only bounds ([`Activation::only_bounds`]), else its argument.
            of: ValueId,
            /// The gradient of the result.
            grad_output: ValueId,
            /// The gradient of the argument.
            output: ValueId,
        },
        /// What the gradient of a batch norm sums up.
        NormSums(NormSums),
        /// The gradient of what a batch norm has normalised.
        NormGradient(NormGradient),
        /// The gradient of what was pooled.
        PoolGradient(PoolGradient),
        /// For every item the cross-entropy `−Σ target · log softmax(logits)`, and 1 where the largest logit is that of the
        /// largest target, else 0; of several that are equally large the first counts.
        CrossEntropy {
            /// `[N, C, 1, 1]`.
            logits: ValueId,
            /// The same shape: probabilities.
            targets: ValueId,
            /// `[N, 2, 1, 1]`.
            output: ValueId,
        },
        /// The gradient of the mean cross-entropy: `(softmax(logits) · Σ target − target) / N`.
        CrossEntropyGradient {
            /// As above.
            logits: ValueId,
            /// As above.
            targets: ValueId,
            /// Like the logits.
            output: ValueId,
        },
        /// A state takes something up.
        Blend(Blend),
        /// The optimiser's step: all parameters at once.
        Update(Update),
    }

    /// Which part of a kernel is loaded.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum LoadedPart {
        /// The values, from `[out, in / groups, rows, columns]`.
        Kernel,
        /// W, from `[out, in / groups, S, 1]`.
        W,
        /// D, from its trainable part `[in, K, S, 1]`, to which the identity is added.
        D,
        /// The bias, from `[1, out, 1, 1]`.
        Bias,
    }

    /// Parameters become a kernel.
    #[derive(Clone, Debug)]
    pub struct Load {
        /// Which kernel.
        pub kernel: KernelId,
        /// Which part of it.
        pub part: LoadedPart,
        /// The parameters.
        pub input: ValueId,
    }

    /// `activation((input − mean) / √(variance + eps) · weight + bias + residual)` per channel.
    #[derive(Clone, Debug)]
    pub struct Normalise {
        /// Added to the variance.
        pub eps: f32,
        /// What is normalised.
        pub input: ValueId,
        /// Mean and variance, `[2, C, 1, 1]`.
        pub statistics: ValueId,
        /// Bias and weight, `[2, C, 1, 1]`.
        pub affine: ValueId,
        /// Added before the activation; the shape of the input.
        pub residual: Option<ValueId>,
        /// Applied last; one that only bounds.
        pub activation: Option<Activation>,
        /// The result.
        pub output: ValueId,
    }

    /// The gradients of bias and weight of a batch norm, `Σ grad_output` and `Σ grad_output · normalised`.
    #[derive(Clone, Debug)]
    pub struct NormSums {
        /// Added to the variance.
        pub eps: f32,
        /// What was normalised.
        pub input: ValueId,
        /// With what.
        pub statistics: ValueId,
        /// The gradient of the result, before residual and activation.
        pub grad_output: ValueId,
        /// `[2, C, 1, 1]`.
        pub output: ValueId,
    }

    /// `weight / √(variance + eps) · (grad_output − (sum₀ + normalised · sum₁) / count)`: through the statistics, too.
    #[derive(Clone, Debug)]
    pub struct NormGradient {
        /// Added to the variance.
        pub eps: f32,
        /// What was normalised.
        pub input: ValueId,
        /// With what.
        pub statistics: ValueId,
        /// Bias and weight.
        pub affine: ValueId,
        /// What [`NormSums`] gives.
        pub sums: ValueId,
        /// The gradient of the result, before residual and activation.
        pub grad_output: ValueId,
        /// The gradient of the input.
        pub output: ValueId,
    }

    /// Every pixel gets the gradients of the windows whose maximum it is, the first one where several are, or its share of
    /// their means.
    #[derive(Clone, Debug)]
    pub struct PoolGradient {
        /// The pooling, with its input and output.
        pub pool: Pool,
        /// The gradient of the output.
        pub grad_output: ValueId,
        /// The gradient of the input.
        pub output: ValueId,
    }

    /// `state = keep · state + add · input`, where `add` may differ between two items.
    #[derive(Clone, Debug)]
    pub struct Blend {
        /// What remains of the state.
        pub keep: f32,
        /// What is taken up of the first and of the second item.
        pub add: [f32; 2],
        /// One or two items.
        pub input: ValueId,
        /// The same shape.
        pub state: ValueId,
    }

    /// How parameters follow their gradients. What changes from run to run comes with an input
    /// `[1, `[`HYPERPARAMETERS`]`, 1, 1]`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Rule {
        /// PyTorch's: `g += decay · p`; `m = momentum · m + g`; `p −= rate · (g + momentum · m)` with Nesterov's momentum,
        /// else `p −= rate · m`. Hyperparameters: rate, momentum, decay.
        Sgd {
            /// Whether the step looks ahead.
            nesterov: bool,
        },
        /// Loshchilov and Hutter, 2019: `p −= rate · decay · p`; `m = β₁ m + (1 − β₁) g`; `v = β₂ v + (1 − β₂) g²`;
        /// `p −= rate / (1 − β₁ᵗ) · m / (√(v / (1 − β₂ᵗ)) + eps)`. Hyperparameters: rate, β₁, decay, β₂, eps,
        /// `rate / (1 − β₁ᵗ)`, `1 / √(1 − β₂ᵗ)`.
        AdamW,
    }

    impl Rule {
        /// How many values it remembers for every parameter.
        pub fn moments(self) -> usize {
            match self {
                Rule::Sgd { .. } => 1,
                Rule::AdamW => 2,
            }
        }
    }

    /// The optimiser's step.
    #[derive(Clone, Debug)]
    pub struct Update {
        /// How.
        pub rule: Rule,
        /// What it depends on.
        pub hyperparameters: ValueId,
        /// What is changed.
        pub parameters: ArenaId,
        /// By what: the same shapes in the same order.
        pub gradients: ArenaId,
        /// What is remembered: as many as the rule wants, of the same shapes.
        pub moments: Vec<ArenaId>,
        /// So many of the parameters, the first ones, decay.
        pub decayed: usize,
    }

    impl TrainStep {
        pub(in super::super) fn inputs(&self) -> Vec<ValueId> {
            match self {
                TrainStep::Load(step) => vec![step.input],
                TrainStep::BatchStatistics { input, .. } => vec![*input],
                TrainStep::Normalise(step) => {
                    [step.input, step.statistics, step.affine].into_iter().chain(step.residual).collect()
                }
                TrainStep::ActivationGradient { of, grad_output, .. } => vec![*of, *grad_output],
                TrainStep::NormSums(step) => vec![step.input, step.statistics, step.grad_output],
                TrainStep::NormGradient(step) => {
                    vec![step.input, step.statistics, step.affine, step.sums, step.grad_output]
                }
                TrainStep::PoolGradient(step) => vec![step.pool.input, step.grad_output],
                TrainStep::CrossEntropy { logits, targets, .. }
                | TrainStep::CrossEntropyGradient { logits, targets, .. } => vec![*logits, *targets],
                TrainStep::Blend(step) => vec![step.input],
                TrainStep::Update(step) => vec![step.hyperparameters],
            }
        }

        pub(in super::super) fn output(&self) -> Option<ValueId> {
            match self {
                TrainStep::Load(_) | TrainStep::Update(_) => None,
                TrainStep::BatchStatistics { output, .. }
                | TrainStep::ActivationGradient { output, .. }
                | TrainStep::CrossEntropy { output, .. }
                | TrainStep::CrossEntropyGradient { output, .. } => Some(*output),
                TrainStep::Normalise(step) => Some(step.output),
                TrainStep::NormSums(step) => Some(step.output),
                TrainStep::NormGradient(step) => Some(step.output),
                TrainStep::PoolGradient(step) => Some(step.output),
                TrainStep::Blend(step) => Some(step.state),
            }
        }
    }
}
