//! Parameters that become a part of a kernel, at the beginning of a training step.

use super::super::context::Context;
use crate::gpu::shader::{Dispatch, Kernel, KernelLayout, Precisions, Resource, ShaderKey, params, slices};
use crate::plan::{KernelSource, Load, LoadedPart};

params! {
    /// Parameters that become a kernel; `slices` are those of the parameters' channels.
    LoadParams {
        length: u32, slices: u32, taps: u32, inputs: u32, outputs: u32, row_inputs: u32, row_outputs: u32, d_mul: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "load",
    template: "training/load.wgsl",
    params: LoadParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || [LoadedPart::Kernel, LoadedPart::D, LoadedPart::Bias].map(key).into(),
    ..Kernel::DEFAULT
};

fn key(part: LoadedPart) -> ShaderKey {
    FAMILY.key([64, 1]).with(
        "part",
        match part {
            LoadedPart::Kernel | LoadedPart::W => "kernel",
            LoadedPart::D => "d",
            LoadedPart::Bias => "bias",
        },
    )
}

pub fn lower(cx: &Context<'_>, step: &Load) -> Dispatch {
    let kernel = cx.plan.kernel(step.kernel);
    let (conv, [_, channels, ..]) = (&kernel.conv, cx.shape(step.input));
    let composed = match &kernel.source {
        KernelSource::Composed(composed) => Some(composed.attributes.d_mul),
        _ => None,
    };
    let own = KernelLayout::of(conv);
    let mut params = LoadParams {
        slices: slices(channels) as u32,
        taps: conv.taps() as u32,
        inputs: conv.channels_per_group() as u32,
        outputs: conv.out_channels as u32,
        row_inputs: own.row_inputs as u32,
        row_outputs: own.row_outputs as u32,
        d_mul: composed.unwrap_or(1) as u32,
        ..LoadParams::default()
    };
    let (target, length) = match step.part {
        LoadedPart::Kernel => (Resource::Kernel(step.kernel), own.len()),
        LoadedPart::W => {
            params.taps = params.d_mul;
            (params.row_inputs, params.row_outputs) = (params.inputs, params.outputs);
            (Resource::W(step.kernel), conv.out_channels * conv.channels_per_group() * composed.unwrap_or(1))
        }
        LoadedPart::D => {
            params.row_outputs = conv.in_channels as u32;
            (Resource::D(step.kernel), conv.in_channels * conv.taps() * composed.unwrap_or(1))
        }
        LoadedPart::Bias => (Resource::Bias(step.kernel), 4 * slices(conv.out_channels)),
    };
    params.length = length as u32;
    let label = format!("{} loaded", cx.name(step.input));
    let bindings = vec![(1, Resource::Map(step.input)), (2, target)];
    Dispatch::new(label, key(step.part), &params, bindings, [length, 1, 1])
}
