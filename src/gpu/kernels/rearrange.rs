//! Strided views: reshaping, transposing, slicing and interleaving.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, params, slices};
use crate::plan::{ValueId, View};

params! {
    /// A strided view. Strides are in elements.
    RearrangeParams {
        maps: u32, area: u32, items: u32, slices: u32, channels: u32, width: u32,
        in_items: u32, in_channels: u32, in_slices: u32, in_area: u32,
        offset: u32,
        item_inner: u32, item_outer_stride: i32, item_inner_stride: i32,
        channel_inner: u32, channel_outer_stride: i32, channel_inner_stride: i32,
        row_inner: u32, row_outer_stride: i32, row_inner_stride: i32,
        column_inner: u32, column_outer_stride: i32, column_inner_stride: i32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "rearrange",
    template: "rearrange.wgsl",
    params: RearrangeParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, view: &View, input: ValueId, output: ValueId) -> Dispatch {
    let [in_n, in_c, in_h, in_w] = cx.shape(input);
    let [n, c, h, w] = cx.shape(output);
    let maps = n * slices(c);
    let [item, channel, row, column] = view.axes;
    let params = RearrangeParams {
        maps: maps as u32,
        area: (h * w) as u32,
        items: (n / cx.batch) as u32,
        slices: slices(c) as u32,
        channels: c as u32,
        width: w as u32,
        in_items: (in_n / cx.batch) as u32,
        in_channels: in_c as u32,
        in_slices: slices(in_c) as u32,
        in_area: (in_h * in_w) as u32,
        offset: view.offset as u32,
        item_inner: item.inner as u32,
        item_outer_stride: item.outer_stride as i32,
        item_inner_stride: item.inner_stride as i32,
        channel_inner: channel.inner as u32,
        channel_outer_stride: channel.outer_stride as i32,
        channel_inner_stride: channel.inner_stride as i32,
        row_inner: row.inner as u32,
        row_outer_stride: row.outer_stride as i32,
        row_inner_stride: row.inner_stride as i32,
        column_inner: column.inner as u32,
        column_outer_stride: column.outer_stride as i32,
        column_inner_stride: column.inner_stride as i32,
    };
    cx.maps_dispatch(FAMILY.key([64, 1]), &params, vec![(1, input), (2, output)], [h * w, maps, 1])
}
