//! What a network is: layers, shapes and costs, and nothing about how they are run.
//!
//! A [`Network`] is a directed acyclic graph whose nodes are listed in an order in which they can be computed. A node's
//! value goes by the node's name, and the parameters of a node go by that name too: a convolution called
//! `layer1.0.conv1` finds its kernel in the tensor `layer1.0.conv1.weight`, as in PyTorch.
//!
//! All values are feature maps `[N, C, H, W]`; vectors are maps of 1×1. The first axis is the batch: every element of
//! a batch has `N` maps ("items", nearly always one) of its own, and no operator mixes elements of a batch.

mod cost;
#[cfg(training)]
mod cut;
mod infer;
mod layers;
mod parameters;
mod shapes;
pub mod zoo;

pub use cost::{LayerCost, NetworkCost};
pub use infer::{Inferred, Source};
pub use layers::{
    Activation, AvgPool, BatchNorm, Conv2d, ConvTranspose2d, Coordinates, DoConv, Interpolation, Linear, Lrn, MaxPool,
    Pad, PaddingMode, Pairing, Resize, Rounding, Slice,
};
pub use shapes::Shape;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The version of the description that this crate writes.
pub const FORMAT_VERSION: u32 = 1;

/// A network's description: graph, attributes, preprocessing and labels, without its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// [`FORMAT_VERSION`] of the writer.
    pub version: u32,
    /// A name for people, such as `efficientnet_lite0`.
    pub name: String,
    /// The arrays the network wants.
    pub inputs: Vec<Input>,
    /// The operations, each after those it reads from.
    pub nodes: Vec<Node>,
    /// Names of the nodes whose values are the result; the first is the logits of a classifier.
    pub outputs: Vec<String>,
    /// The preprocessing of images into the first input, where the network takes images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preprocess: Option<Preprocess>,
    /// Class names in the order of the first output's channels; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Network {
    /// Whether the first output is a softmax already, maybe flattened.
    pub fn ends_in_softmax(&self) -> bool {
        let mut name = self.outputs.first();
        while let Some(node) = name.and_then(|name| self.nodes.iter().find(|node| node.name == *name)) {
            match node.op {
                Op::Softmax => return true,
                Op::Flatten => name = node.inputs.first(),
                _ => return false,
            }
        }
        false
    }

    /// The nodes whose values are vectors in the frameworks that networks come from, so that they have two axes, batch
    /// and channel, where they have one pixel: fully connected and flattened values, and what is computed of nothing
    /// but these.
    pub fn vectors(&self) -> HashSet<&str> {
        let mut vectors = HashSet::new();
        for node in &self.nodes {
            let vector = match node.op {
                Op::Flatten | Op::Linear(_) => true,
                Op::Conv2d(_) | Op::MaxPool(_) | Op::AvgPool(_) | Op::GlobalAvgPool | Op::GlobalMaxPool => false,
                _ => node.inputs.iter().all(|input| vectors.contains(input.as_str())),
            };
            if vector {
                vectors.insert(node.name.as_str());
            }
        }
        vectors
    }
}

/// One array a network wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The name nodes refer to it by.
    pub name: String,
    /// Channels, height and width; the batch size is free.
    pub shape: [usize; 3],
    /// Maps in one element of a batch: the first axis of the array is the batch size times this. More than one only
    /// where a network mixes values along an axis that is no batch.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub items: usize,
}

const fn one() -> usize {
    1
}
const fn is_one(value: &usize) -> bool {
    *value == 1
}

impl Input {
    /// An input whose first axis is the batch.
    pub fn new(name: impl Into<String>, shape: [usize; 3]) -> Self {
        Self { name: name.into(), shape, items: 1 }
    }
}

