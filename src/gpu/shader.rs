//! Shader families and their variants: which there are, and the WGSL of each.
//!
//! A family is one template in `shaders/`; a [`Shader`] says how it is specialised. Sizes of maps are never baked in,
//! they come with the parameters, so that a network needs few pipelines.

use std::sync::OnceLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, Value, context};

use super::params;
use crate::network::{Activation, Pairing};
use crate::plan::{BinaryOp, Factor, PoolKind};

/// A specialised shader: the key of a pipeline.
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
        /// What is fused.
        epilogue: Epilogue,
    },
    /// Convolution through workgroup memory.
    ConvTiled {
        /// Output slices per invocation; a workgroup has 8 × as many.
        slices: u32,
        /// As for [`Shader::ConvDirect`].
        lanes: u32,
        /// What is fused.
        epilogue: Epilogue,
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
        /// What is fused.
        epilogue: Epilogue,
    },
    /// Convolution with groups of any size.
    ConvGrouped {
        /// What is fused.
        epilogue: Epilogue,
    },
    /// Kernel composition.
    Compose {
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
    /// Residues of a strided input gradient put together.
    Interleave,
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
        /// Applied last.
        activation: ActivationClass,
    },
    /// One part of a concatenation.
    CopyChannels,
    /// All channels and pixels as channels.
    Flatten,
    /// Softmax over channels.
    Softmax,
}

/// What a convolution does with its sums before it stores them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Epilogue {
    /// Whether a map is added.
    pub residual: bool,
    /// Applied last.
    pub activation: ActivationClass,
}

/// Activations as pipelines tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationClass {
    /// None, ReLU and ReLU6: bounds that come with the parameters.
    Bounds,
    /// One that needs code of its own.
    Function(Activation),
}

impl ActivationClass {
    /// The class of an activation, and its bounds.
    pub fn of(activation: Option<Activation>) -> (Self, [f32; 2]) {
        match activation {
            None => (Self::Bounds, [f32::NEG_INFINITY, f32::INFINITY]),
            Some(Activation::Relu) => (Self::Bounds, [0.0, f32::INFINITY]),
            Some(Activation::Relu6) => (Self::Bounds, [0.0, 6.0]),
            Some(other) => (Self::Function(other), [0.0, 0.0]),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Bounds | Self::Function(Activation::Relu | Activation::Relu6) => "bounds",
            Self::Function(Activation::HardSwish) => "hard_swish",
            Self::Function(Activation::HardSigmoid) => "hard_sigmoid",
            Self::Function(Activation::Sigmoid) => "sigmoid",
            Self::Function(Activation::Silu) => "silu",
        }
    }

    /// Every class there is.
    pub fn all() -> Vec<Self> {
        let functions = Activation::ALL.into_iter().map(|activation| Self::of(Some(activation)).0);
        functions.filter(|&class| class != Self::Bounds).chain([Self::Bounds]).collect()
    }
}

/// Input slices that a workgroup of [`Shader::ConvTiled`] stages at a time.
const TILE_DEPTH: u32 = 4;
/// Pixels that a workgroup of [`Shader::KernelGradientTiled`] stages at a time.
pub const GRADIENT_DEPTH: u32 = 16;
/// Pixels of its tile: one for every invocation to gather.
pub const TILE_PIXELS: u32 = 64;
/// Invocations along output slices, each with `slices` of them.
pub const TILE_COLUMNS: u32 = 8;

impl Shader {
    /// Invocations per workgroup along x and y.
    pub fn workgroup(&self) -> [u32; 2] {
        match *self {
            Shader::ConvDirect { workgroup, .. } | Shader::ConvDepthwise { workgroup, .. } => workgroup,
            Shader::ConvTiled { .. } => [8, 8],
            // All along pixels, so that 65 535 groups reach over the largest maps.
            Shader::ConvGrouped { .. } | Shader::Pool { .. } | Shader::Elementwise { .. } | Shader::CopyChannels => {
                [64, 1]
            }
            Shader::KernelGradientTiled { .. } => [8, 8],
            Shader::KernelGradientDirect { .. }
            | Shader::KernelGradientDepthwise { .. }
            | Shader::KernelGradientGrouped { .. }
            | Shader::BiasGradient => [32, 1],
            Shader::SumParts
            | Shader::ComposeGradient { .. }
            | Shader::TransposeKernel
            | Shader::KernelMap
            | Shader::Interleave => [64, 1],
            Shader::Compose { .. } | Shader::GlobalPool { .. } | Shader::Flatten => [64, 1],
            Shader::Softmax => [32, 1],
        }
    }

    /// The complete WGSL module, with entry point `main`.
    pub fn wgsl(&self) -> String {
        let (template, context) = self.specialisation();
        let base = context! { workgroup => self.workgroup().to_vec() };
        templates()
            .get_template(template)
            .and_then(|template| template.render(context! { ..context, ..base }))
            .unwrap_or_else(|error| panic!("shaders/{template}: {error:#}"))
    }

