//! Self-check: whether a GPU computes what it should, before anything runs on it.
//!
//! Drivers and shader compilers have bugs, and a wrong number looks like any other. So each shader of a program that has not been
//! compared on the device runs a step of the network by itself, the smallest that uses it, with random parameters and inputs, on
//! smaller maps and fewer channels, twice: some are right only the first time. Results have to be within what rounding may do, and
//! unused lanes zero. A kernel that is wrong is left out where another can stand in for it; where none can, loading fails. What is
//! wrong in half precision runs in single precision, whichever kernel it is: if that is wrong, too, it is found then.

use std::fmt;

use super::device::Device;
use super::executor::Executor;
use super::kernels::conv::KernelLayouts;
use super::policy::Policy;
use super::program::{KernelSetup, Program, Segment, shaders};
use super::shader::ShaderKey;
use crate::load_times::timed;
use crate::network::{Activation, Shape};
use crate::plan::{Plan, Step};
use crate::reference::{Rounding, SAFETY, UNIT, error_growth};
use crate::winograd::Winograd;
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
    /// The largest difference from the CPU path, as a fraction of the largest value; infinite where it is not a number.
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
            false => write!(f, "it gives NaN or infinity"),
        }
    }
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
const MOST_VALUES: usize = 1 << 26;

/// A step by itself, small and with random parameters.
pub(super) struct Part {
    plan: Plan,
    batch: usize,
    layouts: KernelLayouts,
    shaders: Vec<ShaderKey>,
    /// Under what names a policy excludes what chose them.
    choices: Vec<&'static str>,
}

impl Part {
    pub(super) fn shaders(&self) -> impl Iterator<Item = ShaderKey> + '_ {
        self.shaders.iter().cloned()
    }
}

/// Steps that together run every shader of a program that has not been compared on the device.
///
/// # Errors
/// Those of [`Program::new`].
pub(super) fn unverified(
    device: &Device,
    plan: &Plan,
    policy: &Policy,
    layouts: &KernelLayouts,
    setup: &KernelSetup,
    program: &Program,
) -> Result<Vec<Part>> {
    let all = shaders(setup.dispatches().chain(&program.dispatches));
    let mut needed: Vec<ShaderKey> = all.into_iter().filter(|shader| !device.is_verified(shader)).collect();
    if needed.is_empty() {
        return Ok(vec![]);
    }
    let mut candidates =
        program.segments.iter().map(|segment| Candidate::new(plan, setup, program, segment)).collect::<Vec<_>>();
    candidates.sort_unstable_by_key(|candidate| candidate.cost);
    let mut parts = vec![];
    for candidate in candidates {
        if !candidate.shaders.iter().any(|shader| needed.contains(shader)) {
            continue;
        }
        if let Some(part) = candidate.part(plan, program.batch, policy, layouts)? {
            needed.retain(|shader| !part.shaders.contains(shader));
            parts.push(part);
        }
    }
    Ok(parts)
}

/// Steps that may be compared by themselves.
struct Candidate {
    segment: Segment,
    /// Those that set its kernels up, then those that it runs.
    shaders: Vec<ShaderKey>,
    choices: Vec<&'static str>,
    cost: usize,
}

impl Candidate {
    fn new(plan: &Plan, setup: &KernelSetup, program: &Program, segment: &Segment) -> Self {
        let kernels = plan.steps()[segment.steps.clone()].iter().filter_map(|step| match step {
            Step::Conv(conv) => Some(conv.kernel),
            _ => None,
        });
        let run = &program.dispatches[segment.dispatches.clone()];
        // Composed for every run, kernels are set up by the same shader as once.
        let composing = kernels.clone().filter(|&kernel| plan.composes_every_run(kernel)).flat_map(|kernel| {
            let composes = move |other: &&Segment| {
                matches!(&plan.steps()[other.steps.start], Step::Compose(composed) if *composed == kernel)
            };
            program.segments.iter().filter(composes).flat_map(|other| &program.dispatches[other.dispatches.clone()])
        });
        let dispatches = || kernels.clone().flat_map(|kernel| setup.of(kernel)).chain(composing.clone()).chain(run);
        let choices = dispatches().filter_map(|dispatch| dispatch.choice).collect();
        Self { segment: segment.clone(), shaders: shaders(dispatches()), choices, cost: cost(plan, segment) }
    }

