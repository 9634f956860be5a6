//! A network's training step as a plan: parameters loaded, forward pass, loss, backward pass, optimiser.

use serde::{Deserialize, Serialize};

use super::lower::{TrainedNorm, lower_for_training};
use super::{
    AFFINE_PARTS, Accumulate, ArenaId, Blend, HYPERPARAMETERS, KernelSource, Load, LoadedPart, Plan, Rule, State, Step,
    TrainStep, Update, ValueId,
};
use crate::doconv::add_identity;
use crate::network::{Op, Shape};
use crate::{Error, Model, Network, Result};

/// Which parameters decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// All of them, as in the DO-Conv authors' code and by PyTorch's default: W and the trainable part of D each by itself.
    #[default]
    All,
    /// Only kernels: W, D and weights of convolutions and fully connected layers, not biases and batch norms.
    Kernels,
}

/// How a training step is planned.
#[derive(Clone, Copy, Debug)]
pub struct Recipe {
    /// Images of a run.
    pub batch: usize,
    /// How parameters follow their gradients.
    pub rule: Rule,
    /// Which parameters decay.
    pub decay: Decay,
    /// Whether the norm of all gradients together is bounded.
    pub clips: bool,
    /// Whether gradients of several runs are added up before the optimiser takes a step.
    pub accumulates: bool,
}

/// Something that is trained.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Names and shapes of the tensors that lie in it, one behind the other.
    pub tensors: Vec<(String, Vec<usize>)>,
    /// Its value, a state.
    pub value: ValueId,
    /// Its gradient after a run, together with those of the runs before where these are added up.
    pub gradient: ValueId,
    /// What the optimiser remembers of it, states.
    pub moments: Vec<ValueId>,
}

/// What a batch norm takes along for inference.
#[derive(Clone, Debug)]
pub struct Running {
    /// The node's name.
    pub name: String,
    /// Mean and variance, `[2, C, 1, 1]`, a state.
    pub value: ValueId,
}

/// A plan whose run is a training step, for a fixed batch: to be run as a batch of one.
///
/// Its inputs are the network's, the targets `[N, classes, 1, 1]`, and the [`Hyperparameters`](super::Hyperparameters). It has no
/// outputs; what is of interest are states.
#[derive(Clone, Debug)]
pub struct TrainingPlan {
    /// The steps.
    pub plan: Plan,
    /// Images of a run.
    pub batch: usize,
    /// What is trained.
    pub parameters: Vec<Parameter>,
    /// What is observed.
    pub running: Vec<Running>,
    /// Sums over all images since it was last zero, `[1, 2, 1, 1]`, a state: of cross-entropies, and of the ones that say
    /// that an image was classified as its target.
    pub totals: ValueId,
    /// Number of classes.
    pub classes: usize,
}

/// By how much running statistics follow those of a batch: PyTorch's default.
const NORM_MOMENTUM: f32 = 0.1;

impl TrainingPlan {
    /// Plans a training step of a network that ends in logits `[N, classes, 1, 1]`. Parameters that `trains` does not name
    /// stay as they are; batch norms whose parameters it does not name use their running statistics.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for what has no gradient here, a batch norm of which it names one parameter only, or a batch that
    /// is too small; those of [`Plan::new`].
    pub fn new(model: &Model, recipe: Recipe, trains: &dyn Fn(&str) -> bool) -> Result<Self> {
        let batch = recipe.batch;
        check_norms(model.network(), trains)?;
        let (plan, norms) = lower_for_training(model, batch, trains)?;
        let logits = logits(model, &plan, batch)?;
        let classes = plan.value(logits).shape[1];
        let mut builder = Builder { model, plan, parameters: vec![], trains };
        let (targets, hyperparameters) = builder.inputs(logits);
        let loads = builder.kernels()?;
        builder.norms(&norms)?;
        builder.check_all_are_found()?;

        let sums = builder.loss(logits, targets);
        let gradient = builder.plan.add_value("gradient of the loss".into(), builder.plan.value(logits).shape);
        let forward = builder.plan.steps.len();
        let trained = loads.iter().map(|load| load.kernel).collect();
        let gradients = builder.plan.add_gradients_from(logits, gradient, &trained)?;
        let step = TrainStep::CrossEntropyGradient { logits, targets, output: gradient };
        builder.plan.steps.insert(forward, Step::Train(step));
        builder.plan.steps.splice(0..0, loads.into_iter().map(|load| Step::Train(TrainStep::Load(load))));

        for kernel in &gradients.kernels {
            let name = builder.plan.kernel(kernel.kernel).name.clone();
            let [w, d] = kernel.factors.unwrap_or([kernel.values; 2]);
            for (part, gradient) in [("weight", kernel.values), ("W", w), ("D", d), ("bias", kernel.bias)] {
                builder.found(&format!("{name}.{part}"), gradient);
            }
        }
        for norm in &gradients.norms {
            if let Some(parameter) = builder.parameters.iter_mut().find(|parameter| parameter.value == norm.affine) {
                parameter.gradient = Some(norm.sums);
            }
        }
        let running = builder.observe(&norms)?;
        let totals = builder.state("totals", [1, 2, 1, 1], vec![]);
        builder.blend(1.0, [1.0; 2], sums, totals);
        let parameters = builder.update(recipe, hyperparameters)?;
        let mut plan = builder.plan;
        plan.outputs.clear();
        plan.prune();
        Ok(Self { plan: plan.checked()?, batch, parameters, running, totals, classes })
    }
}

