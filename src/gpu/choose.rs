//! Which kernel runs a convolution: heuristics by shape and tier.
//!
//! Feature composition, forward, as one dispatch against two (`cargo run --example measure_layer -- llvmpipe`, medians of 5
//! runs in ms, S = 9, batch 4; lavapipe of Mesa 22.3.6 and SwiftShader of Chromium 156 on 2 shared cores of an AMD EPYC
//! 7003). `again` is how many products more per value in between:
//!
//! | layer | again | lavapipe | SwiftShader |
//! |---|---:|---:|---:|
//! | 3 → 32, 3×3, stride 2, 64×64 | 9 | 37 : 59 | 109 : 115 |
//! | 16 → 16, 3×3, 32×32 | 0 | 96 : 228 | 180 : 416 |
//! | 64 → 64 in 8 groups, 3×3, 16×16 | 0 | 73 : 182 | 136 : 247 |
//! | 64 → 64, 3×3, 16×16 | 27 | 356 : 328 | 496 : 331 |
//!
//! On GPUs, of which none has been measured, it is decided by what writing and reading the values would cost.

use super::Tier;
pub use super::choice::Family;
use super::choice::{Choice, MOST_PARTS, Tile};
use super::dispatch::MAX_GROUPS;
use super::layout::slices;
use super::shader::{ActivationClass, COOPERATIVE_PIXELS, COOPERATIVE_SIDE, GRADIENT_DEPTH, Shader, TILE_PIXELS};
use super::tuned::Tuned;
use super::winograd::Winograd;
use crate::Precision;
use crate::network::{Conv2d, Shape};
use crate::plan::{Conv, KernelId, Plan, Step};

/// How a convolution is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Tap by tap, in one dispatch.
    Taps(Family),
    /// Winograd's filtering, in three.
    Winograd(Winograd),
    /// The two convolutions of feature composition as one: [`Shader::ConvFeature`].
    Feature,
    /// Sums that several invocations share: [`Shader::ConvSum`] adds up the parts.
    Split,
}

impl Algorithm {
    const ALL: [Self; 10] = [
        Self::Taps(Family::Direct),
        Self::Taps(Family::Subgroup),
        Self::Taps(Family::Tiled),
        Self::Taps(Family::Cooperative),
        Self::Taps(Family::Depthwise),
        Self::Taps(Family::Grouped),
        Self::Winograd(Winograd::F2),
        Self::Winograd(Winograd::F4),
        Self::Feature,
        Self::Split,
    ];

    /// The algorithm that a shader belongs to, if it is one that others can stand in for.
    pub fn of(shader: Shader) -> Option<Self> {
        Some(match shader {
            Shader::ConvDirect { subgroup, .. } | Shader::WinogradProduct { subgroup, .. } if subgroup > 0 => {
                Self::Taps(Family::Subgroup)
            }
            Shader::ConvDirect { .. } => Self::Taps(Family::Direct),
            Shader::ConvTiled { .. } => Self::Taps(Family::Tiled),
            Shader::ConvCooperative { .. } => Self::Taps(Family::Cooperative),
            Shader::ConvDepthwise { .. } => Self::Taps(Family::Depthwise),
            Shader::ConvGrouped { .. } => Self::Taps(Family::Grouped),
            Shader::WinogradKernel { size }
            | Shader::WinogradInput { size, .. }
            | Shader::WinogradOutput { size, .. } => Self::Winograd(size),
            Shader::ConvFeature { .. } => Self::Feature,
            Shader::ConvSum { .. } => Self::Split,
            _ => return None,
        })
    }
}

/// Algorithms, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Algorithms([bool; Algorithm::ALL.len()]);

impl Algorithms {
    fn place(algorithm: Algorithm) -> Option<usize> {
        Algorithm::ALL.iter().position(|&other| other == algorithm)
    }

