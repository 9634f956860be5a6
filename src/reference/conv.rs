//! Convolution, and what DO-Conv makes of it.

use super::Map;
use super::map::continued;
use crate::network::{Conv2d, ConvTranspose2d, Pairing};

/// Cross-correlation, as in PyTorch and ONNX `Conv`; the input continues as the padding mode says.
///
/// `kernel` is OIHW; `conv` gives the geometry, its `bias` and `doconv` are not looked at.
pub fn conv2d(conv: &Conv2d, input: &Map, kernel: &[f64], bias: Option<&[f64]>) -> Map {
    let [batch, channels, height, width] = input.shape;
    let (cpg, q) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let [rows, columns] = conv.kernel;
    let [top, left, bottom, right] = conv.padding;
    assert_eq!(channels, conv.in_channels, "input channels");
    assert_eq!(kernel.len(), conv.out_channels * cpg * rows * columns, "kernel elements");
    let out_height = (height + top + bottom - (rows - 1) * conv.dilation[0] - 1) / conv.stride[0] + 1;
    let out_width = (width + left + right - (columns - 1) * conv.dilation[1] - 1) / conv.stride[1] + 1;
    Map::from_fn([batch, conv.out_channels, out_height, out_width], |n, o, y, x| {
        let mut sum = bias.map_or(0.0, |bias| bias[o]);
        for j in 0..cpg {
            for ky in 0..rows {
                for kx in 0..columns {
                    let iy = (y * conv.stride[0] + ky * conv.dilation[0]) as isize - top as isize;
                    let ix = (x * conv.stride[1] + kx * conv.dilation[1]) as isize - left as isize;
                    if let Some(value) = input.continued(conv.padding_mode, n, o / q * cpg + j, iy, ix) {
                        sum += kernel[((o * cpg + j) * rows + ky) * columns + kx] * value;
                    }
                }
            }
        }
        sum
    })
}

/// Transposed convolution, as it is defined: every input pixel adds its multiple of the kernel to the output.
///
/// `kernel` is `[in, out / groups, M, N]`.
pub fn conv_transpose2d(conv: &ConvTranspose2d, input: &Map, kernel: &[f64], bias: Option<&[f64]>) -> Map {
    let [batch, channels, height, width] = input.shape;
    let (cpg, q) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let [rows, columns] = conv.kernel;
    let extent = |axis: usize, size: usize| {
        (size - 1) * conv.stride[axis] + (conv.kernel[axis] - 1) * conv.dilation[axis] + 1 + conv.output_padding[axis]
            - conv.padding[axis]
            - conv.padding[axis + 2]
    };
    let shape = [batch, conv.out_channels, extent(0, height), extent(1, width)];
    let mut output = Map::from_fn(shape, |_, o, _, _| bias.map_or(0.0, |bias| bias[o]));
    for n in 0..batch {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    for (index, weight) in kernel[c * q * rows * columns..][..q * rows * columns].iter().enumerate() {
                        let (o, ky, kx) =
                            (c / cpg * q + index / (rows * columns), index / columns % rows, index % columns);
                        let oy = (y * conv.stride[0] + ky * conv.dilation[0]) as isize - conv.padding[0] as isize;
                        let ox = (x * conv.stride[1] + kx * conv.dilation[1]) as isize - conv.padding[1] as isize;
                        if oy >= 0 && ox >= 0 && (oy as usize) < shape[2] && (ox as usize) < shape[3] {
                            let at = ((n * shape[1] + o) * shape[2] + oy as usize) * shape[3] + ox as usize;
                            output.data[at] += weight * input.at(n, c, y, x);
                        }
                    }
                }
            }
        }
    }
    output
}

/// The D that composes: residual plus constant, or plus the identity tiled along S where no constant is stored.
pub fn effective_d(conv: &Conv2d, d_mul: usize, residual: &[f64], constant: Option<&[f64]>) -> Vec<f64> {
    let taps = conv.kernel[0] * conv.kernel[1];
    let whole_tiles = d_mul / taps * taps;
    let identity = |index: usize| {
        let (m, s) = (index / d_mul % taps, index % d_mul);
        if s < whole_tiles && s % taps == m { 1.0 } else { 0.0 }
    };
    let constant = |index: usize| constant.map_or_else(|| identity(index), |constant| constant[index]);
    residual.iter().enumerate().map(|(index, &value)| value + constant(index)).collect()
}

/// The ordinary kernel of a DO-Conv layer, OIHW: `kernel[o, j, m] = Σ_s D[c, m, s] · W[o, j, s]`.
///
/// `w` is `[out, cpg, S]`, `d` the effective D, `[in, K, S]`.
pub fn fold(conv: &Conv2d, d_mul: usize, pairing: Pairing, w: &[f64], d: &[f64]) -> Vec<f64> {
    let (cpg, q) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let taps = conv.kernel[0] * conv.kernel[1];
    let mut kernel = vec![];
    for o in 0..conv.out_channels {
        for j in 0..cpg {
            let c = match pairing {
                Pairing::Paper => o / q * cpg + j,
                Pairing::Torch => (o * cpg + j) % conv.in_channels,
            };
            for m in 0..taps {
                kernel.push((0..d_mul).map(|s| d[(c * taps + m) * d_mul + s] * w[(o * cpg + j) * d_mul + s]).sum());
            }
        }
    }
    kernel
}

