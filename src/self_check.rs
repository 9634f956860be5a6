//! Whether a GPU computes what it should: before a model runs on it, every kernel of the network is compared with the CPU path.
//!
//! Drivers and shader compilers have bugs, and a wrong number looks like any other. So, when a model is loaded on a device,
//! each shader that has not been seen to be right there runs a step of the network by itself, the smallest that uses it, on
//! random inputs, smaller maps and fewer channels, twice: some are right only the first time. An algorithm that is wrong is left
//! out on this device from then on, where another will do; where none will, loading fails. What is wrong in half precision runs
//! in single precision, whichever algorithm it is: if that is wrong, too, it is found then.
//!
//! Shaders that only other batch sizes than one use are variants of these, with tiles of other heights, and are not checked
//! by themselves.

use std::fmt;

use crate::gpu::choose::{Algorithm, Family};
use crate::gpu::variant::Variant;
use crate::gpu::{self, Device, dispatch};
use crate::load_times::timed;
use crate::network::Shape;
use crate::plan::{Plan, Step};
use crate::{Error, Precision, Result, cpu};

/// A kernel that computes wrong results on a device.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The shader families that were run, such as `conv_tiled`.
    pub kernels: Vec<&'static str>,
    /// In which precision they were run.
    pub precision: Precision,
    /// The layer of which it was seen.
    pub layer: String,
    /// The largest difference from the CPU path, as a fraction of the largest value; infinite where it is no number.
    pub off_by: f32,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kernels, precision, layer, off_by } = self;
        write!(f, "{} computes wrong results here", kernels.join(" + "))?;
        if *precision != Precision::F32 {
            write!(f, " in {}", precision.name())?;
        }
        write!(f, ": in layer `{layer}` ")?;
        match off_by.is_finite() {
            true => write!(f, "it is off by {:.2} % of the largest value", 100.0 * off_by),
            false => write!(f, "it gives what is no number"),
        }
    }
}

/// What a step stays far below, Winograd's filtering included, as a fraction of the largest value. Roundings of inputs and
/// kernels partly cancel, and sums of products in half precision are short.
pub(crate) fn tolerance(precision: Precision) -> f32 {
    precision.pick([1e-3, 1e-2, 3e-2])
}

/// Maps are made so many times smaller, and channels so many times fewer: the first pair with which the same shaders run.
const FACTORS: [[usize; 2]; 14] = [
    [16, 8],
    [8, 8],
    [16, 4],
    [4, 8],
    [8, 4],
    [16, 2],
    [2, 8],
    [4, 4],
    [1, 8],
    [16, 1],
    [8, 1],
    [4, 1],
    [2, 1],
    [1, 1],
];

/// Values that a step may read and write to be run for a check: beyond that, the CPU would take seconds.
const MOST_VALUES: usize = 1 << 24;

/// A step by itself, with the shaders that it runs.
pub(crate) struct Part {
    plan: Plan,
    shaders: Vec<Variant>,
}

impl Part {
    pub(crate) fn shaders(&self) -> impl Iterator<Item = Variant> {
        self.shaders.iter().copied()
    }

    fn is_checked(&self, device: &Device) -> bool {
        self.shaders.iter().all(|&shader| device.is_right(shader))
    }
}

/// Steps that together run every shader of a plan that has not been checked on this device; for each the cheapest one.
pub(crate) fn unchecked(device: &Device, plan: &Plan) -> Result<Vec<Part>> {
    let candidates = candidates(device, plan)?;
    let mut needed: Vec<Part> = vec![];
    loop {
        let is_open = |candidate: &&Candidate| {
            let covered = |shader| needed.iter().any(|part| part.shaders.contains(&shader));
            candidate.shaders.iter().any(|&shader| !device.is_right(shader) && !covered(shader))
        };
        let Some(cheapest) = candidates.iter().filter(is_open).min_by_key(|candidate| candidate.cost) else {
            return Ok(needed);
        };
        let part = plan.part(cheapest.first, cheapest.count).and_then(|part| smaller(&part, cheapest.factors));
        let plan = part.expect("it was there without weights");
        needed.push(Part { plan, shaders: cheapest.shaders.clone() });
    }
}

/// Steps that may be checked by themselves.
struct Candidate {
    first: usize,
    count: usize,
    /// How many times smaller their maps are made, and how many times fewer their channels.
    factors: [usize; 2],
    cost: usize,
    shaders: Vec<Variant>,
}

/// Checks them.
///
/// Gives the first fault that is found; the device has then other kernels, which are to be checked in turn.
///
/// # Errors
/// [`Error::Gpu`] where a kernel is wrong that no other can stand in for, and those of running on the device.
pub(crate) async fn check(device: &Device, parts: &[Part]) -> Result<Option<Fault>> {
    let precision = device.policy().precision;
    for part in parts.iter().filter(|part| !part.is_checked(device)) {
        let (off_by, took) = timed(difference(device, &part.plan)).await?;
        log::debug!("{}: off by {off_by:.1e}, checked in {took:.1?}", layer(&part.plan));
        if off_by <= tolerance(precision) {
            // In half precision some shaders are exact, and what is not far off there may be too far for them elsewhere.
            let right = part.shaders().filter(|variant| off_by <= tolerance(variant.precision));
            right.for_each(|variant| device.found_right(variant));
            continue;
        }
        let mut kernels: Vec<&str> = part.shaders().map(|variant| variant.shader.family()).collect();
        kernels.dedup();
        let fault = Fault { kernels, precision, layer: layer(&part.plan), off_by };
        let algorithms: Vec<Algorithm> = part.shaders().filter_map(|variant| Algorithm::of(variant.shader)).collect();
        // Matrix units are no reason to do without half precision.
        let cooperative = Algorithm::Taps(Family::Cooperative);
        if precision != Precision::F32
            && ((algorithms.contains(&cooperative) && device.distrust(cooperative))
                || device.distrust_precision(precision))
        {
            return Ok(Some(fault));
        }
        // Rather whole sums, and weights that each loads by itself, than another kernel: if that is not it, it is found next.
        let refinements = [Algorithm::Split, Algorithm::Taps(Family::Subgroup)];
        let refined = refinements.into_iter().find(|refinement| algorithms.contains(refinement));
        let replaceable = refined.or(algorithms.first().copied());
        if replaceable.is_some_and(|algorithm| device.distrust(algorithm)) {
            return Ok(Some(fault));
        }
        let reason = format!("{fault}, and nothing can stand in for it; use `cpu` as the adapter, or another driver");
        return Err(Error::Gpu { doing: "checking the kernels".into(), reason });
    }
    Ok(None)
}