    /// Whether one is among them.
    pub fn contains(&self, algorithm: Algorithm) -> bool {
        Self::place(algorithm).is_some_and(|at| self.0[at])
    }

    /// Adds one, and says whether it is new.
    pub fn insert(&mut self, algorithm: Algorithm) -> bool {
        Self::place(algorithm).is_some_and(|at| !std::mem::replace(&mut self.0[at], true))
    }
}

/// By what kernels are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// What the adapter is.
    pub tier: Tier,
    /// What every convolution gets that it can run: for tests and measurements.
    pub preferred: Option<Algorithm>,
    /// What was found to compute wrong results here, and is left out wherever something else will do.
    pub distrusted: Algorithms,
    /// How maps and kernels are stored, and what convolutions compute with.
    pub precision: Precision,
    /// Whether there are matrix units for [`Shader::ConvCooperative`].
    pub cooperative: bool,
    /// Whether it is SwiftShader. Loops make it compile in a third of the time, and run as fast; lavapipe unrolls them all and has
    /// more to do; and other compilers may put into memory what should be in registers.
    pub swiftshader: bool,
    /// How many invocations are a subgroup, where that is known and weights may be loaded together; otherwise 0.
    pub subgroup: u32,
    /// What measurements found best, for a batch of one.
    pub tuned: Tuned,
}

impl From<Tier> for Policy {
    fn from(tier: Tier) -> Self {
        let (precision, tuned) = (Precision::F32, Tuned::default());
        let distrusted = Algorithms::default();
        Self {
            tier,
            preferred: None,
            distrusted,
            precision,
            cooperative: false,
            swiftshader: false,
            subgroup: 0,
            tuned,
        }
    }
}

impl Policy {
    /// Whether there are matrix units for what is stored.
    pub(crate) fn has_matrix_units(&self) -> bool {
        self.precision != Precision::F32 && self.cooperative
    }

    /// Whether the device transforms plain kernels for Winograd's filtering, rather than the host: four times as many values need
    /// not be brought there. A software adapter takes as long to compile the shaders for that as they save.
    pub(crate) fn transforms_kernels(&self) -> bool {
        self.tier == Tier::Hardware
    }

    /// Whether shaders are to be compact.
    pub(crate) fn is_compact(&self) -> bool {
        self.tier == Tier::Software && self.swiftshader
    }

    /// As `subgroup`, for what is stored: GPUs load what is the same for all only once anyway, and half precision asks for
    /// operations that few software adapters have.
    #[cfg(not(target_arch = "wasm32"))]
    fn subgroup(&self) -> u32 {
        let is_trusted = !self.distrusted.contains(Algorithm::Taps(Family::Subgroup));
        let is_wanted = self.tier == Tier::Software && !self.precision.has_half_sums();
        if is_wanted && is_trusted { self.subgroup } else { 0 }
    }

    /// Browsers do not say how many invocations are one.
    #[cfg(target_arch = "wasm32")]
    fn subgroup(&self) -> u32 {
        0
    }
}

/// Channels from which on Winograd's filtering pays: below, transforming costs what it saves.
const LEAST_CHANNELS_SOFTWARE: usize = 16;
/// What LiteRT's GPU engine asks for; not measured here.
const LEAST_CHANNELS_HARDWARE: usize = 64;
const LEAST_TILES_HARDWARE: usize = 32;

/// Most input columns that an invocation of the depthwise kernel keeps in registers.
const MAX_COLUMNS: usize = 24;

/// The families that can run this convolution with a kernel as it is, most special first; the last one can run any.
pub fn families(step: &Conv, policy: &Policy) -> Vec<Family> {
    let conv = &step.conv;
    let whole_slices = conv.channels_per_group().is_multiple_of(4) && conv.outputs_per_group().is_multiple_of(4);
    let mut families = vec![];
    if is_cooperative(conv, policy) {
        families.push(Family::Cooperative);
    }
    if conv.is_depthwise() && conv.outputs_per_group() == 1 && columns(step, 1) <= MAX_COLUMNS {
        families.push(Family::Depthwise);
    }
    if conv.groups == 1 || whole_slices {
        if shares_weights(conv, policy) {
            families.push(Family::Subgroup);
        }
        families.extend([Family::Tiled, Family::Direct]);
    }
    if conv.groups > 1 {
        families.push(Family::Grouped);
    }
    families
}

