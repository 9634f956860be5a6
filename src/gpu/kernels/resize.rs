//! Interpolation, with tables of rows, columns and their weights.

use super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, Resource, params, slices};
use crate::plan::{ConstantId, ValueId};

params! {
    /// Interpolation.
    ResizeParams { maps: u32, area: u32, width: u32, in_height: u32, in_width: u32, taps: u32 }
}

pub static FAMILY: Kernel = Kernel {
    name: "resize",
    template: "resize.wgsl",
    params: ResizeParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, [rows, columns]: [ConstantId; 2], input: ValueId, output: ValueId) -> Dispatch {
    let [n, c, in_height, in_width] = cx.shape(input);
    let [_, _, height, width] = cx.shape(output);
    let maps = n * slices(c);
    let params = ResizeParams {
        maps: maps as u32,
        area: (height * width) as u32,
        width: width as u32,
        in_height: in_height as u32,
        in_width: in_width as u32,
        taps: cx.plan.constant(rows).shape[3] as u32,
    };
    let bindings = vec![
        (1, Resource::Map(input)),
        (2, Resource::Map(output)),
        (3, Resource::Constant(rows)),
        (4, Resource::Constant(columns)),
    ];
    Dispatch::new(cx.name(output), FAMILY.key([64, 1]), &params, bindings, [height * width, maps, 1])
}
