//! A network that learns.

use serde::{Deserialize, Serialize};

use super::{Decay, Optimiser};
use crate::plan::{Hyperparameters, Parameter, Plan, Recipe, Running, TrainingPlan, ValueId, check_norms};
use crate::session::Executor;
use crate::{Adapter, Error, Fault, Model, Result, Tensor, Weights};

/// How a network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Options {
    /// Images of a step.
    pub batch: usize,
    /// In how many parts a batch is run, one after the other, whose gradients are added up: less memory, and the same step but
    /// for batch norms, which see a part at a time.
    #[serde(default = "whole")]
    pub parts: usize,
    /// How parameters follow their gradients.
    pub optimiser: Optimiser,
    /// Which parameters decay.
    pub decay: Decay,
    /// What the norm of all gradients together is scaled down to where it is larger, if anything.
    #[serde(default)]
    pub clip_norm: Option<f32>,
    /// Parameters whose names match one of these stay as they are: whole names, or with `*` for anything. A batch norm is
    /// frozen as a whole, and then uses its running statistics.
    pub frozen: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            batch: 128,
            parts: whole(),
            optimiser: Optimiser::default(),
            decay: Decay::default(),
            clip_norm: None,
            frozen: vec![],
        }
    }
}

/// The parts of a batch that is run as a whole.
fn whole() -> usize {
    1
}

impl Options {
    pub(super) fn check(&self) -> Result<()> {
        let fail = |reason: String| Err(Error::Unsupported(reason));
        self.optimiser.check()?;
        if self.batch == 0 {
            return fail("a batch needs at least one image".into());
        }
        if self.parts == 0 || !self.batch.is_multiple_of(self.parts) {
            return fail(format!("a batch of {} images has no {} equal parts", self.batch, self.parts));
        }
        match self.clip_norm {
            Some(norm) if !(norm.is_finite() && norm > 0.0) => {
                fail(format!("a largest norm of gradients of {norm} is not a finite number > 0"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that every pattern in [`Options::frozen`] names something of a model, and no part of a batch norm alone.
    ///
    /// # Errors
    /// [`Error::Unsupported`] with the first that does not.
    pub fn check_frozen(&self, model: &Model) -> Result<()> {
        let names_nothing = |pattern: &&String| !model.weights().keys().any(|name| matches(pattern, name));
        if let Some(pattern) = self.frozen.iter().find(names_nothing) {
            let first = model.weights().keys().next().map(String::as_str).unwrap_or_default();
            return Err(Error::Unsupported(format!(
                "nothing is called `{pattern}`, so it cannot be frozen; parameters are called like `{first}`, and `*` stands for \
                 anything"
            )));
        }
        check_norms(model.network(), &|name| self.trains(name))
    }

    fn trains(&self, name: &str) -> bool {
        !self.frozen.iter().any(|pattern| matches(pattern, name))
    }
}

/// Whether a name is what a pattern says, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, rest)) => name.strip_prefix(start).is_some_and(|name| {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| matches(rest, &name[at..]))
        }),
    }
}

/// What has come of the images since [`Trainer::totals`] was last asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Images.
    pub images: u64,
    /// The sum of their cross-entropies.
    pub loss: f64,
    /// How many had their largest logit at their largest target.
    pub correct: f64,
}

impl Totals {
    /// The mean cross-entropy.
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.images.max(1) as f64
    }

    /// The share of images that were classified as their targets, in 0…1.
    pub fn accuracy(&self) -> f64 {
        self.correct / self.images.max(1) as f64
    }
}

/// A network that learns on an adapter.
///
/// ```
/// use doconv::{Adapter, Model, network::zoo};
/// use doconv::training::{Options, Trainer, targets};
/// # pollster::block_on(async {
/// let model = Model::initialised(zoo::build("mnist_sample")?, 1)?.expand(None, 0.0, 0)?;
/// let options = Options { batch: 2, ..Options::default() };
/// let mut trainer = Trainer::new(&Adapter::cpu(), &model, &options).await?;
/// let images = vec![0.5; 2 * 28 * 28];
/// for _ in 0..3 {
///     trainer.step(&images, &targets(&[3, 7], 10, 0.0)?, 0.01).await?;
/// }
/// println!("loss {:.3}", trainer.totals().await?.mean_loss());
/// let folded = trainer.model().await?.fold()?;
/// # assert!(!folded.is_composed());
/// # Ok::<(), doconv::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct Trainer {
    executor: Executor,
    planned: TrainingPlan,
    /// What training began with, for what does not change.
    model: Model,
    options: Options,
    steps: u64,
    /// Images since the totals were last read.
    images: u64,
    /// What is to happen in place of what the executor would do, call by call.
    #[cfg(test)]
    pub(super) interruptions: std::collections::VecDeque<Option<Interruption>>,
}

