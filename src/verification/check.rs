//! Running a case on an adapter, and comparing it with the reference.

use rayon::prelude::*;

use super::case::{Case, SEED, Subject};
use super::graph::{Random, random_inputs};
use crate::gpu::kernels::conv::winograd_tiles;
use crate::gpu::policy::Policy;
use crate::gpu::shader::ShaderKey;
use crate::gpu::{self, ImageSource, Ranking};
use crate::network::{Conv2d, Filter, PaddingMode, Preprocess, Shape};
use crate::plan::{Hyperparameters, Mode, Plan, Rule, ValueId};
use crate::reference::{self, Estimate};
use crate::{Adapter, Error, Image, Precision, Result, Tensor, cpu};

/// What came of a case.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The largest error, in multiples of what rounding may do; infinite where a result is no finite number or nothing came.
    pub error: f64,
    /// What is wrong, if anything.
    pub failure: Option<String>,
    /// Whether the device was lost, and has to be opened anew before the next case.
    pub is_lost: bool,
}

/// Compiles the shaders of cases, as many at a time as there are processors. What is refused is refused again when its case is
/// checked, and reported then.
pub fn compile_ahead(adapter: &Adapter, cases: &[Case]) {
    let Some(device) = adapter.gpu() else { return };
    let mut shaders: Vec<&ShaderKey> = vec![];
    for shader in cases.iter().flat_map(Case::shaders) {
        if !shaders.contains(&shader) {
            shaders.push(shader);
        }
    }
    shaders.par_iter().for_each(|&shader| {
        if let Err(error) = pollster::block_on(device.compile(std::iter::once(shader.clone()))) {
            log::info!("{shader}: {error}");
        }
    });
}

/// Runs a case and compares it with the reference. Whatever an adapter does but ending the process is a verdict.
pub async fn check(adapter: &Adapter, case: &Case) -> Verdict {
    let compared = match &case.subject {
        Subject::Network { network, mode, batch, range } => {
            let inputs = random_inputs(network, *batch, *range, SEED);
            match inputs {
                Ok(inputs) => check_network(adapter, case, *mode, *batch, &inputs).await,
                Err(error) => Err(error),
            }
        }
        Subject::Layer { mode, .. } => check_layer(adapter, case, *mode).await,
        Subject::Training { .. } => check_training(adapter, case).await,
        Subject::Images { softmax, batch, .. } => check_images(adapter, case, *batch, *softmax).await,
    };
    let is_lost = adapter.gpu().is_some_and(|device| device.check_alive().is_err());
    match compared {
        Ok(Worst { error, what }) => Verdict { error, failure: (error > 1.0).then_some(what), is_lost },
        Err(error) => Verdict { error: f64::INFINITY, failure: Some(error.to_string()), is_lost },
    }
}

/// The worst number.
struct Worst {
    /// In multiples of what is tolerated.
    error: f64,
    what: String,
}

impl Worst {
    fn none() -> Self {
        Self { error: 0.0, what: String::new() }
    }

    fn see(&mut self, error: f64, what: impl FnOnce() -> String) {
        // Neither NaN nor infinity is small.
        let error = if error.is_finite() { error } else { f64::INFINITY };
        if error > self.error {
            *self = Self { error, what: what() };
        }
    }

    /// Compares one number.
    fn compare(&mut self, what: &str, at: usize, got: f32, want: f64, tolerance: f64) {
        let error = (f64::from(got) - want).abs() / tolerance;
        self.see(error, || {
            format!("{what} {at} is {got} where {want} is right, {error:.1} times what rounding may do")
        });
    }
}

/// Anything that runs plans.
enum Executor {
    Gpu(Box<gpu::Executor>),
    Cpu(Box<cpu::Executor>),
}

impl Executor {
    async fn new(adapter: &Adapter, plan: &Plan, batch: usize, policy: &Policy) -> Result<Self> {
        Ok(match adapter.gpu() {
            Some(device) => Self::Gpu(Box::new(gpu::Executor::with_policy(device, plan, batch, policy.clone()).await?)),
            None => Self::Cpu(Box::new(cpu::Executor::new(plan)?)),
        })
    }

    /// Fails where unused lanes are not zero.
    async fn run(&mut self, batch: usize, inputs: &[Tensor]) -> Result<Vec<Vec<f32>>> {
        let inputs: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
        match self {
            Self::Cpu(executor) => executor.run(batch, &inputs),
            Self::Gpu(executor) => {
                let outputs = executor.run(batch, &inputs).await?;
                match executor.has_kept_to_lanes() {
                    true => Ok(outputs),
                    false => Err(Error::Gpu {
                        doing: "running the case".into(),
                        reason: "unused lanes of a result are not zero".into(),
                    }),
                }
            }
        }
    }

    async fn step(&mut self, inputs: &[Tensor]) -> Result<()> {
        let inputs: Vec<&[f32]> = inputs.iter().map(Tensor::data).collect();
        match self {
            Self::Cpu(executor) => executor.run(1, &inputs).map(drop),
            Self::Gpu(executor) => executor.step(&inputs, &mut false).await,
        }
    }

