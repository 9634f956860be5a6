//! Attributes of the operators that have any.

use serde::{Deserialize, Serialize};

const fn ones() -> [usize; 2] {
    [1, 1]
}
const fn one() -> usize {
    1
}
const fn is_ones(pair: &[usize; 2]) -> bool {
    pair[0] == 1 && pair[1] == 1
}
const fn is_one(value: &usize) -> bool {
    *value == 1
}
const fn is_zeros(padding: &[usize; 4]) -> bool {
    matches!(padding, [0, 0, 0, 0])
}
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// A two-dimensional convolution: cross-correlation, as in PyTorch and ONNX `Conv`.
///
/// `output[n, o, y, x] = bias[o] + Σ kernel[o, j, ky, kx] · input[n, c, y·stride + ky·dilation − top, …]` with
/// `c = (o div (out_channels / groups)) · (in_channels / groups) + j`, and zeros outside the input.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conv2d {
    /// Channels read; a multiple of `groups`.
    pub in_channels: usize,
    /// Channels written; a multiple of `groups`.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Zeros added at the top, left, bottom and right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// Vertical and horizontal distance between taps.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub dilation: [usize; 2],
    /// Blocks of channels that do not see each other; `in_channels` makes it depthwise.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether the layer has a bias of its own.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bias: bool,
    /// Present when the kernel is the product of W and D.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doconv: Option<DoConv>,
}

/// What makes a convolution a DO-Conv layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoConv {
    /// Depth multiplier S: columns of every D and of W; usually the number of taps.
    pub d_mul: usize,
    /// Which D belongs to which channel.
    #[serde(default)]
    pub pairing: Pairing,
}

/// Which input channel's D composes the kernel slice of output `o`, in-group channel `j`.
///
/// The two differ only for grouped layers with more than one input and more than one output channel per group, or a
/// channel multiplier; a checkpoint is only right under the rule it was trained with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pairing {
    /// The channel that is really read: `(o div q)·cpg + j`.
    #[default]
    Paper,
    /// The authors' PyTorch layer: `(o·cpg + j) mod in_channels`.
    Torch,
}

impl Conv2d {
    /// A dense convolution without bias, stride 1 and no padding; change the fields to taste.
    pub fn new(in_channels: usize, out_channels: usize, kernel: [usize; 2]) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel,
            stride: [1, 1],
            padding: [0; 4],
            dilation: [1, 1],
            groups: 1,
            bias: false,
            doconv: None,
        }
    }

    /// Input channels each output channel reads.
    pub fn channels_per_group(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Output channels of each group.
    pub fn outputs_per_group(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Number of taps, K = M·N.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Shape of the ordinary kernel, OIHW.
    pub fn kernel_shape(&self) -> [usize; 4] {
        [self.out_channels, self.channels_per_group(), self.kernel[0], self.kernel[1]]
    }

    /// Whether every group has a single input channel.
    pub fn is_depthwise(&self) -> bool {
        self.channels_per_group() == 1 && self.groups > 1
    }

    /// The input channel whose D composes the kernel slice of output `o`, in-group channel `j`.
    pub fn d_channel(&self, pairing: Pairing, o: usize, j: usize) -> usize {
        let cpg = self.channels_per_group();
        match pairing {
            Pairing::Paper => o / self.outputs_per_group() * cpg + j,
            Pairing::Torch => (o * cpg + j) % self.in_channels,
        }
    }
}

/// Batch normalisation as it is used for inference: `(x − mean) / √(var + eps) · weight + bias` per channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BatchNorm {
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f64,
}

/// A fully connected layer: `output[n, o] = bias[o] + Σ weight[o, i] · input[n, i]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linear {
    /// Channels × height × width of the input.
    pub in_features: usize,
    /// Channels of the 1×1 output.
    pub out_features: usize,
    /// Whether there is a bias.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bias: bool,
}

/// Maximum over windows; padding never wins.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaxPool {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Padding at the top, left, bottom and right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// Vertical and horizontal distance between the taps of the window.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub dilation: [usize; 2],
    /// Round the output size up rather than down, as PyTorch does: a last window must start inside input or left pad.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ceil_mode: bool,
}

/// Mean over windows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvgPool {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Vertical and horizontal step.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Zeros added at the top, left, bottom and right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// Round the output size up rather than down, as PyTorch does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ceil_mode: bool,
    /// Whether padded zeros count in the divisor.
    #[serde(default, skip_serializing_if = "is_false")]
    pub count_include_pad: bool,
}

/// An element-wise function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x · hard_sigmoid(x)`.
    HardSwish,
    /// `min(max(x / 6 + 1/2, 0), 1)`.
    HardSigmoid,
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
}

impl Activation {
    /// Every activation there is.
    pub const ALL: [Activation; 6] = [
        Activation::Relu,
        Activation::Relu6,
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Sigmoid,
        Activation::Silu,
    ];
}
