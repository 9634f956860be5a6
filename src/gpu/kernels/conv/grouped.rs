//! Convolution with groups of any size: the fallback where groups do not consist of whole slices, and for channel multipliers.

use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use crate::gpu::policy::{Policy, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

static FAMILY: Kernel = Kernel {
    name: "conv_grouped",
    template: "conv/grouped.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::Stored,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || super::problem::keys_of_whole_sums(&FAMILY, WORKGROUP),
    ..Kernel::DEFAULT
};

const WORKGROUP: [u32; 2] = [64, 1];

static FAMILIES: [&Kernel; 1] = [&FAMILY];

/// The kernel.
pub struct Grouped;

impl ConvKernel for Grouped {
    fn name(&self) -> &'static str {
        "grouped"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    fn can_run(&self, problem: &ConvProblem, _: &Policy) -> bool {
        problem.conv.groups > 1 && problem.products_of.is_none()
    }

    fn default_tile(&self, _: &ConvProblem, _: &Policy) -> Tile {
        Tile::of_one_output(WORKGROUP)
    }

    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool {
        problem.products_of.is_none() && tile.is_of_one_output(WORKGROUP)
    }

    /// It is slow: for what nothing else can run, and where that turns out to be wrong.
    fn is_worth_timing(&self, problem: &ConvProblem, _: &Policy) -> bool {
        !problem.has_whole_slices()
    }

    fn shader(&self, problem: &ConvProblem, _: &Tile, _: &Policy) -> ShaderKey {
        problem.key(&FAMILY, WORKGROUP, false)
    }

    fn invocations(&self, problem: &ConvProblem, _: &Tile) -> [usize; 3] {
        [problem.pixels(), problem.out_slices(), 1]
    }
}