    async fn read(&mut self, value: ValueId) -> Result<Vec<f32>> {
        match self {
            Self::Cpu(executor) => executor.read(value),
            Self::Gpu(executor) => executor.read(value).await,
        }
    }
}

/// Element by element, in two runs: some kernels are right only the first time.
async fn check_network(adapter: &Adapter, case: &Case, mode: Mode, batch: usize, inputs: &[Tensor]) -> Result<Worst> {
    let model = case.subject.model()?;
    let (plan, _) = case.subject.plan()?;
    let policy = &case.policy;
    let winograd = |conv: &Conv2d, output: [usize; 2]| {
        // Feature composition has no 3×3 kernel, and reflected and other padding is done beforehand.
        let is_apart = mode == Mode::Feature && conv.doconv.is_some();
        let conv = Conv2d { padding_mode: PaddingMode::Zeros, ..conv.clone() };
        if is_apart || adapter.gpu().is_none() { None } else { winograd_tiles(&conv, output, policy) }
    };
    let precision = if adapter.gpu().is_some() { policy.precision } else { Precision::F32 };
    let wanted = reference::run_with_error_of(&model, inputs, precision, &winograd)?;
    let mut executor = Executor::new(adapter, &plan, batch, policy).await?;
    let mut worst = Worst::none();
    for _ in 0..2 {
        let got = executor.run(batch, inputs).await?;
        for (got, want) in got.iter().zip(&wanted) {
            compare_estimate(&mut worst, got, want);
        }
    }
    Ok(worst)
}

fn compare_estimate(worst: &mut Worst, got: &[f32], want: &Estimate) {
    if got.len() != want.value.data.len() {
        let (got, want) = (got.len(), want.value.shape);
        worst.see(f64::INFINITY, || format!("{got} results where the shape is {want:?}"));
    }
    for (at, (&got, &value)) in got.iter().zip(&want.value.data).enumerate() {
        worst.compare("result", at, got, value, want.tolerance(at));
    }
}

/// What a gradient may be off by, as a fraction of the largest one: sums over a batch of what partly cancels, of which the error
/// model knows nothing.
const GRADIENT_TOLERANCE: f64 = 2e-4;
/// The same for a layer forward in half precision, whose factors and kernel are rounded to 11 bits one after the other.
const HALF_TOLERANCE: f64 = 5e-3;

/// Compares as a fraction of the largest value.
fn compare_gradient(worst: &mut Worst, what: &str, got: &[f32], want: &[f64], tolerance: f64) {
    let largest = want.iter().fold(1e-6f64, |largest, value| largest.max(value.abs()));
    for (at, (&got, &want)) in got.iter().zip(want).enumerate() {
        worst.compare(what, at, got, want, tolerance * largest);
    }
}

async fn check_layer(adapter: &Adapter, case: &Case, mode: Mode) -> Result<Worst> {
    let (plan, _) = case.subject.plan()?;
    let mut random = Random::new(SEED);
    let shape = |&id: &ValueId| plan.value(id).shape;
    let inputs = plan.inputs().iter().map(|id| random.tensor(&shape(id), -2.0, 2.0)).collect::<Result<Vec<_>>>()?;
    let is_exact = case.policy.precision == Precision::F32;
    let tolerance = if is_exact { GRADIENT_TOLERANCE } else { HALF_TOLERANCE };
    let wanted = reference::interpret_plan(&plan, mode, 1, &inputs)?;
    let mut executor = Executor::new(adapter, &plan, 1, &case.policy).await?;
    let mut worst = Worst::none();
    for _ in 0..2 {
        let got = executor.run(1, &inputs).await?;
        for ((got, want), &id) in got.iter().zip(&wanted).zip(plan.outputs()) {
            let want: Vec<f64> = want.data().iter().map(|&value| value.into()).collect();
            compare_gradient(&mut worst, &plan.value(id).name, got, &want, tolerance);
        }
    }
    Ok(worst)
}

/// Gradients, parameters, running statistics and the loss after a step.
async fn check_training(adapter: &Adapter, case: &Case) -> Result<Worst> {
    let planned = case.subject.training()?;
    let Subject::Training { recipe, parts, largest_norm, .. } = case.subject else { return Ok(Worst::none()) };
    let mut random = Random::new(SEED);
    let shapes: Vec<Shape> = planned.plan.inputs().iter().map(|&id| planned.plan.value(id).shape).collect();
    let mut runs = vec![];
    for part in 0..parts {
        let mut inputs = vec![];
        for shape in &shapes[..shapes.len() - 2] {
            inputs.push(random.tensor(shape, -2.0, 2.0)?);
        }
        inputs.push(targets(shapes[shapes.len() - 2], part)?);
        let by = hyperparameters(recipe.rule, part, parts, largest_norm);
        inputs.push(Tensor::new(shapes[shapes.len() - 1], by.values().to_vec())?);
        runs.push(inputs);
    }
    let values: Vec<(String, ValueId)> = planned
        .parameters
        .iter()
        .flat_map(|parameter| {
            let name = &parameter.tensors[0].0;
            [(format!("gradient of {name}"), parameter.gradient), (name.clone(), parameter.value)]
        })
        .chain(planned.running.iter().map(|running| (format!("statistics of {}", running.name), running.value)))
        .chain([("loss".to_owned(), planned.totals)])
        .collect();
    let ids: Vec<ValueId> = values.iter().map(|(_, id)| *id).collect();
    let wanted = reference::interpret_training_step(&planned.plan, &runs, &ids)?;
    let mut executor = Executor::new(adapter, &planned.plan, 1, &case.policy).await?;
    for inputs in &runs {
        executor.step(inputs).await?;
    }
    let mut worst = Worst::none();
    for ((name, id), want) in values.iter().zip(&wanted) {
        compare_gradient(&mut worst, name, &executor.read(*id).await?, want, GRADIENT_TOLERANCE);
    }
    Ok(worst)
}