/// Whether matrix units can run a convolution here: its groups consist of whole matrices.
fn is_cooperative(conv: &Conv2d, policy: &Policy) -> bool {
    let side = COOPERATIVE_SIDE as usize;
    policy.has_matrix_units()
        && conv.channels_per_group().is_multiple_of(side)
        && conv.outputs_per_group().is_multiple_of(side)
}

/// Whether a subgroup can load weights together here: those for two slices of outputs at least.
fn shares_weights(conv: &Conv2d, policy: &Policy) -> bool {
    let out_slices = slices(conv.outputs_per_group());
    let whole_tiles = conv.groups == 1 && out_slices >= 2 || out_slices.is_multiple_of(2);
    policy.subgroup() > 0 && whole_tiles
}

/// The kernels that are transformed when a model is loaded, with the size of the tiles: those of convolutions that
/// Winograd's filtering runs. Gradients want kernels as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transformed(Vec<Option<Winograd>>);

impl Transformed {
    /// The tiles for which a kernel is transformed.
    pub fn get(&self, kernel: KernelId) -> Option<Winograd> {
        self.0[kernel.0]
    }
}

/// Which kernels of a plan are transformed.
pub fn transformed(plan: &Plan, policy: &Policy) -> Transformed {
    let none = vec![None; plan.kernels.len()];
    if plan.reads_kernels() {
        return Transformed(none);
    }
    let (mut chosen, mut needed_as_they_are) = (none, vec![]);
    for step in &plan.steps {
        let Step::Conv(conv) = step else { continue };
        let [_, _, height, width] = plan.value(conv.output).shape;
        match winograd(&conv.conv, [height, width], policy) {
            Some(size) => chosen[conv.kernel.0] = Some(size),
            None => needed_as_they_are.push(conv.kernel),
        }
    }
    needed_as_they_are.into_iter().for_each(|kernel| chosen[kernel.0] = None);
    Transformed(chosen)
}

/// Whether Winograd's filtering is the best for a convolution with an output of this height and width, and with which tiles.
/// Decided for a batch of one, because the kernel is transformed before any batch is known.
pub fn winograd(conv: &Conv2d, output: [usize; 2], policy: &Policy) -> Option<Winograd> {
    if !Winograd::can_run(conv) {
        return None;
    }
    let is_trusted = |&size: &Winograd| !policy.distrusted.contains(Algorithm::Winograd(size));
    match policy.preferred {
        Some(Algorithm::Winograd(size)) => return Some(size).filter(is_trusted),
        Some(_) => return None,
        None => {}
    }
    if let Some(Choice { winograd, .. }) = policy.tuned.get(conv, output)
        && winograd.is_none_or(|size| is_trusted(&size))
    {
        return winograd;
    }
    // They do more products in the time than filtering saves.
    if is_cooperative(conv, policy) && !policy.distrusted.contains(Algorithm::Taps(Family::Cooperative)) {
        return None;
    }
    // Of few tiles, what takes time is to load the kernels, which are the larger the larger tiles are: measured on lavapipe.
    let loading = if policy.tier == Tier::Software && policy.subgroup() >= 8 { 33 } else { 0 };
    let time = |size: &Winograd| size.products(output) + loading * size.places();
    let best = Winograd::ALL.into_iter().filter(is_trusted).min_by_key(time)?;
    let (least_channels, least_tiles) = match policy.tier {
        Tier::Software => (LEAST_CHANNELS_SOFTWARE, 1),
        Tier::Hardware => (LEAST_CHANNELS_HARDWARE, LEAST_TILES_HARDWARE),
    };
    let tiles: usize = best.tiles(output).into_iter().product();
    let pays = conv.in_channels.min(conv.out_channels) >= least_channels
        && tiles >= least_tiles
        && 2 * best.products(output) < conv.taps() * output[0] * output[1];
    pays.then_some(best)
}

