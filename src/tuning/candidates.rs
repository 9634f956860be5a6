//! What could be the fastest way to run a convolution.

use crate::gpu::Tier;
use crate::gpu::choice::{Choice, Family, Tile};
use crate::gpu::choose::{
    Algorithm, Policy, columns_fit, families, lay_out, most_parts, pays_subgroups, usual, usual_products,
};
use crate::gpu::layout::slices;
use crate::gpu::winograd::Winograd;
use crate::plan::{Conv, Plan, Step};

/// Pixels and slices in the registers of an invocation: on software adapters as much as compilers bear, because every load
/// costs; on GPUs less, because there must be many invocations.
const TILES_SOFTWARE: [[u32; 2]; 5] = [[16, 2], [8, 2], [8, 4], [16, 1], [4, 4]];
/// The same where subgroups load weights together, with the width of a workgroup.
const TILES_SUBGROUP: [([u32; 2], u32); 4] = [([4, 4], 8), ([8, 4], 32), ([2, 4], 8), ([4, 2], 8)];
const TILES_HARDWARE: [[u32; 2]; 4] = [[4, 2], [8, 2], [4, 4], [1, 2]];

/// Choices worth timing for the convolution that a part consists of: the usual one first, every one once.
pub(super) fn of(part: &Plan, policy: &Policy) -> Vec<Choice> {
    let [Step::Conv(step)] = part.steps() else { return vec![] };
    let trusted = |&family: &Family| !policy.distrusted.contains(Algorithm::Taps(family));
    let families: Vec<Family> = families(step, policy).into_iter().filter(trusted).collect();
    let output @ [_, c, height, width] = part.value(step.output).shape;
    let mut choices = vec![];
    for &family in &families {
        let usual = usual(step, output, family, policy);
        match family {
            // Barriers make it many times as slow as the others on software adapters.
            Family::Tiled | Family::Cooperative if policy.tier == Tier::Software => continue,
            Family::Tiled => choices.extend([1, 2].map(|slices| with_slices(usual, slices))),
            Family::Subgroup => choices.extend(subgroup(usual, height * width)),
            // Rarely as good.
            Family::Direct if pays_subgroups(height * width, policy) => choices.push(usual),
            Family::Direct => choices.extend(direct(usual, height * width, policy)),
            Family::Cooperative => choices.push(usual),
            Family::Depthwise => choices.extend(depthwise(usual, step)),
            // Slow: for what nothing else can run, and where that turns out to be wrong.
            Family::Grouped if families.contains(&Family::Direct) => continue,
            Family::Grouped => choices.push(usual),
        }
    }
    if policy.tier == Tier::Hardware && !policy.distrusted.contains(Algorithm::Split) {
        let whole: Vec<Choice> = choices.clone();
        choices.extend(whole.iter().flat_map(|choice| split(*choice, step)));
    }
    choices
        .iter_mut()
        .filter(|_| policy.distrusted.contains(Algorithm::Split))
        .for_each(|choice| choice.tile.parts = 1);
    let sizes = Winograd::ALL.into_iter().filter(|&size| !policy.distrusted.contains(Algorithm::Winograd(size)));
    for size in sizes.filter(|_| Winograd::can_run(&step.conv)) {
        let tiles = size.tiles([height, width]).into_iter().product();
        let usual = usual_products(size, tiles, slices(c), policy);
        choices.push(usual);
        if policy.tier == Tier::Hardware {
            let tiled = Tile { pixels: 8, slices: 1, workgroup: [8, 8], parts: 1 };
            choices.extend([1, 2].map(|slices| Choice {
                family: Family::Tiled,
                tile: Tile { slices, ..tiled },
                ..usual
            }));
        }
        match usual.family {
            Family::Subgroup => choices.extend(subgroup(usual, tiles)),
            _ => choices.extend(direct(usual, tiles, policy)),
        }
    }
    let mut distinct: Vec<Choice> = vec![];
    for choice in choices.into_iter().filter(|choice| choice.fits(&step.conv)) {
        if !distinct.contains(&choice) {
            distinct.push(choice);
        }
    }
    distinct
}

fn with_slices(usual: Choice, slices: u32) -> Choice {
    Choice { tile: Tile { slices, ..usual.tile }, ..usual }
}

/// The usual one, and the other tiles.
fn direct(usual: Choice, pixels: usize, policy: &Policy) -> Vec<Choice> {
    let tiles = match policy.tier {
        Tier::Software => &TILES_SOFTWARE[..],
        Tier::Hardware => &TILES_HARDWARE[..],
    };
    let tiles = tiles.iter().filter(|[height, _]| *height as usize <= pixels.next_power_of_two());
    let of = |&[height, slices]: &[u32; 2]| {
        let tile = Tile { pixels: height, slices, workgroup: lay_out([height, slices], pixels, policy), parts: 1 };
        Choice { family: Family::Direct, tile, ..usual }
    };
    std::iter::once(usual).chain(tiles.map(of)).collect()
}

fn subgroup(usual: Choice, pixels: usize) -> impl Iterator<Item = Choice> {
    // Nobody should have nothing to do.
    let fills = move |&([height, _], width): &([u32; 2], u32)| (height * width) as usize <= pixels.max(16);
    TILES_SUBGROUP.into_iter().filter(fills).map(move |([height, slices], width)| {
        let tile = Tile { pixels: height, slices, workgroup: [width, 1], parts: 1 };
        Choice { family: Family::Subgroup, tile, ..usual }
    })
}

fn depthwise(usual: Choice, step: &Conv) -> Vec<Choice> {
    let narrower = [4, 2, 1].into_iter().filter(|&pixels| pixels < usual.tile.pixels);
    let of = |pixels| Choice { tile: Tile { pixels, ..usual.tile }, ..usual };
    std::iter::once(usual).chain(narrower.filter(|&pixels| columns_fit(step, pixels)).map(of)).collect()
}

/// The same with sums in fewer and in more parts.
fn split(choice: Choice, step: &Conv) -> Vec<Choice> {
    let parts = choice.tile.parts;
    let others = [1, parts / 2, parts * 2, parts * 4].into_iter().filter(|&other| other > 0 && other != parts);
    let possible = others.filter(|&other| other <= most_parts(&choice, step));
    possible.map(|parts| Choice { tile: Tile { parts, ..choice.tile }, ..choice }).collect()
}
