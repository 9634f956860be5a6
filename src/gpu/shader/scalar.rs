//! The number types of shaders.

use crate::Precision;

/// What shaders store or compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Single precision.
    F32,
    /// Half precision, which an adapter may lack.
    F16,
}

impl Scalar {
    /// What maps and kernels are stored as in a precision.
    pub fn stored_in(precision: Precision) -> Self {
        precision.pick([Self::F32, Self::F16, Self::F16])
    }

    /// Its name in WGSL.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::F32 => "f32",
            Scalar::F16 => "f16",
        }
    }

    /// How many bytes it takes.
    pub fn bytes(self) -> usize {
        match self {
            Scalar::F32 => 4,
            Scalar::F16 => 2,
        }
    }
}