/// A convolution's shader, and in how many parts its sums are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Which shader.
    pub shader: Shader,
    /// Invocations that share a sum. More than one leave parts of it, which [`Shader::ConvSum`] adds up.
    pub parts: u32,
}

/// Chooses a shader for a convolution with this output and a kernel as it is.
pub fn choose(step: &Conv, output: Shape, policy: &Policy) -> Chosen {
    let is_trusted = |&family: &Family| !policy.distrusted.contains(Algorithm::Taps(family));
    let (trusted, others): (Vec<Family>, Vec<Family>) = families(step, policy).into_iter().partition(is_trusted);
    let families = if trusted.is_empty() { others } else { trusted };
    let may_split = !policy.distrusted.contains(Algorithm::Split);
    let tuned = || {
        let choice = policy.tuned.get(&step.conv, [output[2], output[3]]).filter(|_| output[0] == 1)?;
        let can_run = choice.winograd.is_none() && families.contains(&choice.family);
        (can_run && (may_split || choice.tile.parts == 1)).then_some(choice)
    };
    let family = match policy.preferred {
        Some(Algorithm::Taps(family)) if families.contains(&family) => family,
        Some(_) => by_tier(step, output, &families, policy),
        None => match tuned() {
            Some(choice) => return specialise(step, choice, policy),
            None => by_tier(step, output, &families, policy),
        },
    };
    let mut choice = usual(step, output, family, policy);
    match policy.preferred {
        Some(Algorithm::Split) if may_split => choice.tile.parts = most_parts(&choice, step).min(3),
        Some(_) => choice.tile.parts = 1,
        None if !may_split => choice.tile.parts = 1,
        None => {}
    }
    specialise(step, choice, policy)
}

fn by_tier(step: &Conv, [n, c, h, w]: Shape, families: &[Family], policy: &Policy) -> Family {
    // A tile of the workgroup-memory kernel wants enough pixels and channels to fill it.
    let fills_tile = n * h * w >= 32 && c / step.conv.groups >= 16;
    let is_fit = |&family: &Family| match family {
        Family::Tiled | Family::Cooperative => false,
        Family::Subgroup => pays_subgroups(n * h * w, policy),
        Family::Direct | Family::Depthwise | Family::Grouped => true,
    };
    match policy.tier {
        Tier::Hardware if fills_tile => families[0],
        _ => families.iter().copied().find(is_fit).unwrap_or(families[0]),
    }
}

/// Whether sharing weights is faster for so many pixels, without having been measured: in subgroups of 4, loading is hardly
/// more than handing around, and on small maps invocations have nothing to do.
pub fn pays_subgroups(pixels: usize, policy: &Policy) -> bool {
    policy.subgroup() >= 8 && pixels >= 16
}

