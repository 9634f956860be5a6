//! Softmax over the channels of every pixel, or its logarithm.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, ShaderKey, params};
use crate::plan::ValueId;

params! {
    /// Softmax over channels.
    SoftmaxParams { area: u32, channels: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "softmax",
    template: "softmax.wgsl",
    params: SoftmaxParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [false, true].map(key).into(),
    ..Kernel::DEFAULT
};

/// Invocations of a workgroup, which share the channels of a pixel.
const LANES: u32 = 32;

fn key(logarithm: bool) -> ShaderKey {
    FAMILY.key([LANES, 1]).with("logarithm", logarithm)
}

pub fn lower(cx: &Context<'_>, logarithm: bool, input: ValueId, output: ValueId) -> Dispatch {
    let [n, c, h, w] = cx.shape(input);
    let params = SoftmaxParams { area: (h * w) as u32, channels: c as u32 };
    let invocations = [h * w * LANES as usize, 1, n];
    cx.maps_dispatch(key(logarithm), &params, vec![(1, input), (2, output)], invocations)
}