/// A DO-Conv layer with the paper's pairing without ever making its kernel: a depthwise convolution with D, which
/// carries the geometry and writes channel `c·S + s`, then a grouped 1×1 convolution with W, then the bias.
pub fn feature_composition(
    conv: &Conv2d,
    d_mul: usize,
    input: &Map,
    w: &[f64],
    d: &[f64],
    bias: Option<&[f64]>,
) -> Map {
    let (depthwise, pointwise, d_kernel) = feature_layers(conv, d_mul, d);
    conv2d(&pointwise, &conv2d(&depthwise, input, &d_kernel, None), w, bias)
}

/// The two convolutions of feature composition, and the kernel of the first, OIHW.
pub(super) fn feature_layers(conv: &Conv2d, d_mul: usize, d: &[f64]) -> (Conv2d, Conv2d, Vec<f64>) {
    let taps = conv.kernel[0] * conv.kernel[1];
    let middle = conv.in_channels * d_mul;
    let depthwise = Conv2d { out_channels: middle, groups: conv.in_channels, ..conv.clone() };
    let mut d_kernel = vec![];
    for c in 0..conv.in_channels {
        for s in 0..d_mul {
            for m in 0..taps {
                d_kernel.push(d[(c * taps + m) * d_mul + s]);
            }
        }
    }
    let pointwise = Conv2d { groups: conv.groups, ..Conv2d::new(middle, conv.out_channels, [1, 1]) };
    (depthwise, pointwise, d_kernel)
}

/// The taps of an output pixel that read a pixel of the input: row and column of the tap, and the pixel.
pub(super) fn effective_taps(
    conv: &Conv2d,
    [height, width]: [usize; 2],
    [y, x]: [usize; 2],
) -> Vec<(usize, usize, [usize; 2])> {
    let along = |axis: usize, output: usize, tap: usize, extent: usize| {
        let at = (output * conv.stride[axis] + tap * conv.dilation[axis]) as isize - conv.padding[axis] as isize;
        continued(conv.padding_mode, at, extent)
    };
    let mut taps = vec![];
    for ky in 0..conv.kernel[0] {
        for kx in 0..conv.kernel[1] {
            if let (Some(iy), Some(ix)) = (along(0, y, ky, height), along(1, x, kx, width)) {
                taps.push((ky, kx, [iy, ix]));
            }
        }
    }
    taps
}

/// A fully connected layer over all channels and pixels in NCHW order; `weight` is `[out, in]`.
pub fn linear(input: &Map, weight: &[f64], bias: Option<&[f64]>) -> Map {
    let [batch, channels, height, width] = input.shape;
    let features = channels * height * width;
    let outputs = weight.len() / features;
    Map::from_fn([batch, outputs, 1, 1], |n, o, _, _| {
        let mut sum = bias.map_or(0.0, |bias| bias[o]);
        for i in 0..features {
            sum += weight[o * features + i] * input.data[n * features + i];
        }
        sum
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::DoConv;

    fn numbers(count: usize, step: usize) -> Vec<f64> {
        (0..count).map(|i| (i * step % 23) as f64 / 11.0 - 1.0).collect()
    }

    #[test]
    fn conv2d_of_a_hand_made_case() {
        // Rows 1 2 / 3 4 with one zero at the left only, kernel (1, 10), stride 2 across.
        let input = Map { shape: [1, 1, 2, 2], data: vec![1.0, 2.0, 3.0, 4.0] };
        let conv = Conv2d { padding: [0, 1, 0, 1], stride: [1, 2], ..Conv2d::new(1, 1, [1, 2]) };
        let output = conv2d(&conv, &input, &[1.0, 10.0], Some(&[0.5]));
        assert_eq!(output, Map { shape: [1, 1, 2, 2], data: vec![10.5, 2.5, 30.5, 4.5] });
    }

    #[test]
    fn both_compositions_agree() {
        for (groups, d_mul) in [(1, 6), (2, 7), (4, 4)] {
            let doconv = Some(DoConv { d_mul, pairing: Pairing::Paper });
            let conv = Conv2d {
                groups,
                padding: [1, 0, 0, 2],
                stride: [2, 1],
                dilation: [1, 2],
                doconv,
                ..Conv2d::new(4, 8, [2, 3])
            };
            let input = Map { shape: [2, 4, 5, 6], data: numbers(240, 7) };
            let w = numbers(8 * 4 / groups * d_mul, 5);
            let d = effective_d(&conv, d_mul, &numbers(4 * 6 * d_mul, 3), None);
            let bias = numbers(8, 2);
            let folded = conv2d(&conv, &input, &fold(&conv, d_mul, Pairing::Paper, &w, &d), Some(&bias));
            let features = feature_composition(&conv, d_mul, &input, &w, &d, Some(&bias));
            let worst = folded.zip(&features, |a, b| (a - b).abs()).data.into_iter().fold(0.0, f64::max);
            assert!(worst < 1e-12, "groups {groups}, S {d_mul}: {worst}");
        }
    }
}
