//! Which kernel runs a convolution: what was preferred, what was timed, or heuristics by shape and tier.

use super::kernel::ConvKernel;
use super::names;
use super::problem::ConvProblem;
use super::split::{default_parts, most_parts};
use super::table::KERNELS;
use crate::Precision;
use crate::gpu::policy::{KernelConfig, Policy, Tier, Tile};
use crate::gpu::shader::{KernelLayout, Scalar};
use crate::network::Conv2d;
use crate::plan::{KernelId, Plan, Step};
use crate::winograd::Winograd;

/// The kernels that can run a convolution, the most special first: those that the policy allows, or all if it allows none.
pub fn candidates(problem: &ConvProblem, policy: &Policy) -> Vec<&'static dyn ConvKernel> {
    let able = KERNELS.iter().copied().filter(|kernel| kernel.can_run(problem, policy));
    let (allowed, excluded): (Vec<_>, Vec<_>) = able.partition(|kernel| policy.allows(kernel.name()));
    if allowed.is_empty() { excluded } else { allowed }
}

/// Whether a configuration can run a convolution: configurations come out of files, too.
pub fn accepts(config: &KernelConfig, problem: &ConvProblem) -> bool {
    let Some(kernel) = KERNELS.iter().find(|kernel| kernel.name() == config.kernel) else { return false };
    let products;
    let problem = match config.winograd {
        Some(size) if Winograd::can_run(&problem.conv) => {
            products = problem.products(size);
            &products
        }
        Some(_) => return false,
        None => problem,
    };
    kernel.accepts(problem, &config.tile) && (1..=most_parts(*kernel, problem)).contains(&config.tile.parts)
}

/// Whether a configuration can run a convolution with an output of this height and width, on adapters that have what it takes.
pub fn can_run(config: &KernelConfig, conv: &Conv2d, output: [usize; 2]) -> bool {
    accepts(config, &ConvProblem::of_image(conv, output))
}

/// The kernel for a convolution, and its tile.
pub fn choose(problem: &ConvProblem, policy: &Policy) -> (&'static dyn ConvKernel, Tile) {
    let kernels = candidates(problem, policy);
    let may_split = policy.allows(names::SPLIT);
    let named = |name: &str| kernels.iter().copied().find(|kernel| kernel.name() == name);
    if policy.preferred.is_none()
        && let Some((kernel, config)) = timed(problem, policy).and_then(|config| Some((named(config.kernel)?, config)))
        && (may_split || config.tile.parts == 1)
    {
        return (kernel, config.tile);
    }
    let preferred = policy.preferred.and_then(named);
    let suitable = || kernels.iter().copied().find(|kernel| kernel.suits(problem, policy));
    let kernel = preferred.or_else(suitable).unwrap_or(kernels[0]);
    let mut tile = kernel.default_tile(problem, policy);
    tile.parts = match policy.preferred {
        Some(names::SPLIT) if may_split => most_parts(kernel, problem).min(3),
        None if may_split => default_parts(kernel, problem, &tile, policy),
        _ => 1,
    };
    (kernel, tile)
}

/// What autotuning found the fastest for one image, if it can run the convolution.
fn timed(problem: &ConvProblem, policy: &Policy) -> Option<KernelConfig> {
    if problem.products_of.is_some() || problem.output[0] != 1 {
        return None;
    }
    let config = policy.tuning.get(&problem.conv, [problem.output[2], problem.output[3]])?;
    (config.winograd.is_none() && accepts(&config, problem)).then_some(config)
}

/// The kernel for the products of a Winograd convolution, and its tile.
pub fn choose_products(
    problem: &ConvProblem,
    size: Winograd,
    policy: &Policy,
) -> (ConvProblem, &'static dyn ConvKernel, Tile) {
    let products = problem.products(size);
    let output = [problem.output[2], problem.output[3]];
    let kernels = candidates(&products, policy);
    let timed = policy
        .tuning
        .get(&problem.conv, output)
        .filter(|config| problem.output[0] == 1 && config.winograd == Some(size) && accepts(config, problem));
    let named = |config: KernelConfig| {
        let kernel = kernels.iter().copied().find(|kernel| kernel.name() == config.kernel)?;
        Some((kernel, config.tile))
    };
    let (kernel, tile) = timed.and_then(named).unwrap_or_else(|| {
        let kernel = kernels.iter().copied().find(|kernel| kernel.suits(&products, policy)).unwrap_or(kernels[0]);
        (kernel, kernel.default_tile(&products, policy))
    });
    (products, kernel, tile)
}

