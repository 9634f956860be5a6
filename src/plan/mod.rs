//! What is to be computed, in which order, in which buffers: decided without a device.
//!
//! [`Plan::new`] turns a model into a list of [`Step`]s: batch norms folded, activations and residual sums fused into
//! the convolutions they follow, DO-Conv layers in the form that the [`Mode`] asks for. An executor, on a GPU or on
//! the CPU, only replays it. Nothing here depends on the batch size; [`Plan::memory`] does.

mod check;
mod folding;
mod gradient;
mod ids;
mod lower;
mod memory;
mod pool;
mod resize;
mod step;
mod sub_pixel;
mod sub_plan;
#[cfg(training)]
mod training_plan;
mod training_steps;
mod view;

pub(crate) use gradient::Gradients;
pub use ids::{ConstantId, KernelId, ValueId};
pub(crate) use lower::expand_marked;
pub use memory::Memory;
pub use pool::{Pool, PoolKind};
pub use step::{Binary, BinaryOp, ComposeGradient, Conv, Factor, KernelGradient, Pad, PadGradient, Step};
pub use sub_pixel::SubPixel;
#[cfg(training)]
pub(crate) use training_plan::check_norms;
#[cfg(training)]
pub use training_plan::{Decay, Parameter, Recipe, Running, TrainingPlan};
#[cfg(training)]
pub(crate) use training_steps::AFFINE_PARTS;
#[cfg(training)]
pub use training_steps::{
    Accumulate, Blend, HYPERPARAMETERS, Hyperparameters, Load, LoadedPart, NormGradient, NormSums, Normalise,
    PoolGradient, Rule, Update,
};
pub use training_steps::{ArenaId, State, TrainStep};
pub use view::{AxisView, View};

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::doconv::Composed;
use crate::network::{Conv2d, ConvTranspose2d, Shape};
use crate::{Error, Result, Tensor};

/// The form in which DO-Conv layers are run. All three compute the same function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Kernels are composed once, when the model is loaded: an ordinary network.
    #[default]
    Folded,
    /// Kernels are composed anew for every run, as in training.
    Kernel,
    /// A depthwise convolution with D, then a grouped 1×1 convolution with W.
    Feature,
}

impl Mode {
    /// Every mode there is.
    pub const ALL: [Mode; 3] = [Mode::Folded, Mode::Kernel, Mode::Feature];

    /// The name that the command line and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Folded => "folded",
            Mode::Kernel => "kernel",
            Mode::Feature => "feature",
        }
    }
}

/// A network made ready to run.
///
/// A plan can be read but not changed from outside: executors rely on steps, shapes and kernels agreeing, down to
/// shaders without bounds checks.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) values: Vec<Value>,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) constants: Vec<Constant>,
    pub(crate) steps: Vec<Step>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
    /// What stays from run to run.
    pub(crate) states: Vec<State>,
    /// Values that lie one behind the other in a buffer of their own.
    pub(crate) arenas: Vec<Vec<ValueId>>,
}

/// A feature map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// The network's name for it.
    pub name: String,
    /// Its shape for a batch of one; only the first extent depends on the batch.
    pub shape: Shape,
}

impl Value {
    /// The shape for a batch.
    pub fn batched(&self, batch: usize) -> Shape {
        let [n, c, h, w] = self.shape;
        [n * batch, c, h, w]
    }
}

/// The kernel and bias of a convolution.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// The layer's name.
    pub name: String,
    /// The convolution it is for.
    pub conv: Conv2d,
    /// Where its values come from.
    pub source: KernelSource,
    /// One value per output channel.
    pub bias: Vec<f32>,
}

/// Where the values of a kernel come from.
#[derive(Clone, Debug)]
pub enum KernelSource {
    /// They are there: OIHW. Shared with the model, and with plans for parts of this one.
    Plain(Arc<Vec<f32>>),
    /// They are composed on the device that runs the network: once when the model is loaded, and again at each
    /// [`Step::Compose`].
    Composed(Composed),
    /// They are made at each [`Step::Transpose`] from those of another kernel, whose convolution's input gradient is what
    /// this one is for.
    Transposed(Box<Transposed>),
}

/// The kernel of a transposed convolution, made from the one that it shares its values with.
#[derive(Clone, Debug)]
pub struct Transposed {
    /// The kernel of the convolution whose input gradient the transposed convolution is.
    pub of: KernelId,
    /// The transposed convolution.
    pub conv: ConvTranspose2d,
    /// The form in which it is run.
    pub sub_pixel: SubPixel,
}

/// A map that never changes.
#[derive(Clone, Debug)]
pub struct Constant {
    /// The node it belongs to.
    pub name: String,
    /// Items, channels, height, width.
    pub shape: Shape,
    /// NCHW.
    pub values: Vec<f32>,
}

impl Plan {
    /// Checks what an executor is given to run.
    ///
    /// # Errors
    /// [`Error::Input`] if number or length of the inputs do not fit the batch.
    pub(crate) fn check_inputs(&self, batch: usize, inputs: &[&[f32]]) -> Result<()> {
        let fail = |input: &str, reason: String| Err(Error::Input { input: input.into(), reason });
        if batch == 0 {
            return fail("batch", "a batch needs at least one image".into());
        }
        if inputs.len() != self.inputs.len() {
            return fail("inputs", format!("the network has {}, {} were given", self.inputs.len(), inputs.len()));
        }
        for (&id, input) in self.inputs.iter().zip(inputs) {
            let value = self.value(id);
            let shape = value.batched(batch);
            if input.len() != shape.iter().product::<usize>() {
                return fail(&value.name, format!("expected {shape:?}, got {} values", input.len()));
            }
        }
        Ok(())
    }

