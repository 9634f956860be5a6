//! The gradient of W or D, from that of the kernel they compose to.

use super::super::compose::{attributes, pairing_name};
use super::super::context::Context;
use super::parts::{Split, in_parts};
use crate::Result;
use crate::gpu::shader::{Dispatch, Kernel, Precisions, Resource, ShaderKey, params, slices};
use crate::network::Pairing;
use crate::plan::{ComposeGradient, Factor};

params! {
    /// Gradients of W and D. Sums over outputs are split into parts of `part_terms`.
    ComposeGradientParams {
        length: u32, part_terms: u32,
        inputs: u32, outputs: u32, group_inputs: u32, group_outputs: u32, in_slices: u32, d_mul: u32, taps: u32,
    }
}

pub static FAMILY: Kernel = Kernel {
    name: "compose_gradient",
    template: "training/compose_gradient.wgsl",
    params: ComposeGradientParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let pairings = [Pairing::Paper, Pairing::Torch];
        pairings.into_iter().flat_map(|pairing| [Factor::W, Factor::D].map(|factor| key(factor, pairing))).collect()
    },
    ..Kernel::DEFAULT
};

fn key(factor: Factor, pairing: Pairing) -> ShaderKey {
    let factor = match factor {
        Factor::W => "w",
        Factor::D => "d",
    };
    FAMILY.key([64, 1]).with("factor", factor).with("pairing", pairing_name(pairing))
}

pub fn lower(cx: &Context<'_>, step: &ComposeGradient) -> Result<Vec<Dispatch>> {
    let kernel = cx.plan.kernel(step.kernel);
    let attributes = attributes(kernel)?;
    let conv = &kernel.conv;
    let in_slices = slices(conv.channels_per_group());
    let (length, other, split) = match step.factor {
        Factor::W => {
            let length = conv.out_channels * in_slices * attributes.d_mul;
            (length, Resource::D(step.kernel), Split { parts: 1, terms: conv.taps() })
        }
        Factor::D => {
            let length = conv.in_channels * slices(conv.taps()) * attributes.d_mul;
            let split = Split::new(conv.outputs_per_group(), length, 16 * length, 1, cx.policy.tier);
            (length, Resource::W(step.kernel), split)
        }
    };
    let params = ComposeGradientParams {
        length: length as u32,
        part_terms: split.terms as u32,
        inputs: conv.in_channels as u32,
        outputs: conv.out_channels as u32,
        group_inputs: conv.channels_per_group() as u32,
        group_outputs: conv.outputs_per_group() as u32,
        in_slices: in_slices as u32,
        d_mul: attributes.d_mul as u32,
        taps: conv.taps() as u32,
    };
    let shader = key(step.factor, attributes.pairing);
    Ok(in_parts(cx, split, length, step.output, |parts| {
        let bindings = vec![(1, Resource::Map(step.grad_kernel)), (2, other), (3, parts)];
        Dispatch::new(cx.name(step.output), shader, &params, bindings, [length, 1, split.parts])
    }))
}
