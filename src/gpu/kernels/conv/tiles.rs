//! Heuristics for register tiles: how many pixels and slices an invocation has, and how invocations lie.

use super::problem::ConvProblem;
use crate::gpu::policy::{Policy, Tier, Tile};

/// The register tile and the workgroup for a convolution.
///
/// Large tiles reuse every value and every weight most, which is what software adapters gain from: every load costs them about
/// as much as three products. But what lies beyond the map takes its time all the same, and so do invocations side by side
/// that have nothing to do: a map of 7×7 has 49 pixels, which are 4 tiles of 16 for 8 invocations, and 7 of 8. And invocations
/// side by side that are at different slices load different weights, which costs more than loading the same ones.
pub fn register_tile(problem: &ConvProblem, policy: &Policy) -> Tile {
    // Of tiles that take as long, the first: the compiler has less to do with fewer pixels.
    const TILES: [[usize; 2]; 11] =
        [[8, 4], [16, 2], [8, 2], [4, 4], [4, 2], [16, 1], [8, 1], [4, 1], [1, 4], [1, 2], [1, 1]];
    let pixels = problem.pixels();
    // GPUs spill registers of larger tiles: `cargo xtask shader-stats`.
    let most = if policy.tier == Tier::Hardware { [4, 8] } else { [usize::MAX; 2] };
    let fits = |&[height, wide]: &[usize; 2]| {
        height <= pixels.max(1).min(most[0]) && height * wide <= most[1] && problem.has_whole_tiles(wide as u32)
    };
    let time = |&[height, wide]: &[usize; 2]| {
        let (_, time) = best_width(height, wide, pixels, policy);
        time * problem.group_out_slices().next_multiple_of(wide)
    };
    let best = TILES.into_iter().filter(fits).min_by_key(time);
    let [height, wide] = best.unwrap_or([1, 1]);
    let workgroup = workgroup(best_width(height, wide, pixels, policy).0);
    Tile { pixels: height as u32, slices: wide as u32, workgroup, parts: 1 }
}

/// How invocations lie, each with so many pixels and slices, for a map of `pixels`.
pub fn layout_of_invocations([height, wide]: [u32; 2], pixels: usize, policy: &Policy) -> [u32; 2] {
    workgroup(best_width(height as usize, wide as usize, pixels, policy).0)
}

/// Invocations along pixels, and what a slice of the map then takes, in quarters of a product.
fn best_width(height: usize, wide: usize, pixels: usize, policy: &Policy) -> (usize, usize) {
    // What loading the weights of a slice costs, in products: they are the same for invocations side by side, or are not, which
    // is worst where many of them are one vector. SwiftShader's have four.
    let apart = if policy.swiftshader { 5 } else { 24 };
    let widths = [(8, 3), (4, 6), (1, apart)];
    let time = |(width, weights)| {
        let tiles = pixels.div_ceil(height).next_multiple_of(width);
        // Values are loaded once for all slices, by neighbours that lie side by side.
        tiles * (4 * (height + weights) + 3 * height / wide)
    };
    let times = widths.map(|width| (width.0, time(width)));
    times.into_iter().min_by_key(|&(_, time)| time).unwrap_or((8, 0))
}

fn workgroup(width: usize) -> [u32; 2] {
    const INVOCATIONS: usize = 32;
    [width, INVOCATIONS / width].map(|count| count as u32)
}

/// The same where subgroups load weights together: all invocations of a workgroup are at the same slices. Weights cost little, so
/// that tiles need not be large: the small ones leave less of a small map's last workgroup without work, and the compiler is
/// done with them sooner.
pub fn subgroup_tile(problem: &ConvProblem) -> Tile {
    const TILES: [[usize; 2]; 3] = [[4, 4], [2, 4], [4, 2]];
    const WIDTH: usize = 8;
    let pixels = problem.pixels();
    let fits = |&[_, wide]: &[usize; 2]| problem.has_whole_tiles(wide as u32);
    let time = |&[height, wide]: &[usize; 2]| {
        let tiles = pixels.div_ceil(height).next_multiple_of(WIDTH);
        // In quarters of a product, from tuning on lavapipe: the weights of a slice are as much as three of them, and a value
        // for all slices as five.
        tiles * (4 * height + 13 + 19 * height / wide) * problem.group_out_slices().next_multiple_of(wide)
    };
    let [height, wide] = TILES.into_iter().filter(fits).min_by_key(time).unwrap_or([4, 2]);
    Tile { pixels: height as u32, slices: wide as u32, workgroup: [WIDTH as u32, 1], parts: 1 }
}

/// Whether sharing weights is faster for so many pixels, without having been measured: in subgroups of 4, loading is hardly
/// more than broadcasting, and on small maps invocations have nothing to do.
pub fn pays_subgroups(pixels: usize, policy: &Policy) -> bool {
    policy.shared_weights() >= 8 && pixels >= 16
}
