//! Sums along axes.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, ShaderKey, params, slices};
use crate::plan::ValueId;

params! {
    /// Sums along axes. An output has so many `items`, `rows` and `columns` of the input; `maps`, `area`, `width` and
    /// `slices` are its own.
    ReduceParams {
        maps: u32, area: u32, width: u32, slices: u32, items: u32, rows: u32, columns: u32,
        in_height: u32, in_width: u32, in_slices: u32, in_channels: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "reduce",
    template: "training/reduce.wgsl",
    params: ReduceParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [false, true].map(key).into(),
    ..Kernel::DEFAULT
};

/// Whether along the channels, too.
fn key(channels: bool) -> ShaderKey {
    FAMILY.key([64, 1]).with("channels", channels)
}

pub fn lower(cx: &Context<'_>, input: ValueId, output: ValueId) -> Dispatch {
    let (from, to) = (cx.shape(input), cx.shape(output));
    let [n, c, height, width] = to;
    let each = |axis: usize| (from[axis] / to[axis]) as u32;
    let maps = n * slices(c);
    let params = ReduceParams {
        maps: maps as u32,
        area: (height * width) as u32,
        width: width as u32,
        slices: slices(c) as u32,
        items: each(0),
        rows: each(2),
        columns: each(3),
        in_height: from[2] as u32,
        in_width: from[3] as u32,
        in_slices: slices(from[1]) as u32,
        in_channels: from[1] as u32,
    };
    cx.maps_dispatch(key(from[1] != c), &params, vec![(1, input), (2, output)], [height * width, maps, 1])
}
