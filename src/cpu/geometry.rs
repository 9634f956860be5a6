//! Where a window that slides over a map finds its taps.

use crate::network::{Conv2d, Shape};
use crate::plan::Pool;

/// The map a window slides over, the map that results, and how it slides.
#[derive(Clone, Copy)]
pub(super) struct Geometry {
    pub(super) batch: usize,
    /// Height and width of the input.
    pub(super) input: [usize; 2],
    /// Height and width of the output.
    pub(super) output: [usize; 2],
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    /// Top, left, bottom, right.
    pub(super) padding: [usize; 4],
    pub(super) dilation: [usize; 2],
}

impl Geometry {
    pub(super) fn of_conv(conv: &Conv2d, input: Shape, output: Shape) -> Self {
        Self {
            batch: input[0],
            input: [input[2], input[3]],
            output: [output[2], output[3]],
            kernel: conv.kernel,
            stride: conv.stride,
            padding: conv.padding,
            dilation: conv.dilation,
        }
    }

    pub(super) fn of_pool(pool: &Pool, input: Shape, output: Shape) -> Self {
        Self {
            batch: input[0],
            input: [input[2], input[3]],
            output: [output[2], output[3]],
            kernel: pool.kernel,
            stride: pool.stride,
            padding: pool.padding,
            dilation: pool.dilation,
        }
    }

    /// Output pixels of the whole batch.
    pub(super) fn pixels(&self) -> usize {
        self.batch * self.output[0] * self.output[1]
    }

    /// Whether every output pixel meets just the input pixel in its place.
    pub(super) fn is_identity(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0; 4] && self.input == self.output
    }

    /// The input row (axis 0) or column (axis 1) of a tap, which may lie in the padding.
    pub(super) fn at(&self, axis: usize, output: usize, tap: usize) -> isize {
        (output * self.stride[axis] + tap * self.dilation[axis]) as isize - self.padding[axis] as isize
    }

    /// The same, or `None` for padding.
    pub(super) fn inside(&self, axis: usize, output: usize, tap: usize) -> Option<usize> {
        usize::try_from(self.at(axis, output, tap)).ok().filter(|&at| at < self.input[axis])
    }

    /// The taps of an output row (axis 0) or column (axis 1) that lie inside the input.
    pub(super) fn taps_inside(&self, axis: usize, output: usize) -> std::ops::Range<usize> {
        let (start, dilation) = (output * self.stride[axis], self.dilation[axis]);
        let (before, extent) = (self.padding[axis], self.input[axis]);
        let first = before.saturating_sub(start).div_ceil(dilation).min(self.kernel[axis]);
        let end = (extent + before).saturating_sub(start).div_ceil(dilation).min(self.kernel[axis]);
        first..end.max(first)
    }

    /// The output rows (axis 0) or columns (axis 1) for which a tap lies inside the input.
    pub(super) fn outputs_inside(&self, axis: usize, tap: usize) -> std::ops::Range<usize> {
        let (before, stride, place) = (self.padding[axis], self.stride[axis], tap * self.dilation[axis]);
        let first = before.saturating_sub(place).div_ceil(stride);
        let end = (self.input[axis] + before).saturating_sub(place).div_ceil(stride).min(self.output[axis]);
        first..end.max(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taps_and_outputs_agree_on_what_is_inside() {
        for (input, kernel, stride, padding, dilation) in
            [(7, 3, 1, 1, 1), (8, 3, 2, 1, 1), (5, 5, 3, 4, 2), (2, 7, 1, 3, 1), (9, 2, 2, 0, 3), (1, 1, 1, 2, 1)]
        {
            let output = (input + 2 * padding - (kernel - 1) * dilation - 1) / stride + 1;
            let geometry = Geometry {
                batch: 1,
                input: [input; 2],
                output: [output; 2],
                kernel: [kernel; 2],
                stride: [stride; 2],
                padding: [padding; 4],
                dilation: [dilation; 2],
            };
            for tap in 0..kernel {
                let inside = geometry.outputs_inside(1, tap);
                for x in 0..output {
                    let expected = geometry.inside(1, x, tap).is_some();
                    assert_eq!(inside.contains(&x), expected, "{input} {kernel} {stride}: output {x}, tap {tap}");
                    assert_eq!(geometry.taps_inside(1, x).contains(&tap), expected);
                }
            }
        }
    }
}
