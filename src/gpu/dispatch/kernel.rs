//! What is done to kernels: composing, transposing, and laying them out as maps.

use super::{Dispatch, Lowering, Resource, dispatch, flat};
use crate::gpu::layout::{KernelLayout, slices};
use crate::gpu::params;
use crate::gpu::shader::Shader;
use crate::gpu::winograd::Winograd;
use crate::network::DoConv;
use crate::plan::{Kernel, KernelId, KernelSource, Plan, ValueId};
use crate::{Error, Result};

impl Lowering<'_> {
    pub(super) fn kernel_map(&self, id: KernelId, output: ValueId) -> Result<Dispatch> {
        let conv = &self.plan.kernel(id).conv;
        let layout = KernelLayout::of(conv);
        let in_slices = slices(conv.channels_per_group());
        let length = conv.out_channels * in_slices * layout.taps;
        let (row, invocations) = flat(length);
        let params = params::KernelMap {
            row,
            length: length as u32,
            taps: layout.taps as u32,
            in_slices: in_slices as u32,
            group_inputs: conv.channels_per_group() as u32,
            row_inputs: layout.row_inputs as u32,
            row_outputs: layout.row_outputs as u32,
        };
        let bindings = vec![(1, Resource::Kernel(id)), (2, Resource::Map(output))];
        dispatch(&self.plan.value(output).name, Shader::KernelMap, &params, bindings, invocations)
    }
}

/// Composes a kernel; with D transformed for Winograd's filtering, the kernel comes out transformed.
pub(super) fn compose(plan: &Plan, id: KernelId, transformed: Option<Winograd>) -> Result<Dispatch> {
    let kernel = plan.kernel(id);
    let attributes = composed(kernel)?;
    let conv = &kernel.conv;
    let layout = KernelLayout::with(conv, transformed);
    let vector = conv.groups == 1 && conv.out_channels.is_multiple_of(4);
    let outputs = if vector { 4 } else { 1 };
    let taps = [5, 4, 3, 7, 2].into_iter().find(|&taps| layout.taps.is_multiple_of(taps)).unwrap_or(1);
    let length = layout.len() / (outputs * taps);
    let (row, invocations) = flat(length);
    let params = params::Compose {
        row,
        length: length as u32,
        inputs: conv.in_channels as u32,
        outputs: (conv.out_channels / outputs) as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        d_mul: attributes.d_mul as u32,
        row_inputs: layout.row_inputs as u32,
        row_outputs: (layout.row_outputs / outputs) as u32,
    };
    let shader = Shader::Compose { taps: taps as u32, vector, pairing: attributes.pairing };
    let bindings = vec![(1, Resource::W(id)), (2, Resource::D(id)), (3, Resource::Kernel(id))];
    dispatch(&format!("{} fold", kernel.name), shader, &params, bindings, invocations)
}

pub(super) fn composed(kernel: &Kernel) -> Result<DoConv> {
    match &kernel.source {
        KernelSource::Composed(composed) => Ok(composed.attributes),
        _ => Err(Error::Unsupported(format!("{}: a plain kernel cannot be composed", kernel.name))),
    }
}

pub(super) fn transpose(plan: &Plan, id: KernelId) -> Result<Dispatch> {
    let kernel = plan.kernel(id);
    let KernelSource::Transposed(transposed) = &kernel.source else {
        return Err(Error::Unsupported(format!("{}: not the transposed kernel of another", kernel.name)));
    };
    let (conv, forward) = (&kernel.conv, &plan.kernel(transposed.of).conv);
    let (layout, from_layout) = (KernelLayout::of(conv), KernelLayout::of(forward));
    let (row, invocations) = flat(layout.len());
    let [[reach_y, step_y], [reach_x, step_x]] =
        transposed.sub_pixel.reach().map(|axis| axis.map(|value| value as i32));
    let params = params::TransposeKernel {
        row,
        length: layout.len() as u32,
        outputs: conv.out_channels as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        row_inputs: layout.row_inputs as u32,
        row_outputs: layout.row_outputs as u32,
        kernel_height: conv.kernel[0] as u32,
        kernel_width: conv.kernel[1] as u32,
        from_row_inputs: from_layout.row_inputs as u32,
        from_row_outputs: from_layout.row_outputs as u32,
        from_height: forward.kernel[0] as u32,
        from_width: forward.kernel[1] as u32,
        stride_y: forward.stride[0] as u32,
        stride_x: forward.stride[1] as u32,
        dilation_y: forward.dilation[0] as u32,
        dilation_x: forward.dilation[1] as u32,
        reach_y,
        reach_x,
        step_y,
        step_x,
    };
    let bindings = vec![(1, Resource::Kernel(transposed.of)), (2, Resource::Kernel(id))];
    dispatch(&kernel.name, Shader::TransposeKernel, &params, bindings, invocations)
}