/// One operation of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Unique; names the node's value and prefixes the names of its parameters.
    pub name: String,
    /// Names of network inputs or earlier nodes.
    pub inputs: Vec<String>,
    /// What is computed.
    pub op: Op,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Op {
    /// Convolution, plain or DO-Conv.
    Conv2d(Conv2d),
    /// Transposed convolution.
    ConvTranspose2d(ConvTranspose2d),
    /// Batch normalisation with running statistics.
    BatchNorm(BatchNorm),
    /// An element-wise function.
    Activation(Activation),
    /// Fully connected layer over all channels and pixels of its input, in NCHW order.
    Linear(Linear),
    /// Maximum over windows.
    MaxPool(MaxPool),
    /// Mean over windows.
    AvgPool(AvgPool),
    /// Mean over all pixels of a channel.
    GlobalAvgPool,
    /// Maximum over all pixels of a channel.
    GlobalMaxPool,
    /// Sum of two maps; along any axis one may have the extent 1 and is then repeated.
    Add,
    /// First minus second, with the same rule.
    Sub,
    /// Product of two maps, with the same rule: the gate of a squeeze-and-excitation block.
    Mul,
    /// First divided by second, with the same rule.
    Div,
    /// The first, times the second where the first is negative, with the same rule: ONNX `PRelu`.
    Prelu,
    /// A map that never changes, of this shape for every element of the batch: the parameter `value`.
    Constant([usize; 4]),
    /// Channels of all inputs, one after the other.
    Concat,
    /// All channels and pixels as channels of a 1×1 map, in NCHW order.
    Flatten,
    /// The same values in NCHW order as maps of this shape: items, channels, height, width.
    Reshape([usize; 4]),
    /// Axis `i` of the result is axis `axes[i]` of the input.
    Transpose([usize; 4]),
    /// Part of a map.
    Slice(Slice),
    /// Values around a map.
    Pad(Pad),
    /// Another height and width by interpolation.
    Resize(Resize),
    /// Local response normalisation.
    Lrn(Lrn),
    /// `exp(x) / Σ exp(x)` over the channels.
    Softmax,
    /// `x − log Σ exp(x)` over the channels.
    LogSoftmax,
}

impl Op {
    /// The operator's name as descriptions and reports write it.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv2d(_) => "conv2d",
            Op::ConvTranspose2d(_) => "conv_transpose2d",
            Op::BatchNorm(_) => "batch_norm",
            Op::Activation(_) => "activation",
            Op::Linear(_) => "linear",
            Op::MaxPool(_) => "max_pool",
            Op::AvgPool(_) => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::GlobalMaxPool => "global_max_pool",
            Op::Add => "add",
            Op::Sub => "sub",
            Op::Mul => "mul",
            Op::Div => "div",
            Op::Prelu => "prelu",
            Op::Constant(_) => "constant",
            Op::Concat => "concat",
            Op::Flatten => "flatten",
            Op::Reshape(_) => "reshape",
            Op::Transpose(_) => "transpose",
            Op::Slice(_) => "slice",
            Op::Pad(_) => "pad",
            Op::Resize(_) => "resize",
            Op::Lrn(_) => "lrn",
            Op::Softmax => "softmax",
            Op::LogSoftmax => "log_softmax",
        }
    }
}

/// The preprocessing of an image into a network's input.
///
/// The central square with side `crop_fraction` × the shorter side is resized to the input's height and width, and
/// every channel becomes `(value − mean) / std`, with values in 0…255 and channels in the order red, green, blue. A network with one
/// channel is shown their luma (ITU-R BT.601, rounded as by Pillow), with the first `mean` and `std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Side of the central square as a fraction of the shorter side, in (0, 1].
    pub crop_fraction: f64,
    /// How the square is resized.
    pub filter: Filter,
    /// Subtracted from every value in 0…255.
    pub mean: [f32; 3],
    /// Divides the difference.
    pub std: [f32; 3],
}

impl Preprocess {
    /// The names of [`Preprocess::preset`].
    pub const PRESETS: [&str; 3] = ["imagenet", "symmetric", "unit"];

    /// What most networks want whose files do not say it: the central 224 of 256 pixels, and values with ImageNet's mean
    /// and standard deviation (`imagenet`, as torchvision does it), from −1 to 1 (`symmetric`), or from 0 to 1 (`unit`).
    pub fn preset(name: &str) -> Option<Self> {
        let (mean, std) = match name {
            "imagenet" => ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            "symmetric" => ([0.5; 3], [0.5; 3]),
            "unit" => ([0.0; 3], [1.0; 3]),
            _ => return None,
        };
        Some(Self::scaled(224.0 / 256.0, Filter::Bilinear, mean, std))
    }

    /// With a mean and a standard deviation for values in 0…1.
    pub(crate) fn scaled(crop_fraction: f64, filter: Filter, mean: [f64; 3], std: [f64; 3]) -> Self {
        let scaled = |values: [f64; 3]| values.map(|value| (value * 255.0) as f32);
        Self { crop_fraction, filter, mean: scaled(mean), std: scaled(std) }
    }
}

/// An antialiasing resampling filter, as Pillow defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle of radius 1.
    Bilinear,
    /// Catmull-Rom cubic (a = −0.5) of radius 2.
    Bicubic,
}
