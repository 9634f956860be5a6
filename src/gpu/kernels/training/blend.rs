//! A state that takes something up, as running statistics do.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, map_len, params};
use crate::plan::Blend;

params! {
    /// An item of the state has `item` vectors.
    BlendParams { length: u32, item: u32, keep: f32, first: f32, second: f32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "blend",
    template: "training/blend.wgsl",
    params: BlendParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, step: &Blend) -> Dispatch {
    let shape = cx.shape(step.state);
    let length = map_len(shape) / 4;
    let [first, second] = step.add;
    let item = (length / shape[0]) as u32;
    let params = BlendParams { length: length as u32, item, keep: step.keep, first, second };
    cx.maps_dispatch(FAMILY.key([64, 1]), &params, vec![(1, step.input), (2, step.state)], [length, 1, 1])
}
