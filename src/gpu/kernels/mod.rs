//! GPU kernels, one family a file: which there are, how they are specialised, and how steps become dispatches of them.
//!
//! # Layout
//! Feature maps are channel-blocked, NCHW4: slices of four channels with one `vec4` per pixel (`shaders/common/map.wgsl`).
//! Against NHWC, neighbouring pixels are neighbours in memory whatever the channel count, so that invocations which lie
//! along pixels read contiguous memory; against NCHW, every load is a whole `vec4` at any stride and padding. Unused lanes of a
//! map's last slice are zero: every kernel that writes a map sees to it. Convolution kernels are HWIO with whole slices of
//! outputs, so that four outputs' weights are one load; the same layout serves dense, grouped and depthwise kernels, and
//! composing writes it directly.

mod compose;
mod concat;
mod constant;
mod context;
pub mod conv;
mod elementwise;
mod global_pool;
mod lower;
mod lrn;
mod pad;
mod peak;
mod pool;
mod preprocess;
mod rearrange;
mod resize;
mod softmax;
mod top_k;
#[cfg(training)]
mod training;

pub use context::Context;
pub use lower::{fold, in_precision, lower};
pub(super) use peak::{CHAIN_STEPS, COPY, COUNT, CopyParams, FmaParams, fma};
pub(super) use preprocess::{ColumnParams, RowParams, columns, rows};
pub(super) use top_k::{TopKParams, top_k};

#[cfg(not(target_arch = "wasm32"))]
use super::shader::{Kernel, ShaderKey};

/// The shaders that preprocess images and rank classes, of logits or of probabilities.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn image_shaders(softmax: bool) -> [ShaderKey; 3] {
    [rows(), columns(), top_k(softmax)]
}

/// Every shader family there is: what tests validate, translate and verify.
#[cfg(not(target_arch = "wasm32"))]
pub fn families() -> Vec<&'static Kernel> {
    let plain = [
        &compose::FAMILY,
        &concat::FAMILY,
        &constant::FAMILY,
        &elementwise::FAMILY,
        &elementwise::BROADCAST,
        &global_pool::FAMILY,
        &lrn::FAMILY,
        &pad::FAMILY,
        &peak::FMA,
        &peak::COPY,
        &peak::COUNT,
        &pool::FAMILY,
        &preprocess::ROWS,
        &preprocess::COLUMNS,
        &rearrange::FAMILY,
        &resize::FAMILY,
        &softmax::FAMILY,
        &top_k::FAMILY,
    ];
    let families = plain.into_iter().chain(conv::families());
    families.chain(training::FAMILIES.iter().copied()).collect()
}
