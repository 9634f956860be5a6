//! Shader families and their variants: which there are, and the WGSL of each.
//!
//! A family is one template in `shaders/`; a [`Shader`] says how it is specialised. Sizes of maps are never baked in,
//! they come with the parameters, so that a network needs few pipelines.

use minijinja::{Value, context};

#[cfg(training)]
use super::training::TrainShader;
use super::variant::Variant;
use super::winograd::Winograd;
use super::{params, templates};
use crate::Precision;
use crate::image::FRACTION_BITS;
use crate::network::{Activation, PaddingMode, Pairing};
use crate::plan::{BinaryOp, Conv, Factor, PoolKind};

/// A specialised shader; in a precision it is the key of a pipeline: see [`Variant`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shader {
    /// Convolution from storage with register tiles.
    ConvDirect {
        /// Pixels per invocation.
        pixels: u32,
        /// Output slices per invocation.
        slices: u32,
        /// Invocations along pixels and along slices.
        workgroup: [u32; 2],
        /// Channels of an input slice that exist: fewer than four only for inputs of fewer than four channels.
        lanes: u32,
        /// 1×1, stride 1, no padding: no window to walk.
        pointwise: bool,
        /// Whether it leaves parts of its sums for [`Shader::ConvSum`].
        split: bool,
        /// How many invocations load the weights together, where the adapter's subgroups are as many; 0 where each loads
        /// its own.
        subgroup: u32,
        /// Whether what is done alike is done in a loop: there is less to compile for, but it is slow unless the compiler keeps
        /// arrays in registers.
        compact: bool,
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// Convolution through workgroup memory.
    ConvTiled {
        /// Output slices per invocation; a workgroup has 8 × as many.
        slices: u32,
        /// As for [`Shader::ConvDirect`].
        lanes: u32,
        /// As for [`Shader::ConvDirect`].
        split: bool,
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// The sums of a convolution that was split.
    ConvSum {
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// Convolution on matrix units.
    ConvCooperative {
        /// Matrices of 16 output channels side by side.
        columns: u32,
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// Depthwise convolution.
    ConvDepthwise {
        /// Pixels of a row per invocation.
        outputs: u32,
        /// Rows and columns.
        kernel: [u32; 2],
        /// Horizontal step.
        stride_x: u32,
        /// Horizontal distance between taps.
        dilation_x: u32,
        /// Invocations along pixels and along slices.
        workgroup: [u32; 2],
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// Kernels, transformed for a Winograd convolution when they are loaded.
    WinogradKernel {
        /// How large the tiles are.
        size: Winograd,
    },
    /// The first part of a Winograd convolution: tiles of inputs, transformed.
    WinogradInput {
        /// How large the tiles are.
        size: Winograd,
        /// Channels of a slice per invocation: 2 or 4.
        channels: u32,
        /// As for [`Shader::ConvDirect`].
        compact: bool,
    },
    /// Its matrix products, from storage with register tiles.
    WinogradProduct {
        /// Tiles per invocation.
        pixels: u32,
        /// Output slices per invocation.
        slices: u32,
        /// Invocations along tiles and along slices.
        workgroup: [u32; 2],
        /// As for [`Shader::ConvDirect`].
        subgroup: u32,
        /// As for [`Shader::ConvDirect`].
        compact: bool,
    },
    /// Its matrix products through workgroup memory.
    WinogradProductTiled {
        /// Output slices per invocation; a workgroup has 8 × as many.
        slices: u32,
    },
    /// Its last part: products transformed back.
    WinogradOutput {
        /// How large the tiles are.
        size: Winograd,
        /// As for [`Shader::ConvDirect`].
        compact: bool,
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// Convolution with groups of any size.
    ConvGrouped {
        /// Applied to the sums, after bias and residual.
        activation: ActivationClass,
    },
    /// Feature composition: convolutions with D and W in one.
    ConvFeature {
        /// Pixels per invocation.
        pixels: u32,
        /// Output slices per invocation.
        slices: u32,
        /// Columns of D at a time.
        columns: u32,
        /// As for [`Shader::ConvDirect`].
        lanes: u32,
        /// What is fused behind it.
        activation: ActivationClass,
    },
    /// Kernel composition.
    Compose {
        /// Taps per invocation.
        taps: u32,
        /// Whether it has four outputs, which must be of one group.
        vector: bool,
        /// Which D belongs to which channel.
        pairing: Pairing,
    },
    /// The gradient of a kernel from storage, with register tiles.
    KernelGradientDirect {
        /// Output slices per invocation.
        slices: u32,
        /// Columns, input slices at a tap, per invocation.
        columns: u32,
    },
    /// The gradient of a kernel through workgroup memory.
    KernelGradientTiled {
        /// Output slices per invocation; a workgroup has 8 × as many.
        slices: u32,
        /// Columns per invocation; a workgroup has 8 × as many.
        columns: u32,
    },
    /// The gradient of a kernel with one input channel per group.
    KernelGradientDepthwise {
        /// Taps per invocation.
        taps: u32,
        /// Whether several outputs share an input channel.
        multiplier: bool,
    },
    /// The gradient of a kernel with groups of any size.
    KernelGradientGrouped {
        /// In-group input channels of an invocation that exist: fewer than four only where groups have fewer.
        lanes: u32,
    },
    /// The gradient of a bias.
    BiasGradient,
    /// The second pass of a split sum.
    SumParts,
    /// What only training has.
    #[cfg(training)]
    Train(TrainShader),
    /// The gradient of W or D.
    ComposeGradient {
        /// Whose.
        factor: Factor,
        /// Which D belongs to which channel.
        pairing: Pairing,
    },
    /// The kernel of an input gradient's convolution.
    TransposeKernel,
    /// A kernel as a map.
    KernelMap,
    /// The gradient of what was padded.
    PadGradient {
        /// What was put around.
        mode: PaddingMode,
    },
    /// Pooling over windows.
    Pool {
        /// Maximum or mean.
        kind: PoolKind,
    },
    /// Pooling over whole maps.
    GlobalPool {
        /// Maximum or mean.
        kind: PoolKind,
    },
    /// An element-wise function of one or two maps.
    Elementwise {
        /// The operator between two maps, if there are two.
        operator: Option<BinaryOp>,
        /// Whether either of two maps may be repeated along any axis.
        broadcast: bool,
        /// Applied last.
        activation: ActivationClass,
    },
    /// One part of a concatenation.
    CopyChannels,
    /// A map that never changes.
    Constant,
    /// A strided view.
    Rearrange,
    /// Values around a map.
    Pad {
        /// Where they come from.
        mode: PaddingMode,
    },
    /// Interpolation.
    Resize,
    /// Local response normalisation.
    Lrn,
    /// Softmax over channels.
    Softmax {
        /// Whether its logarithm is wanted.
        logarithm: bool,
    },
    /// Resampling of a photograph along rows.
    ResampleRows,
    /// Resampling along columns, and normalisation.
    ResampleColumns,
    /// The best classes.
    TopK {
        /// Whether what is ranked are logits, of which a softmax is wanted.
        softmax: bool,
    },
    /// Chains of multiplications and additions, for benchmarks.
    PeakFma {
        /// Of what.
        scalar: Scalar,
        /// Chains of vectors per invocation.
        chains: u32,
    },
    /// A buffer into another, for benchmarks.
    PeakCopy,
    /// Nearly nothing, for benchmarks.
    PeakCount,
}

/// What shaders compute with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    /// Single precision.
    F32,
    /// Half precision, which an adapter may lack.
    F16,
}

impl Scalar {
    /// Its name in WGSL.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::F32 => "f32",
            Scalar::F16 => "f16",
        }
    }

    /// How many bytes it takes.
    pub fn bytes(self) -> usize {
        match self {
            Scalar::F32 => 4,
            Scalar::F16 => 2,
        }
    }
}

/// Activations as pipelines tell them apart; what else they need comes with the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationClass {
    /// None, and those that only bound their argument.
    Bounds,
    /// [`Activation::LeakyRelu`].
    LeakyRelu,
    /// [`Activation::Ramp`], of which the hard sigmoid is one.
    Ramp,
    /// [`Activation::HardSwish`].
    HardSwish,
    /// [`Activation::Sigmoid`].
    Sigmoid,
    /// [`Activation::Silu`].
    Silu,
    /// [`Activation::Tanh`].
    Tanh,
}

impl ActivationClass {
    /// The class of an activation, and its two parameters, which shaders know as `lower` and `upper`.
    pub fn of(activation: Option<Activation>) -> (Self, [f32; 2]) {
        let Some(activation) = activation else { return (Self::Bounds, [f32::NEG_INFINITY, f32::INFINITY]) };
        match activation {
            Activation::Relu => (Self::Bounds, [0.0, f32::INFINITY]),
            Activation::Relu6 => (Self::Bounds, [0.0, 6.0]),
            Activation::Clip { min, max } => {
                let max = max.unwrap_or(f32::INFINITY);
                // WGSL does not say what a clamp between crossed bounds gives; the upper one wins here.
                (Self::Bounds, [min.unwrap_or(f32::NEG_INFINITY).min(max), max])
            }
            Activation::LeakyRelu { slope } => (Self::LeakyRelu, [slope, 0.0]),
            Activation::HardSigmoid => (Self::Ramp, [1.0 / 6.0, 0.5]),
            Activation::Ramp { slope, offset } => (Self::Ramp, [slope, offset]),
            Activation::HardSwish => (Self::HardSwish, [0.0, 0.0]),
            Activation::Sigmoid => (Self::Sigmoid, [0.0, 0.0]),
            Activation::Silu => (Self::Silu, [0.0, 0.0]),
            Activation::Tanh => (Self::Tanh, [0.0, 0.0]),
        }
    }

    /// That of a convolution.
    pub fn of_step(step: &Conv) -> Self {
        Self::of(step.activation).0
    }

    /// What a convolution does with its sums before it stores them.
    fn context(self) -> Value {
        context! {
            products => false,
            split => false,
            by_channel => false,
            activation => self.name(),
            params => params::Conv::WGSL,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bounds => "bounds",
            Self::LeakyRelu => "leaky_relu",
            Self::Ramp => "ramp",
            Self::HardSwish => "hard_swish",
            Self::Sigmoid => "sigmoid",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
        }
    }

    /// Every class there is.
    pub const ALL: [Self; 7] =
        [Self::Bounds, Self::LeakyRelu, Self::Ramp, Self::HardSwish, Self::Sigmoid, Self::Silu, Self::Tanh];
}

/// Input slices that a workgroup of [`Shader::ConvTiled`] stages at a time: sums in half precision are as long.
const TILE_DEPTH: u32 = Precision::TERMS as u32 / 4;
/// Pixels that a workgroup of [`Shader::KernelGradientTiled`] stages at a time.
pub const GRADIENT_DEPTH: u32 = 16;
/// Pixels that [`Shader::Softmax`] takes along x: one axis of a grid alone would not reach over large maps.
pub const SOFTMAX_COLUMNS: u32 = 32_768;
/// Pixels of its tile.
pub const TILE_PIXELS: u32 = 64;
/// Steps of a chain of [`Shader::PeakFma`]: what half precision can count, and a little room for where it begins.
pub const CHAIN_STEPS: u32 = 1024;
/// How many of them are written out.
const CHAIN_UNROLLED: u32 = 8;
/// Pixels of a workgroup of [`Shader::ConvCooperative`], which is one subgroup: one for every invocation to gather.
pub const COOPERATIVE_PIXELS: u32 = 32;
/// Rows and columns of its matrices.
pub const COOPERATIVE_SIDE: u32 = 16;
/// Invocations along output slices, each with `slices` of them.
pub const TILE_COLUMNS: u32 = 8;

impl Shader {
    /// Invocations per workgroup along x and y.
    pub fn workgroup(&self) -> [u32; 2] {
        match *self {
            Shader::ConvDirect { workgroup, .. }
            | Shader::ConvDepthwise { workgroup, .. }
            | Shader::WinogradProduct { workgroup, .. } => workgroup,
            #[cfg(training)]
            Shader::Train(shader) => shader.workgroup(),
            Shader::ConvCooperative { .. } => [COOPERATIVE_PIXELS, 1],
            // As grids count them: in half precision there may be twice as many, with half as many pixels each.
            Shader::ConvTiled { .. } | Shader::WinogradProductTiled { .. } => [8, 8],
            Shader::WinogradInput { .. } | Shader::WinogradOutput { .. } => [16, 2],
            // All along pixels, so that 65 535 groups reach over the largest maps.
            Shader::KernelGradientTiled { .. } => [8, 8],
            Shader::ConvFeature { .. } => [8, 4],
            Shader::KernelGradientDirect { .. }
            | Shader::KernelGradientDepthwise { .. }
            | Shader::KernelGradientGrouped { .. }
            | Shader::BiasGradient => [32, 1],
            Shader::SumParts
            | Shader::ComposeGradient { .. }
            | Shader::TransposeKernel
            | Shader::KernelMap
            | Shader::PadGradient { .. } => [64, 1],
            Shader::ConvGrouped { .. }
            | Shader::ConvSum { .. }
            | Shader::Pool { .. }
            | Shader::Elementwise { .. }
            | Shader::CopyChannels
            | Shader::Rearrange
            | Shader::Pad { .. }
            | Shader::Resize
            | Shader::Lrn => [64, 1],
            Shader::WinogradKernel { .. } | Shader::Compose { .. } | Shader::GlobalPool { .. } | Shader::Constant => {
                [64, 1]
            }
            Shader::ResampleRows | Shader::ResampleColumns => [8, 8],
            Shader::Softmax { .. } => [32, 1],
            Shader::TopK { .. } | Shader::PeakFma { .. } => [64, 1],
            Shader::PeakCopy => [256, 1],
            Shader::PeakCount => [1, 1],
        }
    }

    /// The complete WGSL module in single precision, with entry point `main`.
    pub fn wgsl(&self) -> String {
        Variant::from(*self).wgsl()
    }

    /// The module without directives, for the numbers that a [`Variant`] says.
    pub(super) fn render(&self, numbers: Value) -> String {
        let (template, context) = self.specialisation();
        let base = context! { workgroup => self.workgroup().to_vec() };
        templates::render(template, context! { ..context, ..base, ..numbers })
    }

    /// The family's name, such as `conv_direct`.
    pub fn family(&self) -> &'static str {
        match self {
            Shader::WinogradProduct { .. } | Shader::WinogradProductTiled { .. } => return "winograd_products",
            Shader::ConvDirect { subgroup: 1.., .. } => return "conv_subgroup",
            _ => {}
        }
        self.specialisation().0.trim_end_matches(".wgsl")
    }

    fn specialisation(&self) -> (&'static str, Value) {
        match *self {
            Shader::ConvDirect { pixels, slices, lanes, pointwise, split, subgroup, compact, activation, .. } => {
                let base = context! { pointwise, split, compact, ..activation.context() };
                ("conv_direct.wgsl", direct([pixels, slices, lanes], subgroup, base))
            }
            Shader::WinogradProduct { pixels, slices, subgroup, compact, .. } => {
                let base = context! { pointwise => true, compact, ..products() };
                ("conv_direct.wgsl", direct([pixels, slices, 4], subgroup, base))
            }
            Shader::ConvTiled { slices, lanes, split, activation } => {
                ("conv_tiled.wgsl", context! { split, ..tiled(slices, lanes, activation.context()) })
            }
            Shader::ConvSum { activation } => ("conv_sum.wgsl", activation.context()),
            Shader::WinogradProductTiled { slices } => ("conv_tiled.wgsl", tiled(slices, 4, products())),
            Shader::WinogradKernel { size } => {
                let matrix = size.kernel();
                let params = params::WinogradKernel::WGSL;
                ("winograd_kernel.wgsl", context! { m => size.outputs(), side => size.side(), matrix, params })
            }
            Shader::WinogradInput { size, channels, compact } => {
                ("winograd_input.wgsl", context! { channels, compact, matrix => size.input(), ..winograd(size) })
            }
            Shader::WinogradOutput { size, compact, activation } => {
                let base = context! { compact, matrix => size.output(), ..winograd(size) };
                ("winograd_output.wgsl", context! { ..base, ..activation.context() })
            }
            #[cfg(target_arch = "wasm32")]
            Shader::ConvCooperative { .. } => unreachable!("browsers have no matrix units"),
            #[cfg(not(target_arch = "wasm32"))]
            Shader::ConvCooperative { columns, activation } => (
                "conv_cooperative.wgsl",
                context! {
                    columns,
                    rows => COOPERATIVE_PIXELS / COOPERATIVE_SIDE,
                    tile_pixels => COOPERATIVE_PIXELS,
                    tile_slices => columns * COOPERATIVE_SIDE / 4,
                    ..activation.context()
                },
            ),
            Shader::ConvDepthwise { outputs, kernel, stride_x, dilation_x, activation, .. } => (
                "conv_depthwise.wgsl",
                context! {
                    outputs, stride_x, dilation_x,
                    kernel => kernel.to_vec(),
                    ..activation.context()
                },
            ),
            Shader::ConvGrouped { activation } => {
                ("conv_grouped.wgsl", context! { by_channel => true, ..activation.context() })
            }
            Shader::ConvFeature { pixels, slices, columns, lanes, activation } => {
                let params = params::ConvFeature::WGSL;
                let base = activation.context();
                ("conv_feature.wgsl", context! { pixels, slices, columns, lanes, params, ..base })
            }
            Shader::Compose { taps, vector, pairing } => {
                let pairing = name(pairing);
                ("compose.wgsl", context! { taps, vector, pairing, params => params::Compose::WGSL })
            }
            Shader::KernelGradientDirect { slices, columns } => (
                "kernel_gradient_direct.wgsl",
                context! { slices, columns, ..kernel_gradient("vec4<f32>", "vec4<f32>") },
            ),
            Shader::KernelGradientTiled { slices, columns } => (
                "kernel_gradient_tiled.wgsl",
                context! {
                    slices, columns,
                    tile_slices => 8 * slices,
                    tile_columns => 8 * columns,
                    depth => GRADIENT_DEPTH,
                    // Vectors that an invocation loads for a stage.
                    value_loads => 8 * columns * GRADIENT_DEPTH / 64,
                    gradient_loads => 8 * slices * GRADIENT_DEPTH / 64,
                    ..kernel_gradient("vec4<f32>", "vec4<f32>")
                },
            ),
            Shader::KernelGradientDepthwise { taps, multiplier } => {
                let input = if multiplier { "f32" } else { "vec4<f32>" };
                ("kernel_gradient_depthwise.wgsl", context! { taps, multiplier, ..kernel_gradient(input, "vec4<f32>") })
            }
            Shader::KernelGradientGrouped { lanes } => {
                ("kernel_gradient_grouped.wgsl", context! { lanes, ..kernel_gradient("f32", "f32") })
            }
            Shader::BiasGradient => ("bias_gradient.wgsl", context! { params => params::BiasGradient::WGSL }),
            #[cfg(training)]
            Shader::Train(shader) => shader.specialisation(),
            Shader::SumParts => ("sum_parts.wgsl", context! { params => params::SumParts::WGSL }),
            Shader::ComposeGradient { factor, pairing } => {
                let factor = match factor {
                    Factor::W => "w",
                    Factor::D => "d",
                };
                let params = params::ComposeGradient::WGSL;
                ("compose_gradient.wgsl", context! { factor, pairing => name(pairing), params })
            }
            Shader::TransposeKernel => ("transpose_kernel.wgsl", context! { params => params::TransposeKernel::WGSL }),
            Shader::KernelMap => ("kernel_map.wgsl", context! { params => params::KernelMap::WGSL }),
            Shader::PadGradient { mode } => {
                ("pad_gradient.wgsl", context! { mode => padding(mode), params => params::PadGradient::WGSL })
            }
            Shader::Pool { kind } => ("pool.wgsl", context! { kind => kind.name(), params => params::Pool::WGSL }),
            Shader::GlobalPool { kind } => {
                ("global_pool.wgsl", context! { kind => kind.name(), params => params::GlobalPool::WGSL })
            }
            Shader::Elementwise { operator, broadcast, activation } => {
                let operator = operator.map(|operator| match operator {
                    BinaryOp::Add => "+",
                    BinaryOp::Sub => "-",
                    BinaryOp::Mul => "*",
                    BinaryOp::Div => "/",
                    BinaryOp::Prelu => "prelu",
                });
                let params = if broadcast { params::Broadcast::WGSL } else { params::Elementwise::WGSL };
                ("elementwise.wgsl", context! { operator, broadcast, activation => activation.name(), params })
            }
            Shader::CopyChannels => ("copy_channels.wgsl", context! { params => params::CopyChannels::WGSL }),
            Shader::Constant => ("constant.wgsl", context! { params => params::Constant::WGSL }),
            Shader::Rearrange => ("rearrange.wgsl", context! { params => params::Rearrange::WGSL }),
            Shader::Pad { mode } => {
                let mode = padding(mode);
                ("pad.wgsl", context! { mode, params => params::Pad::WGSL })
            }
            Shader::Resize => ("resize.wgsl", context! { params => params::Resize::WGSL }),
            Shader::Lrn => ("lrn.wgsl", context! { params => params::Lrn::WGSL }),
            Shader::Softmax { logarithm } => {
                ("softmax.wgsl", context! { logarithm, columns => SOFTMAX_COLUMNS, params => params::Softmax::WGSL })
            }
            Shader::ResampleRows => (
                "resample_rows.wgsl",
                context! { params => params::ResampleRows::WGSL, fraction_bits => FRACTION_BITS },
            ),
            Shader::ResampleColumns => (
                "resample_columns.wgsl",
                context! { params => params::ResampleColumns::WGSL, fraction_bits => FRACTION_BITS },
            ),
            Shader::TopK { softmax } => ("top_k.wgsl", context! { softmax, params => params::TopK::WGSL }),
            Shader::PeakFma { scalar, chains } => (
                "peak_fma.wgsl",
                context! {
                    chains,
                    scalar => scalar.name(),
                    steps => CHAIN_STEPS,
                    unrolled => CHAIN_UNROLLED,
                    params => params::PeakFma::WGSL,
                },
            ),
            Shader::PeakCopy => ("peak_copy.wgsl", context! {}),
            Shader::PeakCount => ("peak_count.wgsl", context! {}),
        }
    }
}