/// Channels from which on Winograd convolution pays: below, transforming costs what it saves.
const LEAST_CHANNELS_SOFTWARE: usize = 16;
/// What LiteRT's GPU engine asks for; not measured here.
const LEAST_CHANNELS_HARDWARE: usize = 64;
const LEAST_TILES_HARDWARE: usize = 32;

/// Whether Winograd convolution is the best for a convolution with an output of this height and width, and with which tiles.
/// Decided for a batch of one, because the kernel is transformed before any batch is known.
pub fn winograd_tiles(conv: &Conv2d, output: [usize; 2], policy: &Policy) -> Option<Winograd> {
    if !Winograd::can_run(conv) {
        return None;
    }
    let is_allowed = |&size: &Winograd| policy.allows(names::winograd(size));
    if let Some(preferred) = policy.preferred {
        return Winograd::ALL.into_iter().find(|&size| names::winograd(size) == preferred).filter(is_allowed);
    }
    let problem = ConvProblem::of_image(conv, output);
    let timed = policy.tuning.get(conv, output).filter(|config| accepts(config, &problem));
    if let Some(KernelConfig { winograd, .. }) = timed
        && winograd.is_none_or(|size| is_allowed(&size))
    {
        return winograd;
    }
    // They do more products in the time than Winograd convolution saves.
    if candidates(&problem, policy).iter().any(|kernel| kernel.name() == "matrix" && policy.allows("matrix")) {
        return None;
    }
    // Of few tiles, what takes time is to load the kernels, which are the larger the larger tiles are: measured on lavapipe.
    let loading = if policy.tier == Tier::Software && policy.shared_weights() >= 8 { 33 } else { 0 };
    let time = |size: &Winograd| size.products(output) + loading * size.places();
    let best = Winograd::ALL.into_iter().filter(is_allowed).min_by_key(time)?;
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

/// How the kernels of a plan lie in memory: as they are, or transformed for Winograd convolution. Decided once a load, since
/// weights are packed for it; gradients want kernels as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLayouts {
    winograd: Vec<Option<Winograd>>,
    precision: Precision,
}

impl KernelLayouts {
    /// Decides them for a plan.
    pub fn new(plan: &Plan, policy: &Policy) -> Self {
        let mut winograd = vec![None; plan.kernels().len()];
        let precision = policy.precision;
        if plan.reads_kernels() {
            return Self { winograd, precision };
        }
        let mut needed_as_they_are = vec![];
        for step in plan.steps() {
            let Step::Conv(conv) = step else { continue };
            let [_, _, height, width] = plan.value(conv.output).shape;
            match winograd_tiles(&conv.conv, [height, width], policy) {
                Some(size) => winograd[conv.kernel.0] = Some(size),
                None => needed_as_they_are.push(conv.kernel),
            }
        }
        needed_as_they_are.into_iter().for_each(|kernel| winograd[kernel.0] = None);
        Self { winograd, precision }
    }

    /// Those of a part of the plan, which has these of its steps.
    pub fn of_part(&self, steps: &[Step], part: &Plan) -> Self {
        let mut winograd = vec![None; part.kernels().len()];
        for pair in steps.iter().zip(part.steps()) {
            if let (Step::Conv(whole), Step::Conv(step)) = pair {
                winograd[step.kernel.0] = self.winograd(whole.kernel);
            }
        }
        Self { winograd, precision: self.precision }
    }

    /// The tiles for which a kernel is transformed.
    pub fn winograd(&self, kernel: KernelId) -> Option<Winograd> {
        self.winograd[kernel.0]
    }

    /// Its extents in memory.
    pub fn layout(&self, plan: &Plan, kernel: KernelId) -> KernelLayout {
        KernelLayout::with(&plan.kernel(kernel).conv, self.winograd(kernel))
    }

    /// In what precision it is stored. Transformed ones keep all bits, because transforming back makes more of what is lost: up to
    /// 8 times along each axis.
    pub fn precision(&self, kernel: KernelId) -> Precision {
        if self.winograd(kernel).is_some() { Precision::F32 } else { self.precision }
    }

    /// What it is stored as.
    pub fn scalar(&self, kernel: KernelId) -> Scalar {
        Scalar::stored_in(self.precision(kernel))
    }
}
