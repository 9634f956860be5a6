//! A kernel as a map.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, KernelLayout, Precisions, Resource, params, slices};
use crate::plan::{KernelId, ValueId};

params! {
    /// A kernel as a map.
    KernelMapParams { length: u32, taps: u32, in_slices: u32, group_inputs: u32, row_inputs: u32, row_outputs: u32 }
}

/// It reads kernels as they are stored.
pub static FAMILY: Kernel = Kernel {
    name: "kernel_map",
    template: "training/kernel_map.wgsl",
    params: KernelMapParams::BLOCK,
    precisions: Precisions::Stored,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || vec![FAMILY.key([64, 1])],
    ..Kernel::DEFAULT
};

pub fn lower(cx: &Context<'_>, id: KernelId, output: ValueId) -> Dispatch {
    let conv = &cx.plan.kernel(id).conv;
    let layout = KernelLayout::of(conv);
    let in_slices = slices(conv.channels_per_group());
    let length = conv.out_channels * in_slices * layout.taps;
    let params = KernelMapParams {
        length: length as u32,
        taps: layout.taps as u32,
        in_slices: in_slices as u32,
        group_inputs: conv.channels_per_group() as u32,
        row_inputs: layout.row_inputs as u32,
        row_outputs: layout.row_outputs as u32,
    };
    let bindings = vec![(1, Resource::Kernel(id)), (2, Resource::Map(output))];
    Dispatch::new(cx.name(output), FAMILY.key([64, 1]), &params, bindings, [length, 1, 1])
}
