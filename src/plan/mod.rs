//! What is to be computed, in which order, in which buffers: decided without a device.
//!
//! [`Plan::new`] turns a model into a list of [`Step`]s: batch norms folded, activations and residual sums fused into
//! the convolutions they follow, DO-Conv layers in the form that the [`Mode`] asks for. An executor, on a GPU or on
//! the CPU, only replays it. Nothing here depends on the batch size; [`Plan::memory`] does.

mod gradient;
mod lower;
mod memory;
mod transposed;

pub use memory::Memory;
pub(crate) use gradient::Gradients;
pub(crate) use transposed::transpose_kernel;

use crate::doconv::Composed;
use crate::network::{Activation, Conv2d, Shape};
use crate::{Error, Model, Result, Tensor};

/// The form in which DO-Conv layers are run. All three compute the same function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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

/// Index of a [`Value`] in [`Plan::values`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub(crate) usize);

/// Index of a [`Kernel`] in [`Plan::kernels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelId(pub(crate) usize);

/// A network made ready to run.
///
/// A plan can be read but not changed from outside: executors rely on steps, shapes and kernels agreeing, down to
/// shaders without bounds checks.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) values: Vec<Value>,
    pub(crate) kernels: Vec<Kernel>,
    pub(crate) steps: Vec<Step>,
    pub(crate) inputs: Vec<ValueId>,
    pub(crate) outputs: Vec<ValueId>,
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
    /// They are there: OIHW.
    Plain(Vec<f32>),
    /// They are composed on the device that runs the network: once when the model is loaded, and again at each
    /// [`Step::Compose`].
    Composed(Composed),
    /// They are made at each [`Step::Transpose`] from those of the kernel named, whose convolution's input gradient is
    /// what this kernel is for.
    Transposed(KernelId),
}

/// One operation on feature maps.
#[derive(Clone, Debug)]
pub enum Step {
    /// Compose a kernel anew from its W and D.
    Compose(KernelId),
    /// Make a [`KernelSource::Transposed`] kernel from the one it comes from.
    Transpose(KernelId),
    /// `activation(conv(input) + bias + residual)`.
    Conv(Conv),
    /// Maximum or mean over windows.
    Pool(Pool),
    /// Maximum or mean over all pixels: the output is 1×1.
    GlobalPool {
        /// Maximum or mean.
        kind: PoolKind,
        /// Any size.
        input: ValueId,
        /// 1×1.
        output: ValueId,
    },
    /// `activation(a ∘ b)`.
    Binary(Binary),
    /// An element-wise function.
    Activation {
        /// Which.
        activation: Activation,
        /// Its argument.
        input: ValueId,
        /// Same shape.
        output: ValueId,
    },
    /// The channels of all inputs, one after the other.
    Concat {
        /// Same batch, height and width.
        inputs: Vec<ValueId>,
        /// As many channels as all inputs together.
        output: ValueId,
    },
    /// NCHW to N·(CHW)·1·1.
    Flatten {
        /// Larger than 1×1.
        input: ValueId,
        /// 1×1.
        output: ValueId,
    },
    /// Softmax over the channels of every pixel.
    Softmax {
        /// Logits.
        input: ValueId,
        /// Probabilities.
        output: ValueId,
    },
    /// The values of a kernel as a map `[out, in / groups, rows, columns]`.
    KernelMap {
        /// Which kernel, as it is at this step.
        kernel: KernelId,
        /// Its values.
        output: ValueId,
    },
    /// The gradient of a convolution's kernel.
    KernelGradient(KernelGradient),
    /// The gradient of a bias: the sum over batch and pixels.
    BiasGradient {
        /// The gradient of what the bias was added to.
        grad_output: ValueId,
        /// `[1, out, 1, 1]`.
        output: ValueId,
    },
    /// The gradient of W or D, from that of the kernel they compose to.
    ComposeGradient(ComposeGradient),
    /// The residues of a strided convolution's input gradient put together.
    Interleave(Interleave),
}

/// The gradient of a convolution's kernel: `Σ grad_output · input` over batch and pixels.
#[derive(Clone, Debug)]
pub struct KernelGradient {
    /// The layer's name.
    pub name: String,
    /// The convolution whose kernel it is.
    pub conv: Conv2d,
    /// What was convolved.
    pub input: ValueId,
    /// The gradient of the result.
    pub grad_output: ValueId,
    /// `[out, in / groups, rows, columns]`.
    pub output: ValueId,
}

/// One of the two kernels that compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Factor {
    /// `[out, in / groups, S]`.
    W,
    /// `[in, K, S]`: the effective D, whose gradient is that of its trainable part.
    D,
}

/// The gradient of W or D.
#[derive(Clone, Debug)]
pub struct ComposeGradient {
    /// The composed kernel, with the other factor.
    pub kernel: KernelId,
    /// Whose gradient it is.
    pub factor: Factor,
    /// The gradient of the kernel, `[out, in / groups, rows, columns]`.
    pub grad_kernel: ValueId,
    /// `[out, in / groups, S, 1]` or `[in, K, S, 1]`.
    pub output: ValueId,
}

/// Pixel `i` of an axis is that of residue `(i + offset) mod stride` at place `(i + offset) div stride`.
#[derive(Clone, Debug)]
pub struct Interleave {
    /// Blocks of channels.
    pub groups: usize,
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Where the first pixel lies, vertically and horizontally.
    pub offset: [usize; 2],
    /// Channels are, in every group, residue × channel of the output's group.
    pub input: ValueId,
    /// The result.
    pub output: ValueId,
}

