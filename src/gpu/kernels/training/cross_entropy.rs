//! The loss of every item, or its gradient.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, ShaderKey, params, slices};
use crate::plan::ValueId;

params! {
    /// Logits of an item begin `stride` behind those of the one before.
    CrossEntropyParams { items: u32, classes: u32, stride: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "cross_entropy",
    template: "training/cross_entropy.wgsl",
    params: CrossEntropyParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [false, true].map(key).into(),
    ..Kernel::DEFAULT
};

fn key(gradient: bool) -> ShaderKey {
    FAMILY.key([32, 1]).with("gradient", gradient)
}

pub fn lower(cx: &Context<'_>, gradient: bool, [logits, targets, output]: [ValueId; 3]) -> Dispatch {
    let [items, classes, ..] = cx.shape(logits);
    let stride = 4 * slices(classes) as u32;
    let params = CrossEntropyParams { items: items as u32, classes: classes as u32, stride };
    cx.maps_dispatch(key(gradient), &params, vec![(1, logits), (2, targets), (3, output)], [items, 1, 1])
}
