//! Transposed convolutions as ordinary ones.
//!
//! Along an axis with stride s, output pixel `q·s + r` reads the input pixels `q + e` with `s·e = r + padding − k·dilation`
//! for those taps `k` where that is a multiple of s. So all output pixels with the same `r` are a convolution of their
//! own with stride 1, and those for the s·s pairs of remainders are the output channels of a single one (the sub-pixel
//! convolution of Shi et al., 2016), which only has to be interleaved. No tap meets an inserted zero, and the kernels
//! of ordinary convolutions do the work. This is also how the gradient of a convolution's input is computed.

use super::View;
use crate::network::{Conv2d, ConvTranspose2d, Shape};

/// A transposed convolution as a convolution of stride 1 and what becomes of its result.
#[derive(Clone, Debug)]
pub struct SubPixel {
    /// Of the same input; it has an output channel `o·p + r·parts[1] + s` for the pixels in row `r` and column `s` of
    /// every block of channel `o`, with `p` the number of parts.
    pub conv: Conv2d,
    /// Rows and columns of a block of output pixels: the stride.
    pub parts: [usize; 2],
    /// How the output is put together from the convolution's; nothing where that is the output already.
    pub view: Option<View>,
    /// The same along rows and columns.
    axes: [Axis; 2],
}

/// One axis.
#[derive(Clone, Copy, Debug)]
struct Axis {
    stride: usize,
    padding: usize,
    dilation: usize,
    kernel: usize,
    /// The first of the input pixels that are read, relative to q; not positive.
    first: isize,
    /// Distance of the input pixels that are read: the dilation, where there is no stride that mixes it up.
    step: usize,
}

impl Axis {
    /// The tap of the transposed convolution that the convolution's tap `tap` is for pixels of remainder `part`.
    fn source(&self, part: usize, tap: usize) -> Option<usize> {
        let e = self.first + (tap * self.step) as isize;
        let reach = (part + self.padding) as isize - e * self.stride as isize;
        let reach = usize::try_from(reach).ok()?;
        (reach.is_multiple_of(self.dilation) && reach / self.dilation < self.kernel).then(|| reach / self.dilation)
    }
}

impl SubPixel {
    /// For an input and an output of these heights and widths.
    pub fn new(transposed: &ConvTranspose2d, input: [usize; 2], output: [usize; 2]) -> Self {
        let mut conv = Conv2d {
            groups: transposed.groups,
            bias: transposed.bias,
            ..Conv2d::new(
                transposed.in_channels,
                transposed.out_channels * transposed.stride[0] * transposed.stride[1],
                [1, 1],
            )
        };
        let mut computed = [0; 2];
        let axes = [0, 1].map(|at| {
            let (stride, padding) = (transposed.stride[at], transposed.padding[at]);
            let (dilation, kernel) = (transposed.dilation[at], transposed.kernel[at]);
            let offsets = || {
                (0..stride)
                    .flat_map(move |r| (0..kernel).map(move |k| (r + padding) as isize - (k * dilation) as isize))
            };
            let whole = |offset: isize| offset.rem_euclid(stride as isize) == 0;
            let e = || offsets().filter(|&offset| whole(offset)).map(|offset| offset / stride as isize);
            let step = if stride == 1 { dilation } else { 1 };
            let lowest = e().min().unwrap_or(0);
            // Zeros before the input need no negative padding, in whole steps.
            let first = lowest - lowest.max(0).unsigned_abs().next_multiple_of(step) as isize;
            let last = e().max().unwrap_or(0).max(first);
            let taps = (last - first) as usize / step + 1;
            let blocks = output[at].div_ceil(stride);
            let before = first.unsigned_abs();
            let reach = (taps - 1) * step;
            let after = (blocks + reach).saturating_sub(input[at] + before);
            conv.kernel[at] = taps;
            conv.dilation[at] = step;
            (conv.padding[at], conv.padding[at + 2]) = (before, after);
            computed[at] = input[at] + before + after - reach;
            Axis { stride, padding, dilation, kernel, first, step }
        });
        let parts = transposed.stride;
        let from: Shape = [1, conv.out_channels, computed[0], computed[1]];
        let view = (parts != [1, 1] || computed != output).then(|| View::interleave(from, parts));
        Self { conv, parts, view, axes }
    }

    /// Height and width of the convolution's output, for an input of this size.
    pub fn computed(&self, input: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|at| {
            let reach = (self.conv.kernel[at] - 1) * self.conv.dilation[at];
            input[at] + self.conv.padding[at] + self.conv.padding[at + 2] - reach
        })
    }

    /// Where an element of the convolution's OIHW kernel, its output channel split into the channel and the part, comes
    /// from in the transposed one's: its row and column; `None` for an element that is zero.
    pub fn tap(&self, part: [usize; 2], tap: [usize; 2]) -> Option<[usize; 2]> {
        Some([self.axes[0].source(part[0], tap[0])?, self.axes[1].source(part[1], tap[1])?])
    }

    /// The same as numbers: tap `u` for remainder `r` comes from tap `t` with `t · dilation = r + reach − u · step`, along
    /// rows and columns, given as `[reach, step]`.
    #[cfg(training)]
    pub(crate) fn reach(&self) -> [[isize; 2]; 2] {
        self.axes.map(|axis| {
            let stride = axis.stride as isize;
            [axis.padding as isize - axis.first * stride, axis.step as isize * stride]
        })
    }

    /// The convolution's kernel, OIHW, from that of the transposed one, `[in, out / groups, M, N]`.
    pub fn kernel(&self, transposed: &ConvTranspose2d, weight: &[f32]) -> Vec<f32> {
        let (cpg, q) = (transposed.channels_per_group(), transposed.outputs_per_group());
        let [rows, columns] = transposed.kernel;
        let mut kernel = Vec::with_capacity(self.conv.out_channels * cpg * self.conv.taps());
        for o in 0..transposed.out_channels {
            for part in 0..self.parts[0] * self.parts[1] {
                let part = [part / self.parts[1], part % self.parts[1]];
                for j in 0..cpg {
                    for tap in 0..self.conv.taps() {
                        let tap = [tap / self.conv.kernel[1], tap % self.conv.kernel[1]];
                        let row = ((o / q * cpg + j) * q + o % q) * rows * columns;
                        kernel.push(self.tap(part, tap).map_or(0.0, |[y, x]| weight[row + y * columns + x]));
                    }
                }
            }
        }
        kernel
    }
}
