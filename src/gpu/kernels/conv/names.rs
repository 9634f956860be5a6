//! What a policy calls algorithms that are no kernels by themselves.

use crate::winograd::Winograd;

/// Split sums.
pub const SPLIT: &str = "split";

/// Feature composition in one dispatch.
pub const FEATURE: &str = "feature";

/// Winograd convolution.
pub fn winograd(size: Winograd) -> &'static str {
    match size {
        Winograd::F2 => "winograd_f2",
        Winograd::F4 => "winograd_f4",
    }
}
