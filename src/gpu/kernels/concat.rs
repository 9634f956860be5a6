//! The channels of several maps, one after the other: a dispatch for each of them.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, params, slices};
use crate::plan::ValueId;

params! {
    /// One part of a concatenation.
    CopyParams {
        area: u32, in_slices: u32, out_slices: u32, out_channels: u32, first_channel: u32, channels: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "copy_channels",
    template: "copy_channels.wgsl",
    params: CopyParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, inputs: &[ValueId], output: ValueId) -> Vec<Dispatch> {
    let [n, out_channels, h, w] = cx.shape(output);
    let mut first_channel = 0;
    let mut dispatches = vec![];
    for &input in inputs {
        let channels = cx.shape(input)[1];
        let params = CopyParams {
            area: (h * w) as u32,
            in_slices: slices(channels) as u32,
            out_slices: slices(out_channels) as u32,
            out_channels: out_channels as u32,
            first_channel: first_channel as u32,
            channels: channels as u32,
        };
        let touched = slices(first_channel + channels) - first_channel / 4;
        let maps = vec![(1, input), (2, output)];
        dispatches.push(cx.maps_dispatch(FAMILY.key([64, 1]), &params, maps, [h * w, touched, n]));
        first_channel += channels;
    }
    dispatches
}