/// How far a step has come that failed, or whose future was dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Begun {
    /// Parts that were run.
    parts: usize,
    /// Whether the one after them was submitted: where the future was dropped while that was awaited, it runs all the same.
    is_submitted: bool,
}

/// What tests let happen.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// An error, and nothing is done.
    Error,
    /// The future is never ready, and nothing is done.
    Pending,
    /// What is wanted is submitted, and then the future is never ready.
    PendingAfter,
}

impl Trainer {
    /// Makes everything ready for steps of `options.batch` images. Layers that hold W and D are trained as such, all others
    /// as they are.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for operators without a gradient, networks that are no classifiers, options that are out of
    /// range, patterns that match no parameter, and half precision; those of [`Plan::new`] and of the adapter.
    pub async fn new(adapter: &Adapter, model: &Model, options: &Options) -> Result<Self> {
        options.check()?;
        options.check_frozen(model)?;
        let recipe = Recipe {
            batch: options.batch / options.parts,
            rule: options.optimiser.rule(),
            decay: options.decay,
            clips: options.clip_norm.is_some(),
            accumulates: options.parts > 1,
        };
        let mut planned = TrainingPlan::new(model, recipe, &|name| options.trains(name))?;
        let executor = Executor::load(adapter, &planned.plan).await?;
        planned.plan.forget_weights();
        Ok(Self {
            executor,
            planned,
            model: model.clone(),
            options: options.clone(),
            steps: 0,
            images: 0,
            #[cfg(test)]
            interruptions: Default::default(),
        })
    }

    /// Kernels that were found to compute wrong results on this adapter, and were replaced by others.
    pub fn faults(&self) -> &[Fault] {
        self.executor.faults()
    }

    /// Images of a step.
    pub fn batch(&self) -> usize {
        self.options.batch
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.planned.classes
    }

