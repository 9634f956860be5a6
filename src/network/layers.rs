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
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What a map is continued with beyond its edges, with the names of PyTorch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaddingMode {
    /// Zeros.
    #[default]
    Zeros,
    /// Mirrored at the edge, which itself is not repeated: `c b | a b c | b a`. Less padding than the map is large.
    Reflect,
    /// The edge, over and over: `a a | a b c | c c`.
    Replicate,
    /// From the opposite edge on: `b c | a b c | a b`. At most as much padding as the map is large.
    Circular,
}

impl PaddingMode {
    /// Every mode there is.
    pub const ALL: [PaddingMode; 4] =
        [PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Replicate, PaddingMode::Circular];

    /// Where in a row of `len` values the value lies that continues it at `at`; nowhere for zeros.
    ///
    /// For reflection `at` is at most `len − 1` beyond either end, for circular padding at most `len`.
    pub fn source(self, at: isize, len: usize) -> Option<usize> {
        let last = len as isize - 1;
        if (0..=last).contains(&at) {
            return Some(at as usize);
        }
        match self {
            PaddingMode::Zeros => None,
            PaddingMode::Reflect if at < 0 => Some((-at) as usize),
            PaddingMode::Reflect => Some((2 * last - at) as usize),
            PaddingMode::Replicate => Some(at.clamp(0, last) as usize),
            PaddingMode::Circular => Some(at.rem_euclid(len as isize) as usize),
        }
    }
}

/// A two-dimensional convolution: cross-correlation, as in PyTorch and ONNX `Conv`.
///
/// `output[n, o, y, x] = bias[o] + Σ kernel[o, j, ky, kx] · input[n, c, y·stride + ky·dilation − top, …]` with
/// `c = (o div (out_channels / groups)) · (in_channels / groups) + j`, and outside the input what `padding_mode` says.
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
    /// Rows and columns added at the top, left, bottom and right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// What the added rows and columns hold.
    #[serde(default, skip_serializing_if = "is_default")]
    pub padding_mode: PaddingMode,
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
            padding_mode: PaddingMode::Zeros,
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

/// A transposed convolution: PyTorch `ConvTranspose2d`, ONNX `ConvTranspose`; the input gradient of a [`Conv2d`].
///
/// Every input pixel adds `kernel[c, o, ky, kx] · input[n, c, y, x]` to the output pixel
/// `(y·stride + ky·dilation − top, …)`. The parameter `weight` is `[in_channels, out_channels / groups, M, N]`. An output
/// has `(height − 1)·stride + (M − 1)·dilation + 1 + output_padding − top − bottom` rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConvTranspose2d {
    /// Channels read; a multiple of `groups`.
    pub in_channels: usize,
    /// Channels written; a multiple of `groups`.
    pub out_channels: usize,
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// Vertical and horizontal distance between the output pixels of neighbouring input pixels.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub stride: [usize; 2],
    /// Rows and columns of the output cut off at the top, left, bottom and right.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub padding: [usize; 4],
    /// Rows and columns added to the output at the bottom and at the right.
    #[serde(default, skip_serializing_if = "is_default")]
    pub output_padding: [usize; 2],
    /// Vertical and horizontal distance between taps.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub dilation: [usize; 2],
    /// Blocks of channels that do not see each other.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub groups: usize,
    /// Whether there is a bias.
    #[serde(default, skip_serializing_if = "is_false")]
    pub bias: bool,
}

impl ConvTranspose2d {
    /// Input channels each output channel reads.
    pub fn channels_per_group(&self) -> usize {
        self.in_channels / self.groups
    }

    /// Output channels of each group.
    pub fn outputs_per_group(&self) -> usize {
        self.out_channels / self.groups
    }

    /// Number of taps.
    pub fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Shape of `weight`.
    pub fn kernel_shape(&self) -> [usize; 4] {
        [self.in_channels, self.outputs_per_group(), self.kernel[0], self.kernel[1]]
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

impl BatchNorm {
    /// The names of its tensors.
    pub(crate) const PARAMETERS: [&'static str; 4] = ["weight", "bias", "running_mean", "running_var"];
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
    /// Vertical and horizontal distance between the taps of the window.
    #[serde(default = "ones", skip_serializing_if = "is_ones")]
    pub dilation: [usize; 2],
    /// Round the output size up rather than down, as PyTorch does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ceil_mode: bool,
    /// Whether padded zeros count in the divisor.
    #[serde(default, skip_serializing_if = "is_false")]
    pub count_include_pad: bool,
}

/// Local response normalisation over neighbouring channels: ONNX `LRN`, PyTorch `LocalResponseNorm`.
///
/// `x / (k + alpha / size · Σ x²)^beta`, where the sum is over the `size` channels around x's own, of which
/// `(size − 1) div 2` come before it, as far as there are any.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lrn {
    /// Channels in the sum.
    pub size: usize,
    /// Factor of the mean square.
    pub alpha: f32,
    /// Exponent.
    pub beta: f32,
    /// Added to the mean square.
    pub k: f32,
}

/// Values around a map.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pad {
    /// How many before the first item, channel, row and column.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub before: [usize; 4],
    /// How many after the last one.
    #[serde(default, skip_serializing_if = "is_zeros")]
    pub after: [usize; 4],
    /// Where the values come from.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: PaddingMode,
    /// What [`PaddingMode::Zeros`] adds in place of zeros.
    #[serde(default, skip_serializing_if = "is_default")]
    pub value: f32,
}

/// Part of a map: along each of the four axes, `count` elements from `start` on, `step` apart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// The first item, channel, row and column.
    pub start: [usize; 4],
    /// Distances, which may be negative but not zero.
    pub step: [isize; 4],
    /// How many of each.
    pub count: [usize; 4],
}

