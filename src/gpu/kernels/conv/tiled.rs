//! Convolution through workgroup memory, for hardware adapters.

use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use crate::Precision;
use crate::gpu::policy::{Policy, Tier, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

/// Tap by tap.
static FAMILY: Kernel = Kernel {
    name: "conv_tiled",
    template: "conv/tiled.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::All,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let bases = super::problem::bare_keys(&FAMILY, WORKGROUP);
        let tiles = [1, 2].into_iter().flat_map(|slices| (1..=4).map(move |lanes| (slices, lanes)));
        tiles.flat_map(|(slices, lanes)| bases.iter().map(move |base| constants(base.clone(), slices, lanes))).collect()
    },
    ..Kernel::DEFAULT
};

/// The products of Winograd convolutions.
static PRODUCTS: Kernel = Kernel {
    name: "winograd_products_tiled",
    template: "conv/tiled.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: || {
        let base = PRODUCTS.key(WORKGROUP).with("products", true).with("split", false).with("activation", "bounds");
        [1, 2].map(|slices| constants(base.clone(), slices, 4)).into()
    },
    ..Kernel::DEFAULT
};

const WORKGROUP: [u32; 2] = [8, 8];
/// Pixels of a workgroup's tile: one for every invocation to gather.
const TILE_PIXELS: u32 = 64;
/// Invocations along output slices, each with as many slices as the tile says.
const TILE_COLUMNS: u32 = 8;
/// Input slices that a workgroup stages at a time: sums in half precision are as long.
const TILE_DEPTH: u32 = Precision::TERMS as u32 / 4;

static FAMILIES: [&Kernel; 2] = [&FAMILY, &PRODUCTS];

/// The kernel.
pub struct Tiled;

impl ConvKernel for Tiled {
    fn name(&self) -> &'static str {
        "tiled"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    fn can_run(&self, problem: &ConvProblem, _: &Policy) -> bool {
        problem.has_whole_slices()
    }

    fn suits(&self, problem: &ConvProblem, policy: &Policy) -> bool {
        policy.tier == Tier::Hardware && problem.fills_tile()
    }

    fn default_tile(&self, problem: &ConvProblem, _: &Policy) -> Tile {
        tile(if problem.group_out_slices() >= 16 { 2 } else { 1 })
    }

    fn accepts(&self, _: &ConvProblem, tile: &Tile) -> bool {
        tile.pixels == TILE_PIXELS / 8 && [1, 2].contains(&tile.slices) && tile.workgroup == WORKGROUP
    }

    fn other_tiles(&self, _: &ConvProblem, _: &Policy) -> Vec<Tile> {
        [1, 2].map(tile).into()
    }

    /// Barriers make it many times as slow as the others on software adapters.
    fn is_worth_timing(&self, _: &ConvProblem, policy: &Policy) -> bool {
        policy.tier == Tier::Hardware
    }

    fn shader(&self, problem: &ConvProblem, tile: &Tile, _: &Policy) -> ShaderKey {
        let family = if problem.products_of.is_some() { &PRODUCTS } else { &FAMILY };
        constants(problem.key(family, WORKGROUP, tile.parts > 1), tile.slices, problem.lanes())
    }

    fn invocations(&self, problem: &ConvProblem, tile: &Tile) -> [usize; 3] {
        let columns = (TILE_COLUMNS * tile.slices) as usize;
        let tiles = [problem.pixels().div_ceil(TILE_PIXELS as usize), problem.group_out_slices().div_ceil(columns)];
        [tiles[0] * 8, tiles[1] * 8, problem.conv.groups * tile.parts as usize]
    }

    fn can_split(&self) -> bool {
        true
    }
}

fn tile(slices: u32) -> Tile {
    Tile { pixels: TILE_PIXELS / 8, slices, workgroup: WORKGROUP, parts: 1 }
}

fn constants(base: ShaderKey, slices: u32, lanes: u32) -> ShaderKey {
    let tile_slices = TILE_COLUMNS * slices;
    base.with("slices", slices)
        .with("lanes", lanes)
        .with("tile_pixels", TILE_PIXELS)
        // A vector is a channel of four pixels.
        .with("quads", TILE_PIXELS / 4)
        .with("tile_slices", tile_slices)
        .with("depth", TILE_DEPTH)
        // How many vectors of weights an invocation loads for a stage, and how many rows of channels lie between them.
        .with("weight_loads", (TILE_DEPTH * lanes * tile_slices).div_ceil(64))
        .with("weight_rows", 64 / tile_slices)
}
