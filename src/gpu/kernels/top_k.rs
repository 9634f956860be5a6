//! The best classes of every image, with their probabilities.

use crate::gpu::shader::{Kernel, ShaderKey, params};

params! {
    /// Classes are the values of a map in NCHW order.
    TopKParams { classes: u32, slices: u32, area: u32, best: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "top_k",
    template: "top_k.wgsl",
    params: TopKParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [false, true].map(top_k).into(),
    ..Kernel::DEFAULT
};

/// Whether what is ranked are logits, of which a softmax is wanted.
pub fn top_k(softmax: bool) -> ShaderKey {
    FAMILY.key([64, 1]).with("softmax", softmax)
}