/// What [`Shader::ConvDirect`] is specialised by.
fn direct([pixels, slices, lanes]: [u32; 3], subgroup: u32, base: Value) -> Value {
    // How many weights of an input slice each invocation loads.
    let weight_loads = if subgroup > 0 { (lanes * slices).div_ceil(subgroup) } else { 0 };
    context! { pixels, slices, lanes, subgroup, weight_loads, ..base }
}

/// What [`Shader::ConvTiled`] is specialised by.
fn tiled(slices: u32, lanes: u32, base: Value) -> Value {
    let tile_slices = TILE_COLUMNS * slices;
    context! {
        slices,
        lanes,
        tile_pixels => TILE_PIXELS,
        // A vector of values is a channel of four pixels.
        quads => TILE_PIXELS / 4,
        tile_slices,
        depth => TILE_DEPTH,
        // How many vectors of weights an invocation loads for a stage, and how many rows of channels lie between them.
        weight_loads => (TILE_DEPTH * lanes * tile_slices).div_ceil(64),
        weight_rows => 64 / tile_slices,
        ..base
    }
}

/// Sums that are stored as they are, with a kernel of its own for every group.
fn products() -> Value {
    context! { products => true, split => false, by_channel => false, params => params::Conv::WGSL }
}

fn winograd(size: Winograd) -> Value {
    context! { m => size.outputs(), side => size.side(), params => params::Winograd::WGSL }
}

fn name(pairing: Pairing) -> &'static str {
    match pairing {
        Pairing::Paper => "paper",
        Pairing::Torch => "torch",
    }
}

fn padding(mode: PaddingMode) -> &'static str {
    match mode {
        PaddingMode::Zeros => "zeros",
        PaddingMode::Reflect => "reflect",
        PaddingMode::Replicate => "replicate",
        PaddingMode::Circular => "circular",
    }
}

fn kernel_gradient(input_type: &str, grad_type: &str) -> Value {
    context! { input_type, grad_type, params => params::KernelGradient::WGSL }
}

impl PoolKind {
    pub(super) fn name(self) -> &'static str {
        match self {
            PoolKind::Max => "max",
            PoolKind::Mean { count_include_pad: true } => "mean_padded",
            PoolKind::Mean { count_include_pad: false } => "mean_inside",
        }
    }
}
