//! Values around a map.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, ShaderKey, params, slices};
use crate::network::PaddingMode;
use crate::plan::Pad;

params! {
    /// Values around a map.
    PadParams {
        maps: u32, area: u32, items: u32, slices: u32, channels: u32, width: u32,
        in_items: u32, in_channels: u32, in_height: u32, in_width: u32,
        before_item: u32, before_channel: u32, before_row: u32, before_column: u32,
        value: f32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "pad",
    template: "pad.wgsl",
    params: PadParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || PaddingMode::ALL.map(key).into(),
    ..Kernel::DEFAULT
};

fn key(mode: PaddingMode) -> ShaderKey {
    FAMILY.key([64, 1]).with("mode", mode_name(mode))
}

/// What templates call a mode.
pub fn mode_name(mode: PaddingMode) -> &'static str {
    match mode {
        PaddingMode::Zeros => "zeros",
        PaddingMode::Reflect => "reflect",
        PaddingMode::Replicate => "replicate",
        PaddingMode::Circular => "circular",
    }
}

pub fn lower(cx: &Context<'_>, pad: &Pad) -> Dispatch {
    let [in_n, in_c, in_h, in_w] = cx.shape(pad.input);
    let [n, c, h, w] = cx.shape(pad.output);
    let maps = n * slices(c);
    let [before_item, before_channel, before_row, before_column] = pad.before.map(|count| count as u32);
    let params = PadParams {
        maps: maps as u32,
        area: (h * w) as u32,
        items: (n / cx.batch) as u32,
        slices: slices(c) as u32,
        channels: c as u32,
        width: w as u32,
        in_items: (in_n / cx.batch) as u32,
        in_channels: in_c as u32,
        in_height: in_h as u32,
        in_width: in_w as u32,
        before_item,
        before_channel,
        before_row,
        before_column,
        value: pad.value,
    };
    cx.maps_dispatch(key(pad.mode), &params, vec![(1, pad.input), (2, pad.output)], [h * w, maps, 1])
}