/// How far the device is off for a plan.
async fn difference(device: &Device, plan: &Plan) -> Result<f32> {
    match Problem::new(plan)? {
        Some(problem) => problem.difference(&mut gpu::Executor::new(device, plan).await?).await,
        None => Ok(0.0),
    }
}

/// The steps of a plan, each by itself and as small as it gets, and without weights: most are not needed.
fn candidates(device: &Device, plan: &Plan) -> Result<Vec<Candidate>> {
    let plan = plan.without_weights(|_| false);
    let mut candidates = vec![];
    for first in 0..plan.steps().len() {
        let count = if plan.feature_pair(first).is_some() { 2 } else { 1 };
        let Some(whole) = plan.part(first, count) else { continue };
        let shaders = shaders(device, &whole)?;
        let is_same = |small: &Plan| {
            values(small) <= MOST_VALUES && self::shaders(device, small).is_ok_and(|small| small == shaders)
        };
        let small = FACTORS.iter().find_map(|&factors| {
            let small = smaller(&whole, factors).filter(is_same)?;
            Some((cost(&small), factors))
        });
        if let Some((cost, factors)) = small {
            candidates.push(Candidate { first, count, factors, cost, shaders });
        }
    }
    Ok(candidates)
}

fn smaller(part: &Plan, factors: [usize; 2]) -> Option<Plan> {
    match factors {
        [1, 1] => Some(part.clone()),
        [shrink, 1] => part.shrunk(shrink),
        [1, narrow] => part.narrowed(narrow),
        [shrink, narrow] => part.narrowed(narrow)?.shrunk(shrink),
    }
}

fn shaders(device: &Device, part: &Plan) -> Result<Vec<Variant>> {
    let policy = device.policy();
    let once = dispatch::transform(part, &policy)?.into_iter().chain(dispatch::fold(part, &policy)?);
    Ok(once.chain(dispatch::run(part, 1, &policy)?).map(|dispatch| dispatch.variant()).collect())
}

fn elements(shape: Shape) -> usize {
    shape.iter().product()
}

fn values(part: &Plan) -> usize {
    let maps = part.steps().iter().flat_map(|step| step.inputs().into_iter().chain(step.output()));
    maps.map(|id| elements(part.value(id).shape)).sum()
}

/// About how many operations a part takes.
fn cost(part: &Plan) -> usize {
    let of = |step: &Step| match step {
        Step::Conv(conv) => elements(part.value(conv.output).shape) * conv.conv.channels_per_group() * conv.conv.taps(),
        _ => 0,
    };
    values(part) + part.steps().iter().map(of).sum::<usize>()
}

fn layer(part: &Plan) -> String {
    part.outputs().first().map(|&id| part.value(id).name.clone()).unwrap_or_default()
}

/// A part on random inputs, and what should come out.
pub(crate) struct Problem {
    inputs: Vec<Vec<f32>>,
    expected: Vec<Vec<f32>>,
}

impl Problem {
    /// None where the weights overflow, which proves nothing.
    pub(crate) fn new(part: &Plan) -> Result<Option<Self>> {
        let mut random = oorandom::Rand32::new(7);
        // Neither zero nor near it: some steps divide.
        let mut draw =
            || (0.25 + 0.75 * random.rand_float()) * if random.rand_u32().is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut of = |shape: Shape| (0..elements(shape)).map(|_| draw()).collect::<Vec<f32>>();
        let inputs: Vec<Vec<f32>> = part.inputs().iter().map(|&id| of(part.value(id).shape)).collect();
        let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
        let expected = cpu::Executor::new(part)?.run(1, &slices)?;
        let is_finite = expected.iter().flatten().all(|value| value.is_finite());
        Ok(is_finite.then_some(Self { inputs, expected }))
    }

    pub(crate) fn inputs(&self) -> Vec<&[f32]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }

    /// How far a device is from the CPU path in the worse of two runs, as a fraction of the largest value.
    pub(crate) async fn difference(&self, executor: &mut gpu::Executor) -> Result<f32> {
        let expected = || self.expected.iter().flatten();
        let largest = expected().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let mut worst = 0.0f32;
        for _ in 0..2 {
            let got = executor.run(1, &self.inputs()).await?;
            for (got, want) in got.iter().flatten().zip(expected()) {
                let difference = (got - want).abs() / largest;
                worst = if difference.is_finite() { worst.max(difference) } else { f32::INFINITY };
            }
        }
        Ok(worst)
    }
}