/// How a family runs a convolution with this output, without having been measured. The family must be one of [`families`].
pub fn usual(step: &Conv, output: Shape, family: Family, policy: &Policy) -> Choice {
    let conv = &step.conv;
    let group_slices = slices(conv.outputs_per_group());
    let tile = match family {
        Family::Direct => register_tile(output[0] * output[2] * output[3], group_slices, conv.groups == 1, policy),
        Family::Subgroup => subgroup_tile(output[0] * output[2] * output[3], group_slices, conv.groups == 1),
        Family::Tiled => {
            let slices = if group_slices >= 16 { 2 } else { 1 };
            Tile { pixels: TILE_PIXELS / 8, slices, workgroup: [8, 8], parts: 1 }
        }
        Family::Cooperative => {
            let side = COOPERATIVE_SIDE as usize;
            let fits = |columns: &usize| conv.outputs_per_group().is_multiple_of(side * columns);
            let columns = [4, 2, 1].into_iter().find(fits).unwrap_or(1);
            let slices = (columns * side / 4) as u32;
            Tile { pixels: COOPERATIVE_PIXELS, slices, workgroup: [COOPERATIVE_PIXELS, 1], parts: 1 }
        }
        Family::Depthwise => {
            let outputs = [4, 2, 1].into_iter().find(|&outputs| columns(step, outputs) <= MAX_COLUMNS).unwrap_or(1);
            let pixels = outputs.min(output[3].next_power_of_two()) as u32;
            Tile { pixels, slices: 1, workgroup: [8, 8], parts: 1 }
        }
        Family::Grouped => Tile { pixels: 1, slices: 1, workgroup: [64, 1], parts: 1 },
    };
    let mut choice = Choice { winograd: None, family, tile };
    choice.tile.parts = parts(&choice, step, output, policy.tier);
    choice
}

/// Whether the depthwise kernel can keep what so many pixels of a row need.
pub fn columns_fit(step: &Conv, pixels: u32) -> bool {
    columns(step, pixels as usize) <= MAX_COLUMNS
}

/// The shader of a choice, which must fit the convolution.
fn specialise(step: &Conv, choice: Choice, policy: &Policy) -> Chosen {
    let conv = &step.conv;
    let lanes = conv.channels_per_group().min(4) as u32;
    let Tile { pixels, slices, workgroup, parts } = choice.tile;
    let split = parts > 1;
    // What only leaves parts has nothing to do with them afterwards.
    let activation = if split { ActivationClass::Bounds } else { ActivationClass::of_step(step) };
    let shader = match choice.family {
        Family::Direct | Family::Subgroup => {
            let pointwise = conv.taps() == 1 && conv.stride == [1, 1] && conv.padding == [0; 4];
            let subgroup = if choice.family == Family::Subgroup { policy.subgroup() } else { 0 };
            let compact = policy.is_compact();
            Shader::ConvDirect { pixels, slices, workgroup, lanes, pointwise, split, subgroup, compact, activation }
        }
        Family::Tiled => Shader::ConvTiled { slices, lanes, split, activation },
        Family::Cooperative => Shader::ConvCooperative { columns: 4 * slices / COOPERATIVE_SIDE, activation },
        Family::Depthwise => Shader::ConvDepthwise {
            outputs: pixels,
            kernel: conv.kernel.map(|extent| extent as u32),
            stride_x: conv.stride[1] as u32,
            dilation_x: conv.dilation[1] as u32,
            workgroup,
            activation,
        },
        Family::Grouped => Shader::ConvGrouped { activation },
    };
    Chosen { shader, parts }
}

/// In how many parts a sum can be at most.
pub fn most_parts(choice: &Choice, step: &Conv) -> u32 {
    match choice.family {
        Family::Direct | Family::Tiled => MOST_PARTS.min(slices(step.conv.channels_per_group()) as u32),
        Family::Subgroup | Family::Cooperative | Family::Depthwise | Family::Grouped => 1,
    }
}

/// In how many parts sums should be for the adapter to be busy.
///
/// Few pixels with many channels, as at the end of every classifier, are few invocations with long sums. Software adapters
/// are busy with a few hundred invocations. GPUs were not measured.
fn parts(choice: &Choice, step: &Conv, [n, c, h, w]: Shape, tier: Tier) -> u32 {
    if tier == Tier::Software {
        return 1;
    }
    let Tile { pixels, slices: wide, .. } = choice.tile;
    let invocations = (n * h * w).div_ceil(pixels as usize) * slices(c).div_ceil(wide as usize);
    let terms = step.conv.channels_per_group() * step.conv.taps();
    let enough = (ENOUGH_HARDWARE / invocations.max(1)).min(terms / LEAST_TERMS_HARDWARE).max(1);
    most_parts(choice, step).min(enough as u32)
}

