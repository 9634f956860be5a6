//! [`Direct`](super::direct::Direct) with weights that a subgroup loads together, for software adapters.
//!
//! A load costs these as much as several products, and all invocations of a subgroup, which are the lanes of a vector there,
//! want the same weights: each loads a part of them and broadcasts it to the others.

use super::direct::{specialised, tiles_of};
use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use super::tiles::{pays_subgroups, subgroup_tile};
use crate::gpu::policy::{Policy, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

/// Tap by tap.
static FAMILY: Kernel = Kernel {
    name: "conv_subgroup",
    template: "conv/direct.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::All,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || super::direct::specialisations::shared(&FAMILY, false),
    ..Kernel::DEFAULT
};

/// The products of Winograd convolutions.
static PRODUCTS: Kernel = Kernel {
    name: "winograd_products_subgroup",
    template: "conv/direct.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || super::direct::specialisations::shared(&PRODUCTS, true),
    ..Kernel::DEFAULT
};

/// Pixels and slices of an invocation, with the width of a workgroup.
const TILES: [([u32; 2], u32); 4] = [([4, 4], 8), ([8, 4], 32), ([2, 4], 8), ([4, 2], 8)];

static FAMILIES: [&Kernel; 2] = [&FAMILY, &PRODUCTS];

/// The kernel.
pub struct Subgroup;

impl ConvKernel for Subgroup {
    fn name(&self) -> &'static str {
        "subgroup"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    /// Weights for two slices of outputs at least are loaded together.
    fn can_run(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        let out_slices = problem.group_out_slices();
        let whole_tiles = problem.conv.groups == 1 && out_slices >= 2 || out_slices.is_multiple_of(2);
        policy.shared_weights() > 0 && problem.has_whole_slices() && whole_tiles
    }

    fn suits(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        pays_subgroups(problem.pixels(), policy)
    }

    fn default_tile(&self, problem: &ConvProblem, _: &Policy) -> Tile {
        subgroup_tile(problem)
    }

    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool {
        let Tile { pixels, slices, workgroup: [x, y], .. } = *tile;
        let fits = [2, 4, 8].contains(&pixels) && [2, 4].contains(&slices) && problem.has_whole_tiles(slices);
        fits && [8, 16, 32].contains(&x) && y == 1
    }

    fn other_tiles(&self, problem: &ConvProblem, _: &Policy) -> Vec<Tile> {
        // No invocation should have nothing to do.
        let fills = |&([height, _], width): &([u32; 2], u32)| (height * width) as usize <= problem.pixels().max(16);
        let of = |([pixels, slices], width): ([u32; 2], u32)| Tile { pixels, slices, workgroup: [width, 1], parts: 1 };
        TILES.into_iter().filter(fills).map(of).collect()
    }

    fn shader(&self, problem: &ConvProblem, tile: &Tile, policy: &Policy) -> ShaderKey {
        let family = if problem.products_of.is_some() { &PRODUCTS } else { &FAMILY };
        specialised(family, problem, tile, policy.shared_weights(), policy)
    }

    fn invocations(&self, problem: &ConvProblem, tile: &Tile) -> [usize; 3] {
        tiles_of(problem, tile)
    }
}
