//! The gradient of a map that was padded.

use super::super::context::Context;
use super::super::pad::mode_name;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, ShaderKey, params, slices};
use crate::network::PaddingMode;
use crate::plan::PadGradient;

params! {
    /// Gradients of padding.
    PadGradientParams {
        maps: u32, in_height: u32, in_width: u32, out_height: u32, out_width: u32, before_row: u32, before_column: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "pad_gradient",
    template: "training/pad_gradient.wgsl",
    params: PadGradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || PaddingMode::ALL.map(key).into(),
    ..Kernel::DEFAULT
};

fn key(mode: PaddingMode) -> ShaderKey {
    FAMILY.key([64, 1]).with("mode", mode_name(mode))
}

pub fn lower(cx: &Context<'_>, step: &PadGradient) -> Dispatch {
    let [_, _, in_height, in_width] = cx.shape(step.grad_output);
    let [n, c, out_height, out_width] = cx.shape(step.output);
    let maps = n * slices(c);
    let params = PadGradientParams {
        maps: maps as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        out_height: out_height as u32,
        out_width: out_width as u32,
        before_row: step.before[0] as u32,
        before_column: step.before[1] as u32,
    };
    let bound = vec![(1, step.grad_output), (2, step.output)];
    cx.maps_dispatch(key(step.mode), &params, bound, [out_height * out_width, maps, 1])
}