/// Invocations of convolutions that keep a GPU busy: each holds tens of registers.
const ENOUGH_HARDWARE: usize = 16_384;
/// Shorter sums are not cut: writing and reading the parts would take longer.
const LEAST_TERMS_HARDWARE: usize = 256;

/// The tile of an invocation and the shape of a workgroup, for a map of so many pixels and groups of so many output slices,
/// which may be `ragged`: the last tile may reach beyond them.
///
/// Large tiles reuse every value and every weight most, which is what software adapters gain from: every load costs them about
/// as much as three products. But what lies beyond the map takes its time all the same, and so do invocations side by side
/// that have nothing to do: a map of 7×7 has 49 pixels, which are 4 tiles of 16 for 8 invocations, and 7 of 8. And invocations
/// side by side that are at different slices load different weights, which costs more than loading the same ones.
fn register_tile(pixels: usize, group_slices: usize, ragged: bool, policy: &Policy) -> Tile {
    // Of tiles that take as long, the first: the compiler has less to do with fewer pixels.
    const TILES: [[usize; 2]; 11] =
        [[8, 4], [16, 2], [8, 2], [4, 4], [4, 2], [16, 1], [8, 1], [4, 1], [1, 4], [1, 2], [1, 1]];
    // GPUs spill registers of larger tiles: `cargo xtask shader-stats`.
    let most = if policy.tier == Tier::Hardware { [4, 8] } else { [usize::MAX; 2] };
    let fits = |&[height, wide]: &[usize; 2]| {
        height <= pixels.max(1).min(most[0])
            && height * wide <= most[1]
            && (ragged || group_slices.is_multiple_of(wide))
    };
    let time = |&[height, wide]: &[usize; 2]| {
        let (_, time) = best_width(height, wide, pixels, policy);
        time * group_slices.next_multiple_of(wide)
    };
    let best = TILES.into_iter().filter(fits).min_by_key(time);
    let [height, wide] = best.unwrap_or([1, 1]);
    let workgroup = workgroup(best_width(height, wide, pixels, policy).0);
    Tile { pixels: height as u32, slices: wide as u32, workgroup, parts: 1 }
}

