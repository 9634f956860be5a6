//! What there is to do: the steps of a plan.

use super::ids::{ConstantId, KernelId, ValueId};
use super::pool::{Pool, PoolKind};
use super::{TrainStep, View};
use crate::network::{Activation, Conv2d, Lrn, PaddingMode};

/// One operation on feature maps.
#[derive(Clone, Debug)]
pub enum Step {
    /// Compose a kernel anew from its W and D.
    Compose(KernelId),
    /// Make a [`KernelSource::Transposed`](super::KernelSource::Transposed) kernel from the one it comes from.
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
    /// A constant, once for every element of the batch.
    Constant {
        /// Its values.
        constant: ConstantId,
        /// Its shape.
        output: ValueId,
    },
    /// The values of a map in another order, some of them several times or not at all.
    Rearrange {
        /// Where every element comes from.
        view: View,
        /// Any shape that the view stays inside of.
        input: ValueId,
        /// Any shape.
        output: ValueId,
    },
    /// Values around a map.
    Pad(Pad),
    /// Interpolation along rows, then along columns.
    Resize {
        /// A map `[1, 2, output height, taps]`: channel 0 holds the input rows that a row is made of, channel 1 their
        /// weights.
        rows: ConstantId,
        /// The same for columns.
        columns: ConstantId,
        /// Any size.
        input: ValueId,
        /// The same channels.
        output: ValueId,
    },
    /// Local response normalisation over channels.
    Lrn {
        /// Its parameters.
        lrn: Lrn,
        /// Any shape.
        input: ValueId,
        /// The same shape.
        output: ValueId,
    },
    /// Softmax over the channels of every pixel, or its logarithm.
    Softmax {
        /// Whether logarithms are wanted.
        logarithm: bool,
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
    /// The gradient of what a [`Step::Pad`] with values around rows and columns has read.
    PadGradient(PadGradient),
    /// What only training has.
    Train(TrainStep),
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

/// The gradient of a map that was padded: every pixel gets the gradients of all padded pixels that are like it.
#[derive(Clone, Debug)]
pub struct PadGradient {
    /// How many rows were put above, and how many columns before.
    pub before: [usize; 2],
    /// What was put there.
    pub mode: PaddingMode,
    /// The gradient of the padded map.
    pub grad_output: ValueId,
    /// The gradient of the map.
    pub output: ValueId,
}

/// Values around a map; the number of those after it follows from the shapes.
#[derive(Clone, Debug)]
pub struct Pad {
    /// How many before the first item, channel, row and column.
    pub before: [usize; 4],
    /// Where they come from.
    pub mode: PaddingMode,
    /// What [`PaddingMode::Zeros`] adds in place of zeros.
    pub value: f32,
    /// What is padded.
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

/// A function of two numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `a + b`.
    Add,
    /// `a − b`.
    Sub,
    /// `a · b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a · b` where a is negative, else `a`.
    Prelu,
}

impl BinaryOp {
    /// Every function there is.
    pub const ALL: [BinaryOp; 5] = [BinaryOp::Add, BinaryOp::Sub, BinaryOp::Mul, BinaryOp::Div, BinaryOp::Prelu];
}

/// An element-wise function of two maps.
#[derive(Clone, Debug)]
pub struct Binary {
    /// Which.
    pub op: BinaryOp,
    /// The shape of the output, or along any axis the extent 1, and then repeated along it; along the first, within
    /// every element of the batch.
    pub a: ValueId,
    /// The same. Of commutative functions this is never the larger operand.
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
            Step::Compose(_) | Step::Transpose(_) | Step::KernelMap { .. } | Step::Constant { .. } => vec![],
            Step::KernelGradient(step) => vec![step.input, step.grad_output],
            Step::BiasGradient { grad_output, .. } => vec![*grad_output],
            Step::ComposeGradient(step) => vec![step.grad_kernel],
            Step::PadGradient(step) => vec![step.grad_output],
            Step::Train(step) => step.inputs(),
            Step::Pad(pad) => vec![pad.input],
            Step::Conv(conv) => [Some(conv.input), conv.residual].into_iter().flatten().collect(),
            Step::Pool(pool) => vec![pool.input],
            Step::Binary(binary) => vec![binary.a, binary.b],
            Step::Concat { inputs, .. } => inputs.clone(),
            Step::GlobalPool { input, .. }
            | Step::Activation { input, .. }
            | Step::Rearrange { input, .. }
            | Step::Resize { input, .. }
            | Step::Lrn { input, .. }
            | Step::Softmax { input, .. } => vec![*input],
        }
    }

    /// The map it writes, if any.
    pub fn output(&self) -> Option<ValueId> {
        match self {
            Step::Compose(_) | Step::Transpose(_) => None,
            Step::KernelGradient(step) => Some(step.output),
            Step::ComposeGradient(step) => Some(step.output),
            Step::PadGradient(step) => Some(step.output),
            Step::Train(step) => step.output(),
            Step::Conv(conv) => Some(conv.output),
            Step::Pool(pool) => Some(pool.output),
            Step::Pad(pad) => Some(pad.output),
            Step::Binary(binary) => Some(binary.output),
            Step::GlobalPool { output, .. }
            | Step::KernelMap { output, .. }
            | Step::BiasGradient { output, .. }
            | Step::Activation { output, .. }
            | Step::Concat { output, .. }
            | Step::Constant { output, .. }
            | Step::Rearrange { output, .. }
            | Step::Resize { output, .. }
            | Step::Lrn { output, .. }
            | Step::Softmax { output, .. } => Some(*output),
        }
    }
}