    /// The smallest part that runs the same shaders; none for steps that are no part by themselves.
    fn part(&self, plan: &Plan, batch: usize, policy: &Policy, layouts: &KernelLayouts) -> Result<Option<Part>> {
        let Segment { steps, .. } = &self.segment;
        let Some(whole) = plan.part(steps.start, steps.len()) else { return Ok(None) };
        let layouts = layouts.of_part(&plan.steps()[steps.clone()], &whole);
        let batches = if batch > 2 { vec![2, batch] } else { vec![batch] };
        for (batch, factors) in batches.iter().flat_map(|&batch| FACTORS.map(|factors| (batch, factors))) {
            let Some(small) = smaller(&whole, factors).filter(|small| batch * values(small) <= MOST_VALUES) else {
                continue;
            };
            let program = Program::new(&small, batch, policy, &layouts)?;
            let setup = KernelSetup::new(&small, policy, &layouts)?;
            if shaders(setup.dispatches().chain(&program.dispatches)) == self.shaders {
                let (shaders, choices) = (self.shaders.clone(), self.choices.clone());
                return Ok(Some(Part { plan: small, batch, layouts, shaders, choices }));
            }
        }
        Ok(None)
    }
}

/// What was found wrong, and the policy that does without it.
pub(super) struct Replacement {
    pub(super) fault: Fault,
    pub(super) policy: Policy,
}

/// Compares parts with the CPU path, and notes on the device what was found.
///
/// Gives the first fault with a policy without it, whose kernels are to be verified in turn. Where kernels lie in memory already,
/// their layout cannot be another one, so no Winograd convolution is given up.
///
/// # Errors
/// [`Error::Gpu`] where a kernel is wrong that no other can stand in for, and those of running on the device.
pub(super) async fn verify(
    device: &Device,
    parts: &[Part],
    policy: &Policy,
    has_fixed_layouts: bool,
) -> Result<Option<Replacement>> {
    for part in parts {
        // Another load may have compared it meanwhile.
        if part.shaders.iter().all(|shader| device.is_verified(shader)) {
            continue;
        }
        let (differences, took) = timed(difference(device, part, policy)).await?;
        log::debug!("{}: {differences:?}, verified in {took:.1?}", layer(&part.plan));
        let Differences { ratio, off_by } = differences;
        if ratio <= 1.0 {
            part.shaders.iter().for_each(|shader| device.found_right(shader));
            continue;
        }
        let mut kernels: Vec<&str> = part.shaders.iter().map(|shader| shader.kernel.name).collect();
        kernels.dedup();
        let fault = Fault { kernels, precision: policy.precision, layer: layer(&part.plan), off_by };
        if let Some(policy) = without(device, part, policy, has_fixed_layouts) {
            return Ok(Some(Replacement { fault, policy }));
        }
        let reason = format!("{fault}, and nothing can stand in for it; use `cpu` as the adapter, or another driver");
        return Err(Error::Gpu { doing: "checking the kernels".into(), reason });
    }
    Ok(None)
}

/// A policy without what a part was run with, if that leaves something; the device knows of it then.
fn without(device: &Device, part: &Part, policy: &Policy, has_fixed_layouts: bool) -> Option<Policy> {
    let has = |name: &&&'static str| policy.allows(name) && !(has_fixed_layouts && name.starts_with("winograd"));
    // Matrix units are no reason to do without half precision.
    let matrix = part.choices.iter().find(|choice| **choice == "matrix").filter(has);
    if policy.precision != Precision::F32 && matrix.is_none() && !has_fixed_layouts {
        device.exclude_precision(policy.precision);
        return Some(policy.clone().in_single_precision());
    }
    // Rather whole sums, and weights that each invocation loads by itself, than another kernel: if that is not it, it is found
    // next. Then the first choice, which is Winograd convolution rather than the kernel of its products.
    let refinements = ["split", "subgroup"].iter().find(|name| part.choices.contains(*name) && policy.allows(name));
    let name = *matrix.or(refinements).or_else(|| part.choices.iter().find(has))?;
    device.exclude(name);
    Some(policy.clone().without(name))
}

/// How far a device is off for a part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Differences {
    /// At worst, in multiples of what rounding may do; infinite where a result is not finite or an unused lane not zero.
    pub(super) ratio: f64,
    /// The largest, as a fraction of the largest value.
    pub(super) off_by: f32,
}

async fn difference(device: &Device, part: &Part, policy: &Policy) -> Result<Differences> {
    let problem = Problem::new(&part.plan, part.batch, policy.precision, &part.layouts)?;
    let layouts = part.layouts.clone();
    let mut executor = Executor::of_program(device, &problem.plan, part.batch, policy.clone(), layouts).await?;
    problem.difference(&mut executor).await
}

fn smaller(part: &Plan, factors: [usize; 2]) -> Option<Plan> {
    match factors {
        [1, 1] => Some(part.clone()),
        [shrink, 1] => part.shrunk(shrink),
        [1, narrow] => part.narrowed(narrow),
        [shrink, narrow] => part.narrowed(narrow)?.shrunk(shrink),
    }
}

fn elements(shape: Shape) -> usize {
    shape.iter().product()
}