    fn specialisation(&self) -> (&'static str, Value) {
        match *self {
            Shader::ConvDirect { pixels, slices, lanes, pointwise, epilogue, .. } => {
                ("conv_direct.wgsl", context! { pixels, slices, lanes, pointwise, ..epilogue.context("vec4<f32>") })
            }
            Shader::ConvTiled { slices, lanes, epilogue } => (
                "conv_tiled.wgsl",
                context! {
                    slices, lanes,
                    pixels => TILE_PIXELS / 8,
                    tile_pixels => TILE_PIXELS,
                    tile_slices => TILE_COLUMNS * slices,
                    depth => TILE_DEPTH,
                    ..epilogue.context("vec4<f32>")
                },
            ),
            Shader::ConvDepthwise { outputs, kernel, stride_x, dilation_x, epilogue, .. } => (
                "conv_depthwise.wgsl",
                context! {
                    outputs, stride_x, dilation_x,
                    kernel => kernel.to_vec(),
                    ..epilogue.context("vec4<f32>")
                },
            ),
            Shader::ConvGrouped { epilogue } => ("conv_grouped.wgsl", epilogue.context("f32")),
            Shader::Compose { pairing } => {
                ("compose.wgsl", context! { pairing => name(pairing), params => params::Compose::WGSL })
            }
            Shader::KernelGradientDirect { slices, columns } => {
                ("kernel_gradient_direct.wgsl", context! { slices, columns, ..kernel_gradient("vec4<f32>", "vec4<f32>") })
            }
            Shader::KernelGradientTiled { slices, columns } => (
                "kernel_gradient_tiled.wgsl",
                context! {
                    slices, columns,
                    tile_slices => 8 * slices,
                    tile_columns => 8 * columns,
                    depth => GRADIENT_DEPTH,
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
            Shader::Interleave => ("interleave.wgsl", context! { params => params::Interleave::WGSL }),
            Shader::Pool { kind } => ("pool.wgsl", context! { kind => kind.name(), params => params::Pool::WGSL }),
            Shader::GlobalPool { kind } => {
                ("global_pool.wgsl", context! { kind => kind.name(), params => params::GlobalPool::WGSL })
            }
            Shader::Elementwise { operator, activation } => {
                let operator = operator.map(|operator| match operator {
                    BinaryOp::Add => "+",
                    BinaryOp::Mul => "*",
                });
                let params = params::Elementwise::WGSL;
                ("elementwise.wgsl", context! { operator, activation => activation.name(), params })
            }
            Shader::CopyChannels => ("copy_channels.wgsl", context! { params => params::CopyChannels::WGSL }),
            Shader::Flatten => ("flatten.wgsl", context! { params => params::Flatten::WGSL }),
            Shader::Softmax => ("softmax.wgsl", context! { params => params::Softmax::WGSL }),
        }
    }
}

fn name(pairing: Pairing) -> &'static str {
    match pairing {
        Pairing::Paper => "paper",
        Pairing::Torch => "torch",
    }
}

fn kernel_gradient(input_type: &str, grad_type: &str) -> Value {
    context! { input_type, grad_type, params => params::KernelGradient::WGSL }
}

impl Epilogue {
    fn context(self, input_type: &str) -> Value {
        context! {
            residual => self.residual,
            activation => self.activation.name(),
            params => params::Conv::WGSL,
            input_type,
        }
    }

    /// Every epilogue there is.
    pub fn all() -> Vec<Self> {
        let classes = ActivationClass::all();
        let both = [false, true];
        both.into_iter()
            .flat_map(|residual| classes.iter().map(move |&activation| Self { residual, activation }))
            .collect()
    }
}

impl PoolKind {
    fn name(self) -> &'static str {
        match self {
            PoolKind::Max => "max",
            PoolKind::Mean { count_include_pad: true } => "mean_padded",
            PoolKind::Mean { count_include_pad: false } => "mean_inside",
        }
    }
}

/// The templates, parsed once.
fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut environment = Environment::new();
        let whitespace =
            SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        environment.set_syntax(whitespace.expect("only whitespace is configured"));
        environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
        for (name, source) in SOURCES {
            environment.add_template(name, source).unwrap_or_else(|error| panic!("shaders/{name}: {error:#}"));
        }
        environment
    })
}

macro_rules! sources {
    ($($name:literal),* $(,)?) => { &[$(($name, include_str!(concat!("../../shaders/", $name)))),*] };
}

const SOURCES: &[(&str, &str)] = sources![
    "bias_gradient.wgsl",
    "common/activation.wgsl",
    "common/conv_bindings.wgsl",
    "common/kernel_gradient.wgsl",
    "common/map.wgsl",
    "compose.wgsl",
    "compose_gradient.wgsl",
    "conv_depthwise.wgsl",
    "conv_direct.wgsl",
    "conv_grouped.wgsl",
    "conv_tiled.wgsl",
    "copy_channels.wgsl",
    "elementwise.wgsl",
    "flatten.wgsl",
    "global_pool.wgsl",
    "interleave.wgsl",
    "kernel_gradient_depthwise.wgsl",
    "kernel_gradient_direct.wgsl",
    "kernel_gradient_grouped.wgsl",
    "kernel_gradient_tiled.wgsl",
    "kernel_map.wgsl",
    "pool.wgsl",
    "softmax.wgsl",
    "sum_parts.wgsl",
    "transpose_kernel.wgsl",
];