    /// Every feature map that some step reads or writes.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Every convolution kernel, with its bias.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// Nothing yet.
    fn empty() -> Self {
        Self {
            values: vec![],
            kernels: vec![],
            constants: vec![],
            steps: vec![],
            inputs: vec![],
            outputs: vec![],
            states: vec![],
            arenas: vec![],
        }
    }

    /// Every map that never changes.
    pub fn constants(&self) -> &[Constant] {
        &self.constants
    }

    /// What to do for every run, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The maps to fill before a run, in the network's order.
    pub fn inputs(&self) -> &[ValueId] {
        &self.inputs
    }

    /// The maps to read after a run, in the network's order.
    pub fn outputs(&self) -> &[ValueId] {
        &self.outputs
    }

    /// The values that stay from run to run, and what they are before the first.
    pub fn states(&self) -> &[State] {
        &self.states
    }

    /// One of them.
    pub fn arena(&self, id: ArenaId) -> &[ValueId] {
        &self.arenas[id.0]
    }

    /// Lists of values, each of which lies in a buffer of its own, one behind the other.
    pub fn arenas(&self) -> &[Vec<ValueId>] {
        &self.arenas
    }

    /// The plan for an executor that has packed the weights: everything but their values, those of constants too, except
    /// the tables of interpolations and those of kernels that `keep` wants.
    pub(crate) fn without_weights(&self, keep: impl Fn(KernelId) -> bool) -> Self {
        let strip = |(index, kernel): (usize, &Kernel)| {
            if keep(KernelId(index)) {
                return kernel.clone();
            }
            let source = match &kernel.source {
                KernelSource::Transposed(transposed) => KernelSource::Transposed(transposed.clone()),
                KernelSource::Plain(_) => KernelSource::Plain(Arc::default()),
                KernelSource::Composed(Composed { attributes, .. }) => KernelSource::Composed(Composed {
                    w: Tensor::zeros([0]),
                    d: Tensor::zeros([0]),
                    attributes: *attributes,
                }),
            };
            Kernel { name: kernel.name.clone(), conv: kernel.conv.clone(), source, bias: vec![] }
        };
        let without_values = |(index, constant): (usize, &Constant)| match self.is_table(ConstantId(index)) {
            true => constant.clone(),
            false => Constant { name: constant.name.clone(), shape: constant.shape, values: vec![] },
        };
        Self {
            values: self.values.clone(),
            kernels: self.kernels.iter().enumerate().map(strip).collect(),
            constants: self.constants.iter().enumerate().map(without_values).collect(),
            steps: self.steps.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            states: self.states.clone(),
            arenas: self.arenas.clone(),
        }
    }

    /// Lets go of the numbers, which executors have.
    #[cfg(training)]
    pub(crate) fn forget_weights(&mut self) {
        *self = self.without_weights(|_| false);
        self.states.iter_mut().for_each(|state| state.initial = vec![]);
    }

    /// Whether a step composes this kernel anew for every run.
    pub(crate) fn composes_every_run(&self, kernel: KernelId) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Compose(id) if *id == kernel))
    }

    /// The two convolutions of feature composition, where step `index` is the first of them and nothing else reads what
    /// lies between: an executor may run them as one, so that the input of the first lives until the second is done.
    pub(crate) fn feature_pair(&self, index: usize) -> Option<(&Conv, &Conv)> {
        let (Some(Step::Conv(d)), Some(Step::Conv(w))) = (self.steps.get(index), self.steps.get(index + 1)) else {
            return None;
        };
        let is_d = d.conv.channels_per_group() == 1 && d.conv.outputs_per_group() > 1 && !d.conv.bias;
        let is_w = w.conv.taps() == 1 && w.conv.stride == [1, 1] && w.conv.padding == [0; 4];
        let bare = d.residual.is_none() && d.activation.is_none();
        let readers = || self.steps.iter().flat_map(Step::inputs).filter(|&value| value == d.output).count();
        let private = w.input == d.output && !self.outputs.contains(&d.output);
        (is_d && is_w && bare && private && readers() == 1).then_some((d, w))
    }

    /// Whether steps read kernels as they are, or give their gradients: such a plan is for looking at a layer or for training.
    pub(crate) fn reads_kernels(&self) -> bool {
        let reads = |step: &Step| {
            matches!(
                step,
                Step::Transpose(_) | Step::KernelMap { .. } | Step::KernelGradient(_) | Step::ComposeGradient(_)
            )
        };
        self.steps.iter().any(reads)
    }

    /// Whether a step reads what this kernel is made of, rather than what an executor makes of it.
    pub(crate) fn reads_weights(&self, kernel: KernelId) -> bool {
        self.steps.iter().any(|step| match step {
            Step::KernelMap { kernel: read, .. } => *read == kernel,
            Step::ComposeGradient(step) => step.kernel == kernel,
            Step::Transpose(id) => {
                matches!(&self.kernel(*id).source, KernelSource::Transposed(transposed) if transposed.of == kernel)
            }
            _ => false,
        })
    }

    /// A value's description.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// A constant.
    pub fn constant(&self, id: ConstantId) -> &Constant {
        &self.constants[id.0]
    }

    /// A kernel's description.
    pub fn kernel(&self, id: KernelId) -> &Kernel {
        &self.kernels[id.0]
    }
}
