//! Composing kernels from D and W.

use crate::gpu::shader::{Dispatch, Kernel, KernelLayout, Resource, ShaderKey, params};
use crate::network::{DoConv, Pairing};
use crate::plan::{self, KernelId, KernelSource, Plan};
use crate::winograd::Winograd;
use crate::{Error, Result};

params! {
    /// Kernel composition. Rows are those of the kernel with its padding to whole slices. Outputs are
    /// counted in vectors where the shader has them.
    ComposeParams {
        length: u32,
        inputs: u32, outputs: u32, group_inputs: u32, group_outputs: u32, d_mul: u32, row_inputs: u32, row_outputs: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "compose",
    template: "compose.wgsl",
    params: ComposeParams::BLOCK,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let taps = TAPS.into_iter().chain([1]);
        let of =
            |taps| [Pairing::Paper, Pairing::Torch].map(|pairing| [false, true].map(|wide| key(taps, wide, pairing)));
        taps.flat_map(of).flatten().collect()
    },
    ..Kernel::DEFAULT
};

/// Taps of an invocation: the first that divides their number.
const TAPS: [usize; 5] = [5, 4, 3, 7, 2];

fn key(taps: usize, vector: bool, pairing: Pairing) -> ShaderKey {
    let base = FAMILY.key([64, 1]).with("taps", taps as u32).with("vector", vector);
    base.with("pairing", pairing_name(pairing))
}

/// What templates call a pairing.
pub fn pairing_name(pairing: Pairing) -> &'static str {
    match pairing {
        Pairing::Paper => "paper",
        Pairing::Torch => "torch",
    }
}

/// Composes a kernel; with D transformed for Winograd convolution, the kernel comes out transformed.
pub fn lower(plan: &Plan, id: KernelId, transformed: Option<Winograd>) -> Result<Dispatch> {
    let kernel = plan.kernel(id);
    let attributes = attributes(kernel)?;
    let conv = &kernel.conv;
    let layout = KernelLayout::with(conv, transformed);
    // Four outputs at a time, which must be of one group.
    let vector = conv.groups == 1 && conv.out_channels.is_multiple_of(4);
    let outputs = if vector { 4 } else { 1 };
    let taps = TAPS.into_iter().find(|&taps| layout.taps.is_multiple_of(taps)).unwrap_or(1);
    let length = layout.len() / (outputs * taps);
    let params = ComposeParams {
        length: length as u32,
        inputs: conv.in_channels as u32,
        outputs: (conv.out_channels / outputs) as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        d_mul: attributes.d_mul as u32,
        row_inputs: layout.row_inputs as u32,
        row_outputs: (layout.row_outputs / outputs) as u32,
    };
    let bindings = vec![(1, Resource::W(id)), (2, Resource::D(id)), (3, Resource::Kernel(id))];
    let label = format!("{} fold", kernel.name);
    Ok(Dispatch::new(label, key(taps, vector, attributes.pairing), &params, bindings, [length, 1, 1]))
}

/// The attributes of a composed kernel.
pub fn attributes(kernel: &plan::Kernel) -> Result<DoConv> {
    match &kernel.source {
        KernelSource::Composed(composed) => Ok(composed.attributes),
        _ => Err(Error::Unsupported(format!("{}: a plain kernel cannot be composed", kernel.name))),
    }
}
