//! Split-K: several invocations share a sum, and a second dispatch adds up the parts.
//!
//! Few pixels with many channels, as at the end of every classifier, are few invocations with long sums.

use super::bindings::stored;
use super::kernel::ConvKernel;
use super::names;
use super::problem::{ConvParams, ConvProblem};
use crate::gpu::policy::{Policy, Tier, Tile};
use crate::gpu::shader::{ActivationClass, Dispatch, Kernel, Precisions, Resource};
use crate::plan::Conv;

/// Adds up the parts, then applies bias, residual and activation.
pub static FAMILY: Kernel = Kernel {
    name: "conv_split_sum",
    template: "conv/split_sum.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::Stored,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || ActivationClass::ALL.map(|class| FAMILY.key([64, 1]).with("activation", class)).into(),
    ..Kernel::DEFAULT
};

/// The dispatch that adds up the parts of a convolution's sums.
pub fn add_up(step: &Conv, problem: &ConvProblem, params: &ConvParams, sums: Resource) -> Dispatch {
    let shader = FAMILY.key([64, 1]).with("activation", ActivationClass::of(step.activation).0);
    let bindings = [&[(1, sums)], &stored(step)[..]].concat();
    let [n, _, height, width] = problem.output;
    let invocations = [height * width, n * problem.out_slices(), 1];
    Dispatch::new(&step.name, shader, params, bindings, invocations).chosen_as(names::SPLIT)
}

/// In how many parts a kernel's sums can be at most.
pub fn most_parts(kernel: &dyn ConvKernel, problem: &ConvProblem) -> u32 {
    let can_split = kernel.can_split() && problem.products_of.is_none();
    if can_split { problem.most_parts() } else { 1 }
}

/// In how many parts they should be for the adapter to be busy. Software adapters are busy with a few hundred invocations.
pub fn default_parts(kernel: &dyn ConvKernel, problem: &ConvProblem, tile: &Tile, policy: &Policy) -> u32 {
    /// Invocations of convolutions that keep a GPU busy: each holds tens of registers. Not measured.
    const ENOUGH: usize = 16_384;
    /// Shorter sums are not split: writing and reading the parts would take longer.
    const LEAST_TERMS: usize = 256;
    if policy.tier == Tier::Software {
        return 1;
    }
    let slices = problem.out_slices().div_ceil(tile.slices as usize);
    let invocations = problem.pixels().div_ceil(tile.pixels as usize) * slices;
    let terms = problem.conv.channels_per_group() * problem.conv.taps();
    let enough = (ENOUGH / invocations.max(1)).min(terms / LEAST_TERMS).max(1);
    most_parts(kernel, problem).min(enough as u32)
}