/// A convolution with everything that is fused into it.
#[derive(Clone, Debug)]
pub struct Conv {
    /// The layer's name.
    pub name: String,
    /// Geometry; its `bias` and `doconv` have done their part already.
    pub conv: Conv2d,
    /// Kernel and bias.
    pub kernel: KernelId,
    /// What is convolved.
    pub input: ValueId,
    /// Added before the activation; the shape of the output.
    pub residual: Option<ValueId>,
    /// Applied last.
    pub activation: Option<Activation>,
    /// The result.
    pub output: ValueId,
}

/// Maximum or mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PoolKind {
    /// Maximum; padding never wins.
    Max,
    /// Mean.
    Mean {
        /// Whether padded zeros count in the divisor.
        count_include_pad: bool,
    },
}

/// A window sliding over every channel.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Maximum or mean.
    pub kind: PoolKind,
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    pub stride: [usize; 2],
    /// Top, left, bottom, right.
    pub padding: [usize; 4],
    /// Vertical and horizontal distance between taps.
    pub dilation: [usize; 2],
    /// What is pooled.
    pub input: ValueId,
    /// The result.
    pub output: ValueId,
}

/// Sum or product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// Sum.
    Add,
    /// Product.
    Mul,
}

/// An element-wise function of two maps.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// The shape of the output.
    pub a: ValueId,
    /// The same shape, or 1×1 and repeated over the pixels of `a`.
    pub b: ValueId,
    /// Applied last.
    pub activation: Option<Activation>,
    /// The result.
    pub output: ValueId,
}

impl Step {
    /// The maps it reads.
    pub fn inputs(&self) -> Vec<ValueId> {
        match self {
            Step::Compose(_) | Step::Transpose(_) | Step::KernelMap { .. } => vec![],
            Step::KernelGradient(step) => vec![step.input, step.grad_output],
            Step::BiasGradient { grad_output, .. } => vec![*grad_output],
            Step::ComposeGradient(step) => vec![step.grad_kernel],
            Step::Interleave(step) => vec![step.input],
            Step::Conv(conv) => [Some(conv.input), conv.residual].into_iter().flatten().collect(),
            Step::Pool(pool) => vec![pool.input],
            Step::Binary(binary) => vec![binary.a, binary.b],
            Step::Concat { inputs, .. } => inputs.clone(),
            Step::GlobalPool { input, .. }
            | Step::Activation { input, .. }
            | Step::Flatten { input, .. }
            | Step::Softmax { input, .. } => vec![*input],
        }
    }

    /// The map it writes, if any.
    pub fn output(&self) -> Option<ValueId> {
        match self {
            Step::Compose(_) | Step::Transpose(_) => None,
            Step::KernelGradient(step) => Some(step.output),
            Step::ComposeGradient(step) => Some(step.output),
            Step::Interleave(step) => Some(step.output),
            Step::Conv(conv) => Some(conv.output),
            Step::Pool(pool) => Some(pool.output),
            Step::Binary(binary) => Some(binary.output),
            Step::GlobalPool { output, .. }
            | Step::KernelMap { output, .. }
            | Step::BiasGradient { output, .. }
            | Step::Activation { output, .. }
            | Step::Concat { output, .. }
            | Step::Flatten { output, .. }
            | Step::Softmax { output, .. } => Some(*output),
        }
    }
}

impl Plan {
    /// Plans a model.
    ///
    /// In [`Mode::Kernel`] and [`Mode::Feature`], layers that are marked as DO-Conv but hold a folded kernel are
    /// expanded first, with a random invertible D.
    ///
    /// ```
    /// use doconv::{Model, network::zoo, plan::{Mode, Plan, Step}};
    /// # fn demo(model: &Model) -> doconv::Result<()> {
    /// let plan = Plan::new(model, Mode::Folded)?;
    /// let convolutions = plan.steps().iter().filter(|step| matches!(step, Step::Conv(_))).count();
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// Those of [`Model::expand`] and [`Model::fold_batch_norms`]; [`crate::Error::Unsupported`] where feature
    /// composition cannot express a layer's pairing.
    pub fn new(model: &Model, mode: Mode) -> Result<Self> {
        lower::lower(model, mode)
    }

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

    /// The plan for an executor that has packed the weights: everything but their values, except those of kernels that
    /// `keep` wants.
    pub(crate) fn without_weights(&self, keep: impl Fn(KernelId) -> bool) -> Self {
        let strip = |(index, kernel): (usize, &Kernel)| {
            if keep(KernelId(index)) {
                return kernel.clone();
            }
            let source = match &kernel.source {
                KernelSource::Transposed(of) => KernelSource::Transposed(*of),
                KernelSource::Plain(_) => KernelSource::Plain(vec![]),
                KernelSource::Composed(Composed { attributes, .. }) => KernelSource::Composed(Composed {
                    w: Tensor::zeros([0]),
                    d: Tensor::zeros([0]),
                    attributes: *attributes,
                }),
            };
            Kernel { name: kernel.name.clone(), conv: kernel.conv.clone(), source, bias: vec![] }
        };
        Self {
            values: self.values.clone(),
            kernels: self.kernels.iter().enumerate().map(strip).collect(),
            steps: self.steps.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
        }
    }

    /// Whether a step composes this kernel anew for every run.
    pub(crate) fn composes_every_run(&self, kernel: KernelId) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Compose(id) if *id == kernel))
    }

    /// A value's description.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0]
    }

    /// A kernel's description.
    pub fn kernel(&self, id: KernelId) -> &Kernel {
        &self.kernels[id.0]
    }

    /// Assigns the values to as few and as small buffers as their lifetimes allow.
    ///
    /// `elements` gives the number of elements a map takes in the executor's layout. No step's output shares a buffer
    /// with one of its inputs.
    pub fn memory(&self, batch: usize, elements: impl Fn(Shape) -> usize) -> Memory {
        memory::assign(self, batch, elements)
    }
}