fn values(part: &Plan) -> usize {
    let maps = part.steps().iter().flat_map(|step| step.inputs().into_iter().chain(step.output()));
    maps.map(|id| elements(part.value(id).shape)).sum()
}

/// About how many operations a segment takes.
fn cost(plan: &Plan, segment: &Segment) -> usize {
    let of = |step: &Step| {
        let maps = step.inputs().into_iter().chain(step.output()).map(|id| elements(plan.value(id).shape));
        let products = match step {
            Step::Conv(conv) => {
                elements(plan.value(conv.output).shape) * conv.conv.channels_per_group() * conv.conv.taps()
            }
            _ => 0,
        };
        products + maps.sum::<usize>()
    };
    plan.steps()[segment.steps.clone()].iter().map(of).sum()
}

fn layer(part: &Plan) -> String {
    part.outputs().first().map(|&id| part.value(id).name.clone()).unwrap_or_default()
}

/// A plan with random parameters and inputs, and what should come out.
pub(super) struct Problem {
    pub(super) plan: Plan,
    batch: usize,
    inputs: Vec<Vec<f32>>,
    expected: Vec<Vec<f32>>,
    /// How far every value may be off.
    tolerance: Vec<Vec<f64>>,
}

impl Problem {
    /// # Errors
    /// [`Error::Gpu`] where the CPU path gives no finite results, which would prove nothing.
    pub(super) fn new(part: &Plan, batch: usize, precision: Precision, layouts: &KernelLayouts) -> Result<Self> {
        let mut random = oorandom::Rand32::new(7);
        // Neither zero nor near it: some steps divide.
        let mut draw =
            || (0.25 + 0.75 * random.rand_float()) * if random.rand_u32().is_multiple_of(2) { 1.0 } else { -1.0 };
        let plan = part.randomised(&mut draw);
        let mut of = |shape: Shape| (0..elements(shape)).map(|_| draw()).collect::<Vec<f32>>();
        let inputs: Vec<Vec<f32>> = plan.inputs().iter().map(|&id| of(plan.value(id).batched(batch))).collect();
        let expected = on_cpu(&plan, batch, &inputs)?;
        if !expected.iter().flatten().all(|value| value.is_finite()) {
            let reason = format!("the CPU path gives NaN or infinity for layer `{}`", layer(&plan));
            return Err(Error::Gpu { doing: "checking the kernels".into(), reason });
        }
        let tolerance = tolerances(&plan, batch, &inputs, &expected, precision, layouts)?;
        Ok(Self { plan, batch, inputs, expected, tolerance })
    }

    pub(super) fn inputs(&self) -> Vec<&[f32]> {
        self.inputs.iter().map(Vec::as_slice).collect()
    }

    /// How far a device is from the CPU path in the worse of two runs.
    pub(super) async fn difference(&self, executor: &mut Executor) -> Result<Differences> {
        let expected = || self.expected.iter().flatten();
        let largest = expected().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let mut worst = Differences { ratio: 0.0, off_by: 0.0 };
        for _ in 0..2 {
            let got = executor.run(self.batch, &self.inputs()).await?;
            let pairs = got.iter().flatten().zip(expected()).zip(self.tolerance.iter().flatten());
            for ((got, want), tolerance) in pairs {
                let difference = (f64::from(*got) - f64::from(*want)).abs();
                let is_finite = difference.is_finite();
                let (ratio, off_by) = (difference / tolerance, difference as f32 / largest);
                worst.ratio = if is_finite { worst.ratio.max(ratio) } else { f64::INFINITY };
                worst.off_by = if is_finite { worst.off_by.max(off_by) } else { f32::INFINITY };
            }
            if !executor.has_kept_to_lanes() {
                worst = Differences { ratio: f64::INFINITY, ..worst };
            }
        }
        Ok(worst)
    }
}

fn on_cpu(plan: &Plan, batch: usize, inputs: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
    let slices: Vec<&[f32]> = inputs.iter().map(Vec::as_slice).collect();
    cpu::Executor::new(plan)?.run(batch, &slices)
}