/// Probabilities of nine tenths for one class of every item.
fn targets(shape: Shape, part: usize) -> Result<Tensor> {
    let [items, classes, ..] = shape;
    let of =
        |at: usize| if at % classes == (3 * (at / classes) + part + 1) % classes { 0.9 } else { 0.1 / classes as f32 };
    Tensor::new(shape, (0..items * classes).map(of).collect())
}

/// Those of the first step.
fn hyperparameters(rule: Rule, part: usize, parts: usize, largest_norm: f32) -> Hyperparameters {
    const RATE: f32 = 0.05;
    let base = Hyperparameters {
        rate: RATE,
        momentum: 0.9,
        decay: 0.01,
        largest_norm,
        kept: f32::from(u8::from(part > 0)),
        share: 1.0 / parts as f32,
        takes_step: f32::from(u8::from(part + 1 == parts)),
        ..Hyperparameters::default()
    };
    match rule {
        Rule::Sgd { .. } => base,
        Rule::AdamW => {
            let (first, second) = (0.9f32, 0.99f32);
            let (step, unbias) = (RATE / (1.0 - first), 1.0 / (1.0 - second).sqrt());
            Hyperparameters { momentum: first, second_momentum: second, eps: 1e-4, step, unbias, ..base }
        }
    }
}

/// Pixels as the CPU path makes them, to the bit in single precision; classes in the order of what the device has made.
async fn check_images(adapter: &Adapter, case: &Case, batch: usize, softmax: bool) -> Result<Worst> {
    /// Classes that are ranked.
    const BEST: usize = 20;
    let (Some(device), (plan, _)) = (adapter.gpu(), case.subject.plan()?) else { return Ok(Worst::none()) };
    let [_, _, height, width] = plan.value(plan.inputs()[0]).shape;
    let mut random = Random::new(SEED);
    let mut images = vec![];
    for [height, width] in [[61, 47], [24, 33], [5, 5]].into_iter().take(batch) {
        let rgb = random.values(3 * height * width, 0.0, 256.0).into_iter().map(|level| level as u8).collect();
        images.push(Image::from_rgb(width, height, rgb)?);
    }
    let sources: Vec<ImageSource<'_>> = images.iter().map(ImageSource::Pixels).collect();
    let mut worst = Worst::none();
    for filter in [Filter::Bilinear, Filter::Bicubic] {
        let how =
            Preprocess { crop_fraction: 0.875, filter, mean: [123.675, 116.28, 103.53], std: [58.395, 57.12, 57.375] };
        // It keeps what it has made for one way of preprocessing.
        let mut executor = gpu::Executor::with_policy(device, &plan, batch, case.policy.clone()).await?;
        let got = executor.preprocess(&sources, &how).await?;
        let item = 3 * height * width;
        for (source, got) in sources.iter().zip(got.chunks(item)) {
            let mut want = vec![0.0; item];
            source.preprocess(&how, height, width, &mut want)?;
            for (at, (&got, &want)) in got.iter().zip(&want).enumerate() {
                let is_exact = case.policy.precision == Precision::F32;
                let tolerance = if is_exact { f64::MIN_POSITIVE } else { f64::from(want.abs()) / 1024.0 + 1e-4 };
                worst.compare("pixel", at, got, want.into(), tolerance);
            }
        }
        let ranked = executor.classify(&sources, &how, Ranking { best: BEST, softmax }).await?;
        for (values, best) in got.chunks(item).zip(ranked) {
            let mut order: Vec<usize> = (0..item).collect();
            order.sort_by(|&a, &b| values[b].total_cmp(&values[a]));
            let largest = f64::from(values[order[0]]);
            let power = |value: f32| (f64::from(value) - largest).exp();
            let sum: f64 = values.iter().map(|&value| power(value)).sum();
            for (at, (best, &class)) in best.iter().zip(&order).enumerate() {
                if best.class as usize != class {
                    let got = best.class;
                    worst.see(f64::INFINITY, || format!("class {got} is at place {at} where class {class} belongs"));
                }
                let value = values[class];
                let want = if softmax { power(value) / sum } else { value.into() };
                worst.compare("probability", at, best.probability, want, 1e-5 * want.abs().max(1e-3));
            }
        }
    }
    Ok(worst)
}
