//! Convolution on matrix units, in half precision with sums in single precision: a workgroup is one subgroup, and multiplies whole
//! matrices of 16 × 16.

use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use crate::gpu::policy::{Policy, Tier, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

static FAMILY: Kernel = Kernel {
    name: "conv_matrix",
    template: "conv/matrix.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::HalfStored,
    specialisations: || {
        let bases = super::problem::keys_of_whole_sums(&FAMILY, WORKGROUP);
        bases.into_iter().flat_map(|base| [1, 2, 4].map(|columns| constants(base.clone(), columns))).collect()
    },
    ..Kernel::DEFAULT
};

/// Pixels of a workgroup, which is one subgroup: one for every invocation to gather.
pub const MATRIX_PIXELS: u32 = 32;
/// Rows and columns of a matrix.
pub const MATRIX_SIDE: u32 = 16;
const WORKGROUP: [u32; 2] = [MATRIX_PIXELS, 1];

static FAMILIES: [&Kernel; 1] = [&FAMILY];

/// The kernel.
pub struct Matrix;

impl ConvKernel for Matrix {
    fn name(&self) -> &'static str {
        "matrix"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    /// Groups have to consist of whole matrices.
    fn can_run(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        let whole = |channels: usize| channels.is_multiple_of(MATRIX_SIDE as usize);
        policy.has_matrix_units()
            && problem.products_of.is_none()
            && whole(problem.conv.channels_per_group())
            && whole(problem.conv.outputs_per_group())
    }

    fn suits(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        policy.tier == Tier::Hardware && problem.fills_tile()
    }

    fn default_tile(&self, problem: &ConvProblem, _: &Policy) -> Tile {
        let side = MATRIX_SIDE as usize;
        let fits = |columns: &usize| problem.conv.outputs_per_group().is_multiple_of(side * columns);
        let columns = [4, 2, 1].into_iter().find(fits).unwrap_or(1);
        Tile { pixels: MATRIX_PIXELS, slices: (columns * side / 4) as u32, workgroup: WORKGROUP, parts: 1 }
    }

    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool {
        let columns =
            [4, 8, 16].contains(&tile.slices) && problem.group_out_slices().is_multiple_of(tile.slices as usize);
        tile.pixels == MATRIX_PIXELS && tile.workgroup == WORKGROUP && columns && problem.products_of.is_none()
    }

    fn is_worth_timing(&self, _: &ConvProblem, policy: &Policy) -> bool {
        policy.tier == Tier::Hardware
    }

    fn shader(&self, problem: &ConvProblem, tile: &Tile, _: &Policy) -> ShaderKey {
        constants(problem.key(&FAMILY, WORKGROUP, false), 4 * tile.slices / MATRIX_SIDE)
    }

    fn invocations(&self, problem: &ConvProblem, tile: &Tile) -> [usize; 3] {
        let pixels = problem.pixels().next_multiple_of(MATRIX_PIXELS as usize);
        [pixels, problem.group_out_slices() / tile.slices as usize, problem.conv.groups]
    }
}

fn constants(base: ShaderKey, columns: u32) -> ShaderKey {
    base.with("columns", columns)
        .with("rows", MATRIX_PIXELS / MATRIX_SIDE)
        .with("tile_pixels", MATRIX_PIXELS)
        .with("tile_slices", columns * MATRIX_SIDE / 4)
}
