//! Convolution from storage with register tiles, without workgroup memory and barriers: for software adapters, and for maps too
//! small to fill a tile.

use super::kernel::ConvKernel;
use super::problem::{ConvParams, ConvProblem};
use super::tiles::{layout_of_invocations, pays_subgroups, register_tile};
use crate::gpu::policy::{Policy, Tier, Tile};
use crate::gpu::shader::{Kernel, Precisions, ShaderKey};

/// Tap by tap.
static FAMILY: Kernel = Kernel {
    name: "conv_direct",
    template: "conv/direct.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::All,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: specialisations::taps,
    ..Kernel::DEFAULT
};

/// The products of Winograd convolutions.
static PRODUCTS: Kernel = Kernel {
    name: "winograd_products",
    template: "conv/direct.wgsl",
    params: ConvParams::BLOCK,
    precisions: Precisions::Single,
    #[cfg(not(target_arch = "wasm32"))]
    specialisations: specialisations::products,
    ..Kernel::DEFAULT
};

/// Pixels and slices in the registers of an invocation: on software adapters as much as compilers bear, because every load
/// costs; on GPUs less, because there must be many invocations.
const TILES_SOFTWARE: [[u32; 2]; 5] = [[16, 2], [8, 2], [8, 4], [16, 1], [4, 4]];
const TILES_HARDWARE: [[u32; 2]; 4] = [[4, 2], [8, 2], [4, 4], [1, 2]];

static FAMILIES: [&Kernel; 2] = [&FAMILY, &PRODUCTS];

/// The kernel.
pub struct Direct;

impl ConvKernel for Direct {
    fn name(&self) -> &'static str {
        "direct"
    }

    fn families(&self) -> &'static [&'static Kernel] {
        &FAMILIES
    }

    fn can_run(&self, problem: &ConvProblem, _: &Policy) -> bool {
        problem.has_whole_slices()
    }

    fn default_tile(&self, problem: &ConvProblem, policy: &Policy) -> Tile {
        register_tile(problem, policy)
    }

    fn accepts(&self, problem: &ConvProblem, tile: &Tile) -> bool {
        let Tile { pixels, slices, workgroup: [x, y], .. } = *tile;
        [1, 2, 4, 8, 16].contains(&pixels)
            && [1, 2, 4].contains(&slices)
            && problem.has_whole_tiles(slices)
            && x.is_power_of_two()
            && y.is_power_of_two()
            && (16..=256).contains(&x.saturating_mul(y))
    }

    fn other_tiles(&self, problem: &ConvProblem, policy: &Policy) -> Vec<Tile> {
        // Where subgroups share weights, it is rarely as good.
        if pays_subgroups(problem.pixels(), policy) {
            return vec![];
        }
        let tiles = match policy.tier {
            Tier::Software => &TILES_SOFTWARE[..],
            Tier::Hardware => &TILES_HARDWARE[..],
        };
        let fits = |[height, _]: &&[u32; 2]| *height as usize <= problem.pixels().next_power_of_two();
        let of = |&[pixels, slices]: &[u32; 2]| {
            let workgroup = layout_of_invocations([pixels, slices], problem.pixels(), policy);
            Tile { pixels, slices, workgroup, parts: 1 }
        };
        tiles.iter().filter(fits).map(of).collect()
    }

    fn shader(&self, problem: &ConvProblem, tile: &Tile, policy: &Policy) -> ShaderKey {
        let family = if problem.products_of.is_some() { &PRODUCTS } else { &FAMILY };
        specialised(family, problem, tile, 0, policy)
    }

    fn invocations(&self, problem: &ConvProblem, tile: &Tile) -> [usize; 3] {
        tiles_of(problem, tile)
    }

    fn can_split(&self) -> bool {
        true
    }
}

/// A key of the template, which [`Subgroup`](super::subgroup::Subgroup) shares, with weights loaded by so many invocations
/// together.
pub(super) fn specialised(
    family: &'static Kernel,
    problem: &ConvProblem,
    tile: &Tile,
    subgroup: u32,
    policy: &Policy,
) -> ShaderKey {
    let conv = &problem.conv;
    let pointwise = conv.taps() == 1 && conv.stride == [1, 1] && conv.padding == [0; 4];
    let base = problem.key(family, tile.workgroup, tile.parts > 1);
    constants(base, [tile.pixels, tile.slices, problem.lanes()], subgroup, pointwise, policy.is_compact())
}

