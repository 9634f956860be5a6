//! Activations as shaders tell them apart.

use crate::network::Activation;

/// Activations as pipelines tell them apart; what else they need comes with the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationClass {
    /// None, and those that clamp their argument.
    Bounds,
    /// [`Activation::LeakyRelu`].
    LeakyRelu,
    /// [`Activation::Ramp`], of which the hard sigmoid is one.
    Ramp,
    /// [`Activation::HardSwish`].
    HardSwish,
    /// [`Activation::Sigmoid`].
    Sigmoid,
    /// [`Activation::Silu`].
    Silu,
    /// [`Activation::Tanh`].
    Tanh,
}

impl ActivationClass {
    /// Every class there is.
    pub const ALL: [Self; 7] =
        [Self::Bounds, Self::LeakyRelu, Self::Ramp, Self::HardSwish, Self::Sigmoid, Self::Silu, Self::Tanh];

    /// The class of an activation, and its two parameters, which shaders know as `lower` and `upper`.
    pub fn of(activation: Option<Activation>) -> (Self, [f32; 2]) {
        let unbounded = [f32::NEG_INFINITY, f32::INFINITY];
        let Some(activation) = activation else { return (Self::Bounds, unbounded) };
        match activation {
            Activation::Relu | Activation::Relu6 | Activation::Clip { .. } => {
                (Self::Bounds, activation.bounds().unwrap_or(unbounded))
            }
            Activation::LeakyRelu { slope } => (Self::LeakyRelu, [slope, 0.0]),
            Activation::HardSigmoid => (Self::Ramp, [1.0 / 6.0, 0.5]),
            Activation::Ramp { slope, offset } => (Self::Ramp, [slope, offset]),
            Activation::HardSwish => (Self::HardSwish, [0.0, 0.0]),
            Activation::Sigmoid => (Self::Sigmoid, [0.0, 0.0]),
            Activation::Silu => (Self::Silu, [0.0, 0.0]),
            Activation::Tanh => (Self::Tanh, [0.0, 0.0]),
        }
    }

    /// Its name in templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bounds => "bounds",
            Self::LeakyRelu => "leaky_relu",
            Self::Ramp => "ramp",
            Self::HardSwish => "hard_swish",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
        }
    }
}