    /// How many numbers are trained.
    pub fn parameter_count(&self) -> usize {
        let tensors = self.planned.parameters.iter().flat_map(|parameter| &parameter.tensors);
        tensors.map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The plan of a step, without its weights.
    pub fn plan(&self) -> &Plan {
        &self.planned.plan
    }

    /// What is trained.
    pub fn parameters(&self) -> &[Parameter] {
        &self.planned.parameters
    }

    /// One step: `images` are `[N, C, H, W]` as the network wants them, `targets` the probabilities `[N, classes]` that are
    /// aimed at, `rate` is the learning rate.
    ///
    /// On a GPU the step may be under way when this returns. One that failed, unless the device was lost, has changed no parameter and leaves nothing in
    /// the gradients of the next; running statistics and totals have those of its parts that were run. One whose future is
    /// dropped may have been taken, without being counted.
    ///
    /// # Errors
    /// [`Error::Input`] if a length is wrong; those of the adapter.
    pub async fn step(&mut self, images: &[f32], targets: &[f32], rate: f32) -> Result<()> {
        self.go_on(images, targets, rate, &mut Begun::default()).await
    }

    /// The same step once more after it failed or its future was dropped: with the first part that was not submitted.
    pub(super) async fn go_on(&mut self, images: &[f32], targets: &[f32], rate: f32, begun: &mut Begun) -> Result<()> {
        let Options { batch, parts, optimiser, clip_norm, .. } = self.options;
        let inputs = self.planned.plan.inputs();
        for (&id, values) in inputs.iter().zip([images, targets]) {
            let value = self.planned.plan.value(id);
            let mut shape = value.shape;
            shape[0] = shape[0] / self.planned.batch * batch;
            if values.len() != shape.iter().product::<usize>() {
                let reason = format!("expected {shape:?}, got {} numbers", values.len());
                return Err(Error::Input { input: value.name.clone(), reason });
            }
        }
        if begun.is_submitted {
            self.count_part(begun);
        }
        let slices = images.chunks_exact(images.len() / parts).zip(targets.chunks_exact(targets.len() / parts));
        for (part, (images, targets)) in slices.enumerate().skip(begun.parts) {
            let by = Hyperparameters {
                largest_norm: clip_norm.unwrap_or(f32::MAX),
                kept: f32::from(u8::from(part > 0)),
                share: 1.0 / parts as f32,
                takes_step: f32::from(u8::from(part + 1 == parts)),
                ..optimiser.hyperparameters(rate, self.steps + 1)
            };
            self.run_part(&[images, targets, by.values()], &mut begun.is_submitted).await?;
            self.count_part(begun);
        }
        self.steps += 1;
        Ok(())
    }

    async fn run_part(&mut self, inputs: &[&[f32]], is_submitted: &mut bool) -> Result<()> {
        #[cfg(test)]
        if self.interruptions.front() == Some(&Some(Interruption::PendingAfter)) {
            self.executor.step(inputs, is_submitted).await?;
        }
        #[cfg(test)]
        self.interruption().await?;
        self.executor.step(inputs, is_submitted).await
    }

    fn count_part(&mut self, begun: &mut Begun) {
        *begun = Begun { parts: begun.parts + 1, is_submitted: false };
        self.images += (self.options.batch / self.options.parts) as u64;
    }

    #[cfg(test)]
    async fn interruption(&mut self) -> Result<()> {
        match self.interruptions.pop_front().flatten() {
            None => Ok(()),
            Some(Interruption::Error) => Err(Error::Unsupported("a test wants it so".into())),
            Some(Interruption::Pending | Interruption::PendingAfter) => std::future::pending().await,
        }
    }

    /// What has come of the images since this was last asked. On a GPU this waits for the steps before.
    ///
    /// # Errors
    /// Those of the adapter.
    pub async fn totals(&mut self) -> Result<Totals> {
        let totals = self.totals_so_far().await?;
        self.set_totals(Totals::default()).await?;
        Ok(totals)
    }

    /// The same, and they go on: what they come to does not depend on how often somebody looks.
    pub(crate) async fn totals_so_far(&mut self) -> Result<Totals> {
        #[cfg(test)]
        self.interruption().await?;
        let sums = self.executor.read(self.planned.totals).await?;
        Ok(Totals { images: self.images, loss: f64::from(sums[0]), correct: f64::from(sums[1]) })
    }

    /// Goes on with what they were.
    pub(crate) async fn set_totals(&mut self, totals: Totals) -> Result<()> {
        #[cfg(test)]
        self.interruption().await?;
        self.executor.write(self.planned.totals, &[totals.loss as f32, totals.correct as f32]).await?;
        // Not before the sums are, or images would be missing where that fails.
        self.images = totals.images;
        Ok(())
    }

    /// The model as it is now, composed where it was.
    ///
    /// # Errors
    /// Those of the adapter; [`Error::Weight`] if something is no longer finite.
    pub async fn model(&mut self) -> Result<Model> {
        let mut weights = self.model.weights().clone();
        for (name, tensor) in self.values(|parameter| parameter.value).await? {
            if let Some(layer) = name.strip_suffix(".D") {
                // What is trained is what comes on top of the identity.
                for part in ["d_diag", "D_diag"] {
                    weights.remove(&format!("{layer}.{part}"));
                }
            }
            weights.insert(name, tensor);
        }
        weights.extend(self.running().await?);
        Model::new(self.model.network().clone(), weights)
    }

    /// The gradients of the last step, by the names of their parameters.
    ///
    /// # Errors
    /// Those of the adapter.
    pub async fn gradients(&mut self) -> Result<Weights> {
        self.values(|parameter| parameter.gradient).await
    }

    /// All there is to go on from here: [`Trainer::restore`] on the same adapter gives the same steps, to the bit.
    ///
    /// # Errors
    /// Those of the adapter.
    pub async fn state(&mut self) -> Result<Weights> {
        let mut state = Weights::new();
        let mut put = |prefix: &str, weights: Weights| {
            state.extend(weights.into_iter().map(|(name, tensor)| (format!("{prefix}.{name}"), tensor)));
        };
        put("parameter", self.values(|parameter| parameter.value).await?);
        put("parameter", self.running().await?);
        for index in 0..self.options.optimiser.rule().moments() {
            put(&format!("moment{index}"), self.values(|parameter| parameter.moments[index]).await?);
        }
        Ok(state)
    }

    /// Goes back to where [`Trainer::state`] was asked, after so many steps.
    ///
    /// # Errors
    /// [`Error::Weight`] if a tensor is missing, mis-shaped or not finite; nothing is changed then. Those of the adapter.
    pub async fn restore(&mut self, state: &Weights, steps: u64) -> Result<()> {
        let mut writes = vec![];
        for Parameter { tensors, value, moments, .. } in &self.planned.parameters {
            writes.push((*value, joined(state, "parameter", tensors)?));
            for (index, moment) in moments.iter().enumerate() {
                writes.push((*moment, joined(state, &format!("moment{index}"), tensors)?));
            }
        }
        for running in &self.planned.running {
            writes.push((running.value, joined(state, "parameter", &self.running_tensors(running))?));
        }
        for (value, values) in writes {
            self.executor.write(value, &values).await?;
        }
        self.steps = steps;
        self.set_totals(Totals::default()).await
    }

    /// Something of every parameter, as the tensors that it consists of.
    async fn values(&mut self, of: impl Fn(&Parameter) -> ValueId) -> Result<Weights> {
        let mut weights = Weights::new();
        for parameter in &self.planned.parameters {
            let values = self.executor.read(of(parameter)).await?;
            take_apart(values, &parameter.tensors, &mut weights)?;
        }
        Ok(weights)
    }

    async fn running(&mut self) -> Result<Weights> {
        let mut weights = Weights::new();
        for running in &self.planned.running {
            let values = self.executor.read(running.value).await?;
            take_apart(values, &self.running_tensors(running), &mut weights)?;
        }
        Ok(weights)
    }

    fn running_tensors(&self, running: &Running) -> Vec<(String, Vec<usize>)> {
        let [_, channels, ..] = self.planned.plan.value(running.value).shape;
        ["running_mean", "running_var"].map(|part| (format!("{}.{part}", running.name), vec![channels])).into()
    }
}

fn take_apart(values: Vec<f32>, tensors: &[(String, Vec<usize>)], weights: &mut Weights) -> Result<()> {
    let mut rest = &values[..];
    for (name, shape) in tensors {
        let (own, others) = rest.split_at(shape.iter().product());
        weights.insert(name.clone(), Tensor::new(shape.clone(), own.to_vec())?);
        rest = others;
    }
    Ok(())
}

fn joined(state: &Weights, prefix: &str, tensors: &[(String, Vec<usize>)]) -> Result<Vec<f32>> {
    let mut values = vec![];
    for (name, shape) in tensors {
        let name = format!("{prefix}.{name}");
        let tensor = state.get(&name).ok_or_else(|| Error::weight(&name, "missing"))?;
        if tensor.shape() != shape {
            return Err(Error::weight(name, format!("expected shape {shape:?}, got {:?}", tensor.shape())));
        }
        if let Some(at) = tensor.data().iter().position(|value| !value.is_finite()) {
            return Err(Error::weight(name, format!("value {at} is {}", tensor.data()[at])));
        }
        values.extend_from_slice(tensor.data());
    }
    Ok(values)
}

/// The probabilities to aim at, `[N, classes]`: all of it for an image's class, less `smoothing`, which is shared among all.
///
/// # Errors
/// [`Error::Input`] naming the first label out of range; [`Error::Unsupported`] for a smoothing that is not in 0…1.
pub fn targets(labels: &[usize], classes: usize, smoothing: f32) -> Result<Vec<f32>> {
    if !(0.0..=1.0).contains(&smoothing) {
        return Err(Error::Unsupported(format!("label smoothing {smoothing} is not in 0…1")));
    }
    let share = smoothing / classes as f32;
    let mut targets = vec![share; labels.len() * classes];
    for (item, &label) in labels.iter().enumerate() {
        if label >= classes {
            let reason = format!("that of item {item} is {label}, there are {classes} classes");
            return Err(Error::Input { input: "labels".into(), reason });
        }
        targets[item * classes + label] += 1.0 - smoothing;
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_name_parameters() {
        for (pattern, name, wanted) in [
            ("conv1.weight", "conv1.weight", true),
            ("conv1", "conv1.weight", false),
            ("layer1.*", "layer1.0.conv1.W", true),
            ("*.D", "layer1.0.conv1.D", true),
            ("*.D", "layer1.0.conv1.D.x", false),
            ("layer*conv2*", "layer1.0.conv2.W", true),
            ("layer*conv2*", "layer1.0.conv1.W", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), wanted, "{pattern} and {name}");
        }
    }

    #[test]
    fn targets_share_what_is_smoothed() {
        assert_eq!(targets(&[1, 0], 2, 0.0).unwrap(), [0.0, 1.0, 1.0, 0.0]);
        let smoothed = targets(&[2], 4, 0.2).unwrap();
        for (got, want) in smoothed.iter().zip([0.05, 0.05, 0.85, 0.05]) {
            assert!((got - want).abs() < 1e-7, "{smoothed:?}");
        }
        let error = targets(&[0, 5], 5, 0.0).unwrap_err().to_string();
        assert!(error.contains("item 1 is 5") && error.contains("5 classes"), "{error}");
        assert!(targets(&[0], 5, 1.5).is_err());
    }
}
