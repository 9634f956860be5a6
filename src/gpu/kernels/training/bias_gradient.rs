//! The gradient of a bias: the sum of a map over batch and pixels.

use super::super::context::Context;
use super::parts::{Split, in_parts};
use crate::gpu::shader::{Dispatch, Kernel, Precisions, Resource, params, slices};
use crate::plan::ValueId;

params! {
    /// Bias gradients, summed over parts of `part_pixels` pixels.
    BiasParams { pixels: u32, part_pixels: u32, parts: u32, area: u32, slices: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "bias_gradient",
    template: "training/bias_gradient.wgsl",
    params: BiasParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([32, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, grad_output: ValueId, output: ValueId) -> Vec<Dispatch> {
    let [n, c, h, w] = cx.shape(grad_output);
    let (pixels, slices) = (n * h * w, slices(c));
    let split = Split::new(pixels, slices, 16 * slices, 1, cx.policy.tier);
    let params = BiasParams {
        pixels: pixels as u32,
        part_pixels: split.terms as u32,
        parts: split.parts as u32,
        area: (h * w) as u32,
        slices: slices as u32,
    };
    in_parts(cx, split, slices, output, |parts| {
        let bindings = vec![(1, Resource::Map(grad_output)), (2, parts)];
        Dispatch::new(cx.name(output), FAMILY.key([32, 1]), &params, bindings, [slices, split.parts, 1])
    })
}
