//! Depthwise convolution: neighbouring pixels of a row share the input columns that an invocation keeps in registers.

use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use crate::gpu::policy::{Policy, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

static FAMILY: Kernel = Kernel {
    name: "conv_depthwise",
    template: "conv/depthwise.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::All,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let mut keys = vec![];
        for base in super::problem::keys_of_whole_sums(&FAMILY, WORKGROUP) {
            for (kernel, outputs) in [([3, 3], 4), ([5, 5], 4), ([7, 7], 4), ([1, 3], 2), ([3, 1], 1), ([1, 1], 4)] {
                for (stride_x, dilation_x) in [(1, 1), (2, 1), (3, 1), (1, 2)] {
                    keys.push(constants(base.clone(), outputs, kernel, [stride_x, dilation_x]));
                }
            }
        }
        keys
    },
    ..Kernel::DEFAULT
};

const WORKGROUP: [u32; 2] = [8, 8];
/// Most input columns that an invocation keeps in registers.
const MAX_COLUMNS: usize = 24;

static FAMILIES: [&Kernel; 1] = [&FAMILY];

/// The kernel.
pub struct Depthwise;

impl ConvKernel for Depthwise {
    fn name(&self) -> &'static str {
        "depthwise"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    fn can_run(&self, problem: &ConvProblem, _: &Policy) -> bool {
        problem.is_depthwise() && columns_fit(problem, 1)
    }

    fn default_tile(&self, problem: &ConvProblem, _: &Policy) -> Tile {
        let outputs = [4, 2, 1].into_iter().find(|&outputs| columns_fit(problem, outputs)).unwrap_or(1);
        tile(outputs.min(problem.output[3].next_power_of_two() as u32))
    }

    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool {
        let fits = [1, 2, 4].contains(&tile.pixels) && columns_fit(problem, tile.pixels);
        fits && tile.slices == 1 && tile.workgroup == WORKGROUP
    }

    fn other_tiles(&self, problem: &ConvProblem, policy: &Policy) -> Vec<Tile> {
        let usual = self.default_tile(problem, policy).pixels;
        [4, 2, 1].into_iter().filter(|&pixels| pixels < usual && columns_fit(problem, pixels)).map(tile).collect()
    }

    fn shader(&self, problem: &ConvProblem, tile: &Tile, _: &Policy) -> ShaderKey {
        let conv = &problem.conv;
        let steps = [conv.stride[1] as u32, conv.dilation[1] as u32];
        let base = problem.key(&FAMILY, WORKGROUP, false);
        constants(base, tile.pixels, conv.kernel.map(|extent| extent as u32), steps)
    }

    fn invocations(&self, problem: &ConvProblem, tile: &Tile) -> [usize; 3] {
        let [n, _, height, width] = problem.output;
        [width.div_ceil(tile.pixels as usize) * height, n * problem.out_slices(), 1]
    }
}

fn tile(pixels: u32) -> Tile {
    Tile { pixels, slices: 1, workgroup: WORKGROUP, parts: 1 }
}

/// Whether the input columns that so many neighbouring pixels of a row need fit into registers.
fn columns_fit(problem: &ConvProblem, outputs: u32) -> bool {
    let conv = &problem.conv;
    (outputs as usize - 1) * conv.stride[1] + (conv.kernel[1] - 1) * conv.dilation[1] < MAX_COLUMNS
}

fn constants(base: ShaderKey, outputs: u32, kernel: [u32; 2], [stride_x, dilation_x]: [u32; 2]) -> ShaderKey {
    base.with("outputs", outputs).with("kernel", kernel).with("stride_x", stride_x).with("dilation_x", dilation_x)
}