fn constants(
    base: ShaderKey,
    [pixels, slices, lanes]: [u32; 3],
    subgroup: u32,
    pointwise: bool,
    compact: bool,
) -> ShaderKey {
    // How many weights of an input slice each invocation loads.
    let weight_loads = if subgroup > 0 { (lanes * slices).div_ceil(subgroup) } else { 0 };
    base.with("pixels", pixels)
        .with("slices", slices)
        .with("lanes", lanes)
        .with("pointwise", pointwise)
        .with("subgroup", subgroup)
        .with("weight_loads", weight_loads)
        .with("compact", compact)
}

/// Tiles of pixels, tiles of slices, and parts.
pub(super) fn tiles_of(problem: &ConvProblem, tile: &Tile) -> [usize; 3] {
    let slices = problem.out_slices().div_ceil(tile.slices as usize);
    [problem.pixels().div_ceil(tile.pixels as usize), slices, tile.parts as usize]
}

#[cfg(not(target_arch = "wasm32"))]
pub(super) mod specialisations {
    //! Every value of every constant that heuristics may choose.

    use super::super::problem::{bare_keys, keys_of_whole_sums};
    use super::{FAMILY, PRODUCTS, constants};
    use crate::gpu::shader::{Kernel, ShaderKey};

    const COMPACT: [bool; 2] = [false, true];
    const WORKGROUPS: [[u32; 2]; 3] = [[1, 32], [4, 8], [8, 4]];

    pub fn taps() -> Vec<ShaderKey> {
        let mut keys = vec![];
        let tiles = [1, 4, 8, 16].into_iter().flat_map(|pixels| [(pixels, 1), (pixels, 2)]);
        let tiles: Vec<_> = tiles.chain([(1, 4), (4, 4), (8, 4)]).collect();
        for base in WORKGROUPS.into_iter().flat_map(|workgroup| bare_keys(&FAMILY, workgroup)) {
            for &(pixels, slices) in &tiles {
                for (pointwise, compact) in [false, true].into_iter().flat_map(|a| COMPACT.map(|b| (a, b))) {
                    keys.push(constants(base.clone(), [pixels, slices, 4], 0, pointwise, compact));
                }
            }
        }
        for base in bare_keys(&FAMILY, [8, 4]) {
            for lanes in 1..=4 {
                for (tile, compact) in [(16, 2), (8, 4)].into_iter().flat_map(|a| COMPACT.map(|b| (a, b))) {
                    keys.push(constants(base.clone(), [tile.0, tile.1, lanes], 0, false, compact));
                }
            }
        }
        keys
    }

    pub fn products() -> Vec<ShaderKey> {
        let mut keys = vec![];
        for workgroup in WORKGROUPS {
            for (pixels, slices) in [1, 4, 8, 16].into_iter().flat_map(|pixels| [1, 2, 4].map(|s| (pixels, s))) {
                let of =
                    |compact| constants(bare_products(&PRODUCTS, workgroup), [pixels, slices, 4], 0, true, compact);
                keys.extend(COMPACT.map(of));
            }
        }
        keys
    }

    /// With weights that subgroups of SwiftShader's and lavapipe's sizes load together.
    pub fn shared(family: &'static Kernel, products: bool) -> Vec<ShaderKey> {
        let mut keys = vec![];
        for (workgroup, subgroup) in [[8, 1], [32, 1]].into_iter().flat_map(|group| [4, 8].map(|size| (group, size))) {
            let bases = match products {
                true => vec![bare_products(family, workgroup)],
                // Sums are never split.
                false => keys_of_whole_sums(family, workgroup),
            };
            for base in bases {
                for (pixels, slices) in [(2, 2), (4, 2), (2, 4), (4, 4), (8, 4)] {
                    for compact in COMPACT {
                        let of = |lanes, pointwise| {
                            constants(base.clone(), [pixels, slices, lanes], subgroup, pointwise, compact)
                        };
                        keys.push(of(4, true));
                        if !products {
                            keys.extend([1, 2, 3, 4].map(|lanes| of(lanes, false)));
                        }
                    }
                }
            }
        }
        keys
    }

    fn bare_products(family: &'static Kernel, workgroup: [u32; 2]) -> ShaderKey {
        family.key(workgroup).with("products", true).with("split", false).with("activation", "bounds")
    }
}