/// Another height and width by interpolation: ONNX `Resize`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resize {
    /// Height and width of the output.
    pub size: [usize; 2],
    /// Output pixels per input pixel, vertically and horizontally, where that is not the ratio of the sizes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<[f64; 2]>,
    /// How a value between pixels is found.
    pub interpolation: Interpolation,
    /// Where an output pixel lies in the input.
    #[serde(default, skip_serializing_if = "is_default")]
    pub coordinates: Coordinates,
}

/// How a value between pixels is found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// The nearest pixel.
    Nearest(Rounding),
    /// Linear between the pixels on either side, along both axes.
    Linear,
    /// Cubic convolution over four pixels along each axis, with this coefficient: −0.75 in PyTorch, −0.5 for
    /// Catmull-Rom.
    Cubic(f64),
}

/// Which of two pixels is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// The closer one, of two that are equally close the one before.
    HalfDown,
    /// The closer one, of two that are equally close the one behind.
    HalfUp,
    /// Always the one before.
    Floor,
    /// Always the one behind.
    Ceil,
}

/// Where output pixel `o` lies in the input, with the names of ONNX.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coordinates {
    /// `(o + 1/2) / scale − 1/2`.
    #[default]
    HalfPixel,
    /// The same, with the centre of the image kept in place where `input · scale` is no whole number.
    HalfPixelSymmetric,
    /// The same, and 0 for an output of one pixel.
    PytorchHalfPixel,
    /// `o · (input − 1) / (output − 1)`.
    AlignCorners,
    /// `o / scale`.
    Asymmetric,
}

/// An element-wise function.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `min(max(x, min), max)`; what is absent does not bound.
    Clip {
        /// Lower bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<f32>,
        /// Upper bound, which wins over the lower one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<f32>,
    },
    /// `x`, or `slope · x` where x is negative.
    LeakyRelu {
        /// Usually 0.01 or 0.1.
        slope: f32,
    },
    /// `x · hard_sigmoid(x)`.
    HardSwish,
    /// `min(max(x / 6 + 1/2, 0), 1)`, PyTorch's.
    HardSigmoid,
    /// `min(max(slope · x + offset, 0), 1)`: ONNX `HardSigmoid`.
    Ramp {
        /// ONNX `alpha`.
        slope: f32,
        /// ONNX `beta`.
        offset: f32,
    },
    /// `1 / (1 + exp(−x))`.
    Sigmoid,
    /// `x · sigmoid(x)`.
    Silu,
    /// `tanh(x)`.
    Tanh,
}

impl Activation {
    /// One of every kind, with usual parameters.
    pub const ALL: [Activation; 10] = [
        Activation::Relu,
        Activation::Relu6,
        Activation::Clip { min: Some(-1.5), max: Some(2.5) },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::HardSwish,
        Activation::HardSigmoid,
        Activation::Ramp { slope: 0.2, offset: 0.5 },
        Activation::Sigmoid,
        Activation::Silu,
        Activation::Tanh,
    ];

    /// Whether it only bounds its argument, so that its result says where its slope is one and where nothing.
    pub fn only_bounds(self) -> bool {
        self.bounds().is_some()
    }

    /// The lower and the upper bound of an activation that is `min(max(x, lower), upper)` and nothing else; infinite where
    /// there is none.
    ///
    /// They are never crossed and never NaN, so that every way to clamp gives the same: the upper bound wins, as in ONNX
    /// `Clip`, and a bound that is NaN does not bound. A value that is NaN stays NaN.
    pub fn bounds(self) -> Option<[f32; 2]> {
        let (min, max) = match self {
            Activation::Relu => (Some(0.0), None),
            Activation::Relu6 => (Some(0.0), Some(6.0)),
            Activation::Clip { min, max } => (min, max),
            _ => return None,
        };
        let upper = max.filter(|bound| !bound.is_nan()).unwrap_or(f32::INFINITY);
        let lower = min.filter(|bound| !bound.is_nan()).unwrap_or(f32::NEG_INFINITY);
        Some([lower.min(upper), upper])
    }

    /// What is wrong with its parameters, if anything.
    pub(crate) fn check(self) -> Result<(), String> {
        let parameters = match self {
            Activation::Clip { min, max } => [min.unwrap_or(0.0), max.unwrap_or(0.0)],
            Activation::LeakyRelu { slope } => [slope, 0.0],
            Activation::Ramp { slope, offset } => [slope, offset],
            _ => return Ok(()),
        };
        if parameters.iter().all(|parameter| parameter.is_finite()) {
            return Ok(());
        }
        Err(format!("{self:?} has a parameter that is not finite"))
    }
}
