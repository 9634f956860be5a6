//! Composing kernels.

use super::{Dispatch, Resource, dispatch, flat};
use crate::gpu::layout::KernelLayout;
use crate::gpu::params;
use crate::gpu::shader::Shader;
use crate::gpu::winograd::Winograd;
use crate::network::DoConv;
use crate::plan::{Kernel, KernelId, KernelSource, Plan};
use crate::{Error, Result};

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