/// How invocations lie, each with so many pixels and slices.
pub fn lay_out([height, wide]: [u32; 2], pixels: usize, policy: &Policy) -> [u32; 2] {
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

/// The same for [`Family::Subgroup`], of which all invocations of a workgroup are at the same slices. Weights cost little, so
/// that tiles need not be large: the small ones leave less of a small map's last workgroup without work, and the compiler is
/// done with them sooner.
fn subgroup_tile(pixels: usize, group_slices: usize, ragged: bool) -> Tile {
    const TILES: [[usize; 2]; 3] = [[4, 4], [2, 4], [4, 2]];
    const WIDTH: usize = 8;
    let fits = |&[_, wide]: &[usize; 2]| ragged || group_slices.is_multiple_of(wide);
    let time = |&[height, wide]: &[usize; 2]| {
        let tiles = pixels.div_ceil(height).next_multiple_of(WIDTH);
        // In quarters of a product, from tuning on lavapipe: the weights of a slice are as much as three of them, and a value
        // for all slices as five.
        tiles * (4 * height + 13 + 19 * height / wide) * group_slices.next_multiple_of(wide)
    };
    let [height, wide] = TILES.into_iter().filter(fits).min_by_key(time).unwrap_or([4, 2]);
    // A grid of wider workgroups reaches over larger maps.
    let width = if pixels.div_ceil(height * WIDTH) > MAX_GROUPS as usize { 4 * WIDTH } else { WIDTH };
    Tile { pixels: height as u32, slices: wide as u32, workgroup: [width as u32, 1], parts: 1 }
}

fn workgroup(width: usize) -> [u32; 2] {
    const INVOCATIONS: usize = 32;
    [width, INVOCATIONS / width].map(|count| count as u32)
}

/// How Winograd's products are made, without having been measured: `tiles` of them at every place, of `out_slices` slices.
pub fn usual_products(size: Winograd, tiles: usize, out_slices: usize, policy: &Policy) -> Choice {
    let (family, tile) = if policy.tier == Tier::Hardware && tiles >= 32 && out_slices >= 4 {
        let slices = if out_slices >= 16 { 2 } else { 1 };
        (Family::Tiled, Tile { pixels: TILE_PIXELS / 8, slices, workgroup: [8, 8], parts: 1 })
    } else if pays_subgroups(tiles, policy) && out_slices.is_multiple_of(2) {
        (Family::Subgroup, subgroup_tile(tiles, out_slices, false))
    } else {
        (Family::Direct, register_tile(tiles, out_slices, false, policy))
    };
    Choice { winograd: Some(size), family, tile }
}

/// How many channels of a slice an invocation of [`Shader::WinogradInput`] transforms. GPUs spill registers with four;
/// software adapters would compute addresses twice with two.
pub fn input_channels(policy: &Policy) -> u32 {
    if policy.tier == Tier::Hardware { 2 } else { 4 }
}

/// The shader of Winograd's products for a convolution with this output.
pub fn choose_products(step: &Conv, size: Winograd, [n, c, h, w]: Shape, policy: &Policy) -> Shader {
    let tiles = n * size.tiles([h, w]).into_iter().product::<usize>();
    let can_run = |choice: &Choice| choice.family != Family::Subgroup || policy.subgroup() > 0;
    let tuned = policy.tuned.get(&step.conv, [h, w]).filter(|choice| n == 1 && choice.winograd == Some(size));
    let choice = tuned.filter(can_run).unwrap_or_else(|| usual_products(size, tiles, slices(c), policy));
    let Choice { family, tile: Tile { pixels, slices, workgroup, .. }, .. } = choice;
    let subgroup = if family == Family::Subgroup { policy.subgroup() } else { 0 };
    match family {
        Family::Tiled => Shader::WinogradProductTiled { slices },
        _ => Shader::WinogradProduct { pixels, slices, workgroup, subgroup, compact: policy.is_compact() },
    }
}

/// Input columns that `outputs` neighbouring pixels of a row need.
fn columns(step: &Conv, outputs: usize) -> usize {
    let conv = &step.conv;
    (outputs - 1) * conv.stride[1] + (conv.kernel[1] - 1) * conv.dilation[1] + 1
}

/// How a long sum is cut into parts that are summed by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Number of parts.
    pub parts: usize,
    /// Terms of each; the last may have fewer.
    pub terms: usize,
}

/// Bytes that the parts of a sum may take together.
const PARTS_BYTES: usize = 32 << 20;

impl Split {
    /// Cuts `terms` into parts so that `invocations` of them with one part each are enough to occupy the adapter; parts
    /// are multiples of `step`, and no shorter than pays. `bytes` is what the result of one part takes.
    pub fn new(terms: usize, invocations: usize, bytes: usize, step: usize, tier: Tier) -> Self {
        // Software adapters have as many invocations under way as a CPU has vector lanes, GPUs tens of thousands.
        let (enough, least) = match tier {
            Tier::Software => (2048, 64),
            Tier::Hardware => (65_536, 128),
        };
        let wanted = enough / invocations.max(1);
        let most = (terms / least).min(PARTS_BYTES / bytes.max(1)).min(4096);
        let terms_each = terms.div_ceil(wanted.min(most).max(1)).next_multiple_of(step);
        Self { parts: terms.div_ceil(terms_each), terms: terms_each }
    }
}

