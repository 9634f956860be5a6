//! Depthwise convolution through workgroup memory: a workgroup stages the input that its 8 × 8 outputs share, for kernels so large
//! that most of it is read many times.

use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use crate::gpu::policy::{Policy, Tier, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

static FAMILY: Kernel = Kernel {
    name: "conv_depthwise_tiled",
    template: "conv/depthwise_tiled.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::All,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let mut keys = vec![];
        for base in super::problem::keys_of_whole_sums(&FAMILY, WORKGROUP) {
            for (kernel, stride, dilation) in
                [([3, 3], [1, 1], [1, 1]), ([5, 5], [2, 2], [1, 1]), ([7, 7], [1, 1], [1, 1]), ([7, 5], [1, 2], [2, 1])]
            {
                keys.push(constants(base.clone(), kernel, stride, dilation));
            }
        }
        keys
    },
    ..Kernel::DEFAULT
};

const SIDE: u32 = 8;
const WORKGROUP: [u32; 2] = [SIDE, SIDE];
/// Vectors that fit into the workgroup memory that every device has, 16 KiB.
const MAX_STAGED: usize = 1024;
/// Taps from which on staging is expected to win: tract found 7×7 on GPUs. Not measured here.
const LEAST_TAPS: usize = 49;

static FAMILIES: [&Kernel; 1] = [&FAMILY];

/// The kernel.
pub struct DepthwiseTiled;

impl ConvKernel for DepthwiseTiled {
    fn name(&self) -> &'static str {
        "depthwise_tiled"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    fn can_run(&self, problem: &ConvProblem, _: &Policy) -> bool {
        let conv = &problem.conv;
        let staged =
            |axis: usize| (SIDE as usize - 1) * conv.stride[axis] + (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
        problem.is_depthwise() && staged(0).saturating_mul(staged(1)) <= MAX_STAGED
    }

    fn suits(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        let fills_workgroup = problem.output[2].min(problem.output[3]) >= SIDE as usize;
        policy.tier == Tier::Hardware && problem.conv.taps() >= LEAST_TAPS && fills_workgroup
    }

    fn default_tile(&self, _: &ConvProblem, _: &Policy) -> Tile {
        Tile::of_one_output(WORKGROUP)
    }

    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool {
        problem.products_of.is_none() && tile.is_of_one_output(WORKGROUP)
    }

    /// Barriers make it slow on software adapters, and small kernels share little.
    fn is_worth_timing(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        policy.tier == Tier::Hardware && problem.conv.taps() >= 9
    }

    fn shader(&self, problem: &ConvProblem, _: &Tile, _: &Policy) -> ShaderKey {
        let [kernel, stride, dilation] = [problem.conv.kernel, problem.conv.stride, problem.conv.dilation]
            .map(|pair| pair.map(|count| count as u32));
        constants(problem.key(&FAMILY, WORKGROUP, false), kernel, stride, dilation)
    }

    fn invocations(&self, problem: &ConvProblem, _: &Tile) -> [usize; 3] {
        let [n, _, height, width] = problem.output;
        let side = SIDE as usize;
        let tiles = height.div_ceil(side) * width.div_ceil(side);
        [tiles * side, n * problem.out_slices() * side, 1]
    }
}

fn constants(base: ShaderKey, kernel: [u32; 2], stride: [u32; 2], dilation: [u32; 2]) -> ShaderKey {
    let staged = [0, 1].map(|axis| (SIDE - 1) * stride[axis] + (kernel[axis] - 1) * dilation[axis] + 1);
    base.with("kernel", kernel).with("stride", stride).with("dilation", dilation).with("staged", staged)
}
