//! How exactly a GPU stores numbers and computes with them.

use serde::{Deserialize, Serialize};

/// How numbers are stored on a GPU, and what convolutions compute with.
///
/// What goes in and what comes out is `f32` in all of them, and so are biases, W and D, and what Winograd convolution has
/// between its three parts. Half precision has 11 significant bits and ends at 65 504; what is larger becomes infinite.
/// Gradients are computed in `f32` only. In browsers there is nothing but `f32`, so that what is for the others is not a part of
/// what a page fetches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Single precision everywhere. Every adapter has it.
    #[default]
    F32,
    /// Feature maps and kernels are stored in half precision, and everything is computed in single precision.
    #[cfg(not(target_arch = "wasm32"))]
    F16Storage,
    /// As [`Precision::F16Storage`], and convolutions multiply and add in half precision, up to [`Precision::TERMS`] products
    /// at a time; these sums are added up in single precision. Convolutions whose groups fit no slices of four channels, and
    /// feature composition in one shader, compute as in [`Precision::F16Storage`].
    #[cfg(not(target_arch = "wasm32"))]
    F16,
}

impl Precision {
    /// All of them.
    #[cfg(not(target_arch = "wasm32"))]
    pub const ALL: [Self; 3] = [Self::F32, Self::F16Storage, Self::F16];

    /// Products that are added up in half precision at most, but for depthwise convolutions, of which a row of taps is.
    ///
    /// Longer sums lose more bits than half precision can spare; shorter ones spend as much time on adding up as they save.
    pub const TERMS: usize = 16;

    /// The name that the command line and records use.
    pub fn name(self) -> &'static str {
        self.pick(["f32", "f16-storage", "f16"])
    }

    /// Whether sums of products are in half precision, too.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn has_half_sums(self) -> bool {
        self.pick([false, false, true])
    }

    /// The same with all sums in single precision.
    pub(crate) fn without_half_sums(self) -> Self {
        #[cfg(not(target_arch = "wasm32"))]
        if self == Self::F16 {
            return Self::F16Storage;
        }
        self
    }

    /// What belongs to it, out of what belongs to `f32`, `f16-storage` and `f16`.
    pub(crate) fn pick<T: Copy>(self, of: [T; 3]) -> T {
        of[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_use_the_names() {
        for precision in Precision::ALL {
            assert_eq!(serde_json::to_value(precision).unwrap(), precision.name());
        }
    }
}