/// Chooses a shader for the gradient of a convolution's kernel. `pixels` are those of the output and the whole batch.
pub fn choose_kernel_gradient(conv: &Conv2d, pixels: usize, tier: Tier) -> Shader {
    let (cpg, q) = (conv.channels_per_group(), conv.outputs_per_group());
    if cpg == 1 && conv.groups > 1 {
        return Shader::KernelGradientDepthwise { taps: conv.taps().min(9) as u32, multiplier: q > 1 };
    }
    if conv.groups > 1 && !(cpg.is_multiple_of(4) && q.is_multiple_of(4)) {
        return Shader::KernelGradientGrouped { lanes: cpg.min(4) as u32 };
    }
    let (columns, slices) = (conv.taps() * slices(cpg), slices(q));
    if tier == Tier::Hardware && columns >= 8 && slices >= 4 && pixels >= GRADIENT_DEPTH as usize {
        let double = |count: usize| if count > 8 { 2 } else { 1 };
        return Shader::KernelGradientTiled { slices: double(slices), columns: double(columns) };
    }
    let may_double = tier == Tier::Software || columns < 4;
    let slices = if may_double && (slices.is_multiple_of(2) || (conv.groups == 1 && slices >= 3)) { 2 } else { 1 };
    Shader::KernelGradientDirect { slices, columns: if columns >= 4 { 4 } else { 1 } }
}

/// Chooses the shader that runs the two convolutions of feature composition as one, where that can be and pays.
/// `depthwise` is the one with D, `step` the one with W that alone reads it, `output` its result.
///
/// Fusing saves writing and reading S maps per input channel, and costs that every tile of outputs makes them anew.
pub fn choose_feature(depthwise: &Conv, step: &Conv, output: Shape, policy: &Policy) -> Option<Shader> {
    if policy.distrusted.contains(Algorithm::Feature) {
        return None;
    }
    let (conv, pointwise) = (&depthwise.conv, &step.conv);
    let d_mul = conv.outputs_per_group();
    let (cpg, q) = (conv.in_channels / pointwise.groups, pointwise.outputs_per_group());
    if pointwise.groups > 1 && !(cpg.is_multiple_of(4) && q.is_multiple_of(4)) {
        return None;
    }
    let out_slices = slices(q);
    // GPUs spill registers of larger tiles, and of more columns: `cargo xtask shader-stats`.
    let wanted = match policy.tier {
        _ if output[0] * output[2] * output[3] < 4 => [1, 4],
        Tier::Software => [4, 4],
        Tier::Hardware => [4, 2],
    };
    let tile = [wanted[1], 2, 1]
        .into_iter()
        .find(|&tile| if pointwise.groups == 1 { out_slices >= tile } else { out_slices.is_multiple_of(tile) })?;
    let tiles = out_slices.div_ceil(tile);
    // Products that are made once more, for every value that need not be written and read.
    let again = conv.taps() * (tiles - 1);
    let worth_it = match policy.tier {
        Tier::Software => again <= MOST_AGAIN_SOFTWARE,
        Tier::Hardware => again <= MOST_AGAIN_HARDWARE,
    };
    let columns = match policy.tier {
        Tier::Software => &[3, 4, 2][..],
        Tier::Hardware => &[3, 2],
    };
    let columns = columns.iter().copied().find(|&columns| d_mul.is_multiple_of(columns)).unwrap_or(1);
    let activation = ActivationClass::of_step(step);
    let (pixels, slices, lanes) = (wanted[0] as u32, tile as u32, cpg.min(4) as u32);
    worth_it.then_some(Shader::ConvFeature { pixels, slices, columns: columns as u32, lanes, activation })
}

/// Writing and reading a value takes a GPU as long as some 64 products: 8 bytes, at 8 products per byte.
const MOST_AGAIN_HARDWARE: usize = 64;
/// Measured, see the module's documentation.
const MOST_AGAIN_SOFTWARE: usize = 18;