/// Checks that every batch norm is trained as a whole or not at all: its parameters are one step's, with the statistics of the
/// batch, or with those that are there.
pub fn check_norms(network: &Network, trains: &dyn Fn(&str) -> bool) -> Result<()> {
    for node in network.nodes.iter().filter(|node| matches!(node.op, Op::BatchNorm(_))) {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let (trained, frozen): (Vec<&str>, Vec<&str>) =
            parts.into_iter().partition(|part| trains(&format!("{}.{part}", node.name)));
        // Statistics need not be named: they stay where the parameters do.
        if let ([trained @ ("weight" | "bias"), ..], [frozen, ..]) = (&trained[..], &frozen[..]) {
            let name = &node.name;
            return Err(Error::Unsupported(format!(
                "`{name}.{frozen}` is frozen and `{name}.{trained}` is not: a batch norm is frozen as a whole, `{name}.*`, or \
                 not at all"
            )));
        }
    }
    Ok(())
}

/// The only output, which has to be logits.
fn logits(model: &Model, plan: &Plan, batch: usize) -> Result<ValueId> {
    let fail = |reason: String| Err(Error::Unsupported(format!("training `{}`: {reason}", model.network().name)));
    let &[output] = plan.outputs() else {
        return fail(format!("it has {} outputs, a classifier has one", plan.outputs().len()));
    };
    let shape = plan.value(output).shape;
    if shape[0] != batch || shape[2..] != [1, 1] {
        return fail(format!("its output is {shape:?}, that of a classifier is [{batch}, classes, 1, 1]"));
    }
    if model.network().ends_in_softmax() {
        return fail("it ends in a softmax, which the loss has already; leave that out".into());
    }
    Ok(output)
}

struct Builder<'a> {
    model: &'a Model,
    plan: Plan,
    parameters: Vec<Found>,
    trains: &'a dyn Fn(&str) -> bool,
}

/// A parameter whose gradient may still be sought.
struct Found {
    tensors: Vec<(String, Vec<usize>)>,
    value: ValueId,
    is_kernel: bool,
    gradient: Option<ValueId>,
}

