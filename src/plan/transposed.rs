//! The convolution that gives the gradient of a convolution's input.
//!
//! Pixel `i` of an axis gets `Σ_t kernel[t] · grad_output[y]` over all taps `t` with `y · stride + t · dilation = i + pad`.
//! With `i + pad = stride · a + r` that is, for every residue `r`, a convolution of stride 1 over `a`, whose tap of
//! distance `e` is the forward tap with `t · dilation = r + stride · e`. So one convolution with `stride_y · stride_x` times
//! the channels, and the residues interleaved afterwards, is the whole gradient, and the forward kernels serve.
//! (Shi et al., *Is the deconvolution layer the same as a convolutional layer?*, 2016.)

use crate::network::{Conv2d, Shape};

/// The convolution, and how its result becomes the gradient.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Transposed {
    /// From `grad_output` to the residues: within a group, residue × input channel of the forward group.
    pub conv: Conv2d,
    /// Height and width of its output.
    pub size: [usize; 2],
    /// Where pixel 0 of the gradient lies among the interleaved ones.
    pub offset: [usize; 2],
}

/// One axis of it.
struct Axis {
    taps: usize,
    pad: usize,
    dilation: usize,
    size: usize,
    offset: usize,
}

impl Axis {
    fn new(taps: usize, stride: usize, dilation: usize, pad: usize, extent: usize) -> Self {
        let first = pad / stride;
        // Where the padding exceeds the reach of the kernel, zero taps keep the transposed padding from being negative.
        let (reach, step) = match stride {
            1 => (dilation * (taps - 1).max(pad.div_ceil(dilation)), dilation),
            _ => ((dilation * (taps - 1) / stride).max(first), 1),
        };
        Self {
            taps: reach / step + 1,
            pad: reach - first,
            dilation: step,
            size: (extent - 1 + pad) / stride - first + 1,
            offset: pad - first * stride,
        }
    }
}

impl Transposed {
    /// For a convolution of a map of the shape `input`, which its own padding pads with zeros.
    pub fn of(conv: &Conv2d, input: Shape, grad_output: Shape) -> Self {
        let axes =
            [0, 1].map(|a| Axis::new(conv.kernel[a], conv.stride[a], conv.dilation[a], conv.padding[a], input[2 + a]));
        let [y, x] = &axes;
        // Only what the other end needs: pixels that no window reads may be left over there.
        let after =
            [0, 1].map(|a| (axes[a].size + axes[a].dilation * (axes[a].taps - 1)).saturating_sub(grad_output[2 + a] + axes[a].pad));
        let conv = Conv2d {
            padding: [y.pad, x.pad, after[0], after[1]],
            dilation: [y.dilation, x.dilation],
            groups: conv.groups,
            ..Conv2d::new(conv.out_channels, conv.in_channels * conv.stride[0] * conv.stride[1], [y.taps, x.taps])
        };
        Self { conv, size: [y.size, x.size], offset: [y.offset, x.offset] }
    }

    /// Whether the result of the convolution is the gradient already.
    pub fn is_whole(&self, forward: &Conv2d) -> bool {
        forward.stride == [1, 1]
    }
}

/// The kernel of the convolution `transposed` from that of `forward`, both OIHW: the twin of
/// `shaders/transpose_kernel.wgsl`.
pub(crate) fn transpose_kernel(forward: &Conv2d, transposed: &Conv2d, kernel: &[f32]) -> Vec<f32> {
    let (cpg, q, taps) = (forward.channels_per_group(), forward.outputs_per_group(), forward.taps());
    let [rows, columns] = transposed.kernel;
    let forward_tap = |axis: usize, u: usize, residue: usize| {
        let step = if forward.stride[axis] == 1 { transposed.dilation[axis] } else { 1 };
        let distance = residue + forward.stride[axis] * step * (transposed.kernel[axis] - 1 - u);
        let tap = distance / forward.dilation[axis];
        (distance.is_multiple_of(forward.dilation[axis]) && tap < forward.kernel[axis]).then_some(tap)
    };
    let mut values = vec![0.0; transposed.out_channels * q * rows * columns];
    for (index, value) in values.iter_mut().enumerate() {
        let (u, input, output) = (index % (rows * columns), index / (rows * columns) % q, index / (rows * columns) / q);
        let (group, within) = (output / transposed.outputs_per_group(), output % transposed.outputs_per_group());
        let (residue, j) = (within / cpg, within % cpg);
        let y = forward_tap(0, u / columns, residue / forward.stride[1]);
        let x = forward_tap(1, u % columns, residue % forward.stride[1]);
        if let (Some(y), Some(x)) = (y, x) {
            *value = kernel[((group * q + input) * cpg + j) * taps + y * forward.kernel[1] + x];
        }
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_layer_is_transposed_in_place() {
        let conv = Conv2d { padding: [1, 1, 1, 1], ..Conv2d::new(2, 4, [3, 3]) };
        let transposed = Transposed::of(&conv, [1, 2, 8, 9], [1, 4, 8, 9]);
        assert_eq!(transposed.conv, Conv2d { padding: [1; 4], ..Conv2d::new(4, 2, [3, 3]) });
        assert_eq!((transposed.size, transposed.offset), ([8, 9], [0, 0]));
    }

    #[test]
    fn strides_become_channels() {
        let conv = Conv2d { padding: [1; 4], stride: [2, 2], ..Conv2d::new(4, 6, [3, 3]) };
        let transposed = Transposed::of(&conv, [2, 4, 10, 7], [2, 6, 5, 4]);
        assert_eq!((transposed.conv.out_channels, transposed.conv.kernel), (16, [2, 2]));
        assert_eq!((transposed.size, transposed.offset), ([6, 4], [1, 1]));
    }
}
