//! What a network is: layers, shapes and costs, and nothing about how they are run.
//!
//! A [`Network`] is a directed acyclic graph whose nodes are listed in an order in which they can be computed. A node's
//! value goes by the node's name, and the parameters of a node go by that name too: a convolution called
//! `layer1.0.conv1` finds its kernel in the tensor `layer1.0.conv1.weight`, as in PyTorch.
//!
//! All values are feature maps `[N, C, H, W]`; vectors are maps of 1×1.

mod cost;
mod layers;
mod parameters;
mod shapes;
pub mod zoo;

pub use cost::{LayerCost, NetworkCost};
pub use layers::{Activation, AvgPool, BatchNorm, Conv2d, DoConv, Linear, MaxPool, Pairing};
pub use shapes::{Inferred, Shape, Source};

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
    /// How a photograph becomes the first input, where the network takes photographs.
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
}

/// One array a network wants.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// The name nodes refer to it by.
    pub name: String,
    /// Channels, height and width; the batch size is free.
    pub shape: [usize; 3],
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
    /// Sum of two maps; one may be 1×1 and is then repeated over the pixels of the other.
    Add,
    /// Product of two maps, with the same rule: the gate of a squeeze-and-excitation block.
    Mul,
    /// Channels of all inputs, one after the other.
    Concat,
    /// All channels and pixels as channels of a 1×1 map, in NCHW order.
    Flatten,
    /// `exp(x) / Σ exp(x)` over the channels.
    Softmax,
}

impl Op {
    /// The operator's name as descriptions and reports write it.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Conv2d(_) => "conv2d",
            Op::BatchNorm(_) => "batch_norm",
            Op::Activation(_) => "activation",
            Op::Linear(_) => "linear",
            Op::MaxPool(_) => "max_pool",
            Op::AvgPool(_) => "avg_pool",
            Op::GlobalAvgPool => "global_avg_pool",
            Op::GlobalMaxPool => "global_max_pool",
            Op::Add => "add",
            Op::Mul => "mul",
            Op::Concat => "concat",
            Op::Flatten => "flatten",
            Op::Softmax => "softmax",
        }
    }
}

/// How a photograph becomes a network's input.
///
/// The central square with side `crop_fraction` × the shorter side is resized to the input's height and width, and
/// every channel becomes `(value − mean) / std`, with values in 0…255 and channels in the order red, green, blue.
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

/// An antialiasing resampling filter, as Pillow defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// Triangle of radius 1.
    Bilinear,
    /// Catmull-Rom cubic (a = −0.5) of radius 2.
    Bicubic,
}