impl Builder<'_> {
    fn inputs(&mut self, logits: ValueId) -> (ValueId, ValueId) {
        let targets = self.plan.add_value("targets".into(), self.plan.value(logits).shape);
        let hyperparameters = self.plan.add_value("hyperparameters".into(), [1, HYPERPARAMETERS, 1, 1]);
        self.plan.inputs.extend([targets, hyperparameters]);
        (targets, hyperparameters)
    }

    /// The kernels whose parameters are trained, and how they are loaded.
    fn kernels(&mut self) -> Result<Vec<Load>> {
        let mut loads = vec![];
        for index in 0..self.plan.kernels.len() {
            let kernel = &self.plan.kernels[index];
            let (name, conv) = (kernel.name.clone(), kernel.conv.clone());
            let mut parts = match &kernel.source {
                KernelSource::Plain(_) => vec![("weight", LoadedPart::Kernel, conv.kernel_shape())],
                KernelSource::Composed(composed) => {
                    let s = composed.attributes.d_mul;
                    let w = [conv.out_channels, conv.channels_per_group(), s, 1];
                    vec![("W", LoadedPart::W, w), ("D", LoadedPart::D, [conv.in_channels, conv.taps(), s, 1])]
                }
                KernelSource::Transposed(_) => continue,
            };
            if conv.bias {
                parts.push(("bias", LoadedPart::Bias, [1, conv.out_channels, 1, 1]));
            }
            for (part, loaded, shape) in parts {
                // A 1×1 DO-Conv layer has no D, and its W may be there in place of its weight.
                let names = [format!("{name}.{part}"), format!("{name}.W")];
                let named = |name: &&String| self.model.weights().contains_key(*name);
                let Some(full) = names.iter().take(if part == "weight" { 2 } else { 1 }).find(named).cloned() else {
                    continue;
                };
                let tensor = &self.model.weights()[&full];
                let count: usize = shape.iter().product();
                if !(self.trains)(&full) || tensor.data().len() != count {
                    continue;
                }
                let own = tensor.shape().to_vec();
                let initial =
                    if loaded == LoadedPart::D { self.residual(index, &name) } else { tensor.data().to_vec() };
                let value = self.state(&full, shape, initial);
                loads.push(Load { kernel: super::KernelId(index), part: loaded, input: value });
                let is_kernel = loaded != LoadedPart::Bias;
                self.parameters.push(Found { tensors: vec![(full, own)], value, is_kernel, gradient: None });
            }
        }
        Ok(loads)
    }

    /// What of D comes on top of the identity: the file's own, unless it says something else for the constant part.
    fn residual(&self, kernel: usize, layer: &str) -> Vec<f32> {
        let kernel = &self.plan.kernels[kernel];
        let own = self.model.weights()[&format!("{layer}.D")].data();
        let KernelSource::Composed(composed) = &kernel.source else { return own.to_vec() };
        let mut usual = own.to_vec();
        add_identity(kernel.conv.taps(), composed.attributes.d_mul, &mut usual);
        if usual == composed.d.data() {
            return own.to_vec();
        }
        let mut identity = vec![0.0; own.len()];
        add_identity(kernel.conv.taps(), composed.attributes.d_mul, &mut identity);
        composed.d.data().iter().zip(identity).map(|(effective, identity)| effective - identity).collect()
    }

    fn norms(&mut self, norms: &[TrainedNorm]) -> Result<()> {
        for norm in norms {
            let [_, channels, ..] = self.plan.value(norm.affine).shape;
            let names = AFFINE_PARTS.map(|part| format!("{}.{part}", norm.name));
            let mut initial = vec![];
            for name in &names {
                initial.extend_from_slice(self.model.tensor(name, &[channels])?.data());
            }
            self.plan.states.push(State { value: norm.affine, initial });
            let tensors = names.map(|name| (name, vec![channels])).into();
            self.parameters.push(Found { tensors, value: norm.affine, is_kernel: false, gradient: None });
        }
        Ok(())
    }

    /// Whatever should be trained and is no parameter here would silently stay as it is.
    fn check_all_are_found(&self) -> Result<()> {
        if self.parameters.is_empty() {
            return Err(Error::Unsupported("training: everything is frozen".into()));
        }
        const OBSERVED: [&str; 5] = ["running_mean", "running_var", "d_diag", "D_diag", "value"];
        for name in self.model.weights().keys() {
            let part = name.rsplit('.').next().unwrap_or_default();
            let is_found = || self.parameters.iter().flat_map(|found| &found.tensors).any(|(known, _)| known == name);
            if !OBSERVED.contains(&part) && (self.trains)(name) && !is_found() {
                return Err(Error::Unsupported(format!("`{name}` cannot be trained; freeze it")));
            }
        }
        Ok(())
    }

    /// The loss of every image, and whether it is right, summed up over the batch.
    fn loss(&mut self, logits: ValueId, targets: ValueId) -> ValueId {
        let [n, ..] = self.plan.value(logits).shape;
        let outcome = self.plan.add_value("outcome".into(), [n, 2, 1, 1]);
        let sums = self.plan.add_value("outcome of the batch".into(), [1, 2, 1, 1]);
        let step = TrainStep::CrossEntropy { logits, targets, output: outcome };
        self.plan.steps.push(Step::Train(step));
        self.plan.steps.push(Step::BiasGradient { grad_output: outcome, output: sums });
        sums
    }

    fn found(&mut self, name: &str, gradient: ValueId) {
        let mut parameters = self.parameters.iter_mut();
        if let Some(found) = parameters.find(|found| found.gradient.is_none() && found.tensors[0].0 == name) {
            found.gradient = Some(gradient);
        }
    }

    fn state(&mut self, name: &str, shape: Shape, initial: Vec<f32>) -> ValueId {
        let value = self.plan.add_value(name.into(), shape);
        self.plan.states.push(State { value, initial });
        value
    }

    fn blend(&mut self, keep: f32, add: [f32; 2], input: ValueId, state: ValueId) {
        self.plan.steps.push(Step::Train(TrainStep::Blend(Blend { keep, add, input, state })));
    }

    /// Running statistics follow those of the batch; variances as estimates for all images, as in PyTorch.
    fn observe(&mut self, norms: &[TrainedNorm]) -> Result<Vec<Running>> {
        let mut running = vec![];
        for norm in norms {
            let [n, channels, height, width] = self.plan.value(norm.input).shape;
            let count = n * height * width;
            if count < 2 {
                return Err(Error::Unsupported(format!(
                    "batch norm `{}` sees one value per channel in a batch of {n}, which has no variance; use a larger batch, or fewer parts of it",
                    norm.name
                )));
            }
            let mut initial = vec![];
            for part in ["running_mean", "running_var"] {
                initial.extend_from_slice(self.model.tensor(&format!("{}.{part}", norm.name), &[channels])?.data());
            }
            let value = self.state(&format!("{}.running", norm.name), [2, channels, 1, 1], initial);
            let unbiased = count as f32 / (count - 1) as f32;
            self.blend(1.0 - NORM_MOMENTUM, [NORM_MOMENTUM, NORM_MOMENTUM * unbiased], norm.statistics, value);
            running.push(Running { name: norm.name.clone(), value });
        }
        Ok(running)
    }

    /// Parameters in one list, those that decay first, and the optimiser's step over it.
    fn update(&mut self, recipe: Recipe, hyperparameters: ValueId) -> Result<Vec<Parameter>> {
        let rule = recipe.rule;
        let decays = |found: &Found| recipe.decay == Decay::All || found.is_kernel;
        let (decayed, others): (Vec<Found>, Vec<Found>) =
            std::mem::take(&mut self.parameters).into_iter().partition(decays);
        let count = decayed.len();
        let mut parameters = vec![];
        for found in decayed.into_iter().chain(others) {
            let gradient = found.gradient.ok_or_else(|| {
                Error::Unsupported(format!("the loss does not depend on `{}`; freeze it", found.tensors[0].0))
            })?;
            let shape = self.plan.value(found.value).shape;
            let moment = |_| self.state(&format!("moment of {}", found.tensors[0].0), shape, vec![]);
            let moments = (0..rule.moments()).map(moment).collect();
            parameters.push(Parameter { tensors: found.tensors, value: found.value, gradient, moments });
        }
        let mut gradients = self.arena(&parameters, |parameter| parameter.gradient);
        if recipe.accumulates {
            for parameter in &mut parameters {
                let name = format!("sum of gradients of {}", parameter.tensors[0].0);
                parameter.gradient = self.state(&name, self.plan.value(parameter.value).shape, vec![]);
            }
            let sums = self.arena(&parameters, |parameter| parameter.gradient);
            let step = Accumulate { hyperparameters, gradients, sums };
            self.plan.steps.push(Step::Train(TrainStep::Accumulate(step)));
            gradients = sums;
        }
        let squares = recipe.clips.then(|| {
            let inputs = self.plan.arena(gradients).to_vec();
            let output = self.plan.add_value("squares of the gradients".into(), [1; 4]);
            self.plan.steps.push(Step::Train(TrainStep::SquareSum { inputs, output }));
            output
        });
        let update = Update {
            rule,
            hyperparameters,
            parameters: self.arena(&parameters, |parameter| parameter.value),
            gradients,
            squares,
            moments: (0..rule.moments())
                .map(|index| self.arena(&parameters, |parameter| parameter.moments[index]))
                .collect(),
            decayed: count,
        };
        self.plan.steps.push(Step::Train(TrainStep::Update(update)));
        Ok(parameters)
    }

    /// Something of every parameter, one behind the other in memory.
    fn arena(&mut self, parameters: &[Parameter], of: impl Fn(&Parameter) -> ValueId) -> ArenaId {
        self.plan.arenas.push(parameters.iter().map(of).collect());
        ArenaId(self.plan.arenas.len() - 1)
    }
}