/// How far every output of a part may be off, by the error model of [`crate::reference`]: sums of products by the sums of their
/// absolute values, everything else by the largest value. The CPU path rounds, too.
fn tolerances(
    plan: &Plan,
    batch: usize,
    inputs: &[Vec<f32>],
    expected: &[Vec<f32>],
    precision: Precision,
    layouts: &KernelLayouts,
) -> Result<Vec<Vec<f64>>> {
    /// Errors of exponentials and powers in WGSL, in units of rounding: 3 + 2 |x| units in the last place, and room.
    const FUNCTIONS: f64 = 64.0;
    let rounding = Rounding::of(precision);
    let stored = |value: f32, error: f64| {
        if precision == Precision::F32 {
            error
        } else {
            error + rounding.storing() * f64::from(value.abs()) + Rounding::FLOOR
        }
    };
    let largest =
        inputs.iter().chain(expected).flatten().fold(0.0f64, |largest, value| largest.max(value.abs().into()));
    let finish = |errors: Vec<Vec<f64>>| -> Vec<Vec<f64>> {
        let of = |(errors, values): (Vec<f64>, &Vec<f32>)| {
            let pairs = errors.into_iter().zip(values);
            pairs.map(|(error, &value)| SAFETY * 2.0 * stored(value, error) + f64::from(f32::MIN_POSITIVE)).collect()
        };
        errors.into_iter().zip(expected).map(of).collect()
    };
    let every = |error: f64| expected.iter().map(|values| vec![error; values.len()]).collect::<Vec<_>>();
    let convolutions: Vec<_> = plan
        .steps()
        .iter()
        .filter_map(|step| match step {
            Step::Conv(conv) => Some(conv),
            _ => None,
        })
        .collect();
    if convolutions.len() < plan.steps().len() {
        let terms = plan.steps().iter().map(terms).max().unwrap_or(1);
        // What was read was rounded when it was stored, and is divided by numbers from 1/4 on.
        let read = 16.0 * rounding.storing() * largest;
        return Ok(finish(every((error_growth(terms) + FUNCTIONS * UNIT) * largest + read)));
    }
    let absolutes: Vec<Vec<f32>> = inputs.iter().map(|input| input.iter().map(|value| value.abs()).collect()).collect();
    let magnitude = on_cpu(&plan.linear_with(f32::abs), batch, &absolutes)?;
    let terms = convolutions.iter().map(|conv| conv.conv.channels_per_group() * conv.conv.taps()).sum::<usize>();
    let composed: usize = plan.kernels().iter().map(|kernel| kernel.conv.doconv.map_or(0, |doconv| doconv.d_mul)).sum();
    let winograd = convolutions.iter().find_map(|conv| layouts.winograd(conv.kernel));
    let activation = convolutions.last().and_then(|conv| conv.activation);
    let slope = largest_slope(activation);
    let growth = error_growth(terms + composed);
    let highest = magnitude.iter().flatten().fold(0.0f32, |highest, &value| highest.max(value));
    // All outputs of a tile have the errors of its largest values. Measured with inputs and kernels like these: at worst 0.13 and
    // 1.4 of this with 4 channels, less with more.
    let of_sum = |magnitude: f32| match winograd {
        Some(Winograd::F2) => 0.25 * growth * f64::from(highest),
        Some(Winograd::F4) => growth * f64::from(highest),
        None => growth * f64::from(magnitude),
    };
    let mut errors: Vec<Vec<f64>> =
        magnitude.iter().map(|values| values.iter().map(|&m| of_sum(m)).collect()).collect();
    if precision != Precision::F32 {
        let square = |value: f32| value * value;
        let squares: Vec<Vec<f32>> = inputs.iter().map(|input| input.iter().copied().map(square).collect()).collect();
        let squares = on_cpu(&plan.linear_with(square), batch, &squares)?;
        let taps = convolutions.iter().map(|conv| conv.conv.taps()).max().unwrap_or(1) as f64;
        // Inputs, kernels and what lies between two convolutions are rounded, and so are short sums.
        let factor = rounding.storing() * (3.0 + taps.sqrt()) + rounding.short_sums();
        for (errors, (squares, magnitude)) in errors.iter_mut().zip(squares.iter().zip(&magnitude)) {
            for (error, (&square, &magnitude)) in errors.iter_mut().zip(squares.iter().zip(magnitude)) {
                let between = if convolutions.len() > 1 { rounding.storing() * f64::from(magnitude) } else { 0.0 };
                *error += factor * f64::from(square).sqrt() + between;
            }
        }
    }
    let own = FUNCTIONS * UNIT * largest;
    errors.iter_mut().flatten().for_each(|error| *error = slope * *error + own);
    Ok(finish(errors))
}

/// How many numbers a step adds up.
fn terms(step: &Step) -> usize {
    match step {
        Step::Pool(pool) => pool.kernel[0] * pool.kernel[1],
        // Sums over whole maps and all channels, of numbers that partly cancel.
        Step::GlobalPool { .. } | Step::Softmax { .. } | Step::Lrn { .. } | Step::Resize { .. } => 1 << 12,
        _ => 1,
    }
}

/// The largest derivative of an activation.
fn largest_slope(activation: Option<Activation>) -> f64 {
    match activation {
        Some(Activation::LeakyRelu { slope } | Activation::Ramp { slope, .. }) => f64::from(slope.abs()).max(1.0),
        // That of the swishes is 1.1, and 1.5 for the hard one.
        Some(_) => 1.5,
        None => 1.0,
    }
}
