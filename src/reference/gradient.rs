//! Gradients of convolution and of what DO-Conv makes of it.
//!
//! Every product `kernel · input` of the forward pass gives one term to the gradient of either factor, and all functions
//! here walk over those products in the same order. They are exact derivatives: of `Σ grad_output · output` with respect
//! to what the function is named after.

use super::Map;
use super::conv::effective_taps;
use crate::network::{Conv2d, Pairing};

/// Gradients of a layer's parameters and of its input.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerGradients {
    /// Like the input.
    pub input: Map,
    /// `[out, cpg, S]`.
    pub w: Vec<f64>,
    /// `[in, K, S]`: of the effective D, and so of the residual.
    pub d: Vec<f64>,
    /// `[out]`.
    pub bias: Vec<f64>,
}

/// One product of a convolution.
struct Term {
    /// Batch element, and the pixels of input and output.
    image: usize,
    from: [usize; 2],
    to: [usize; 2],
    /// Input and output channel.
    channel: usize,
    output: usize,
    /// Index of the kernel's element, OIHW.
    weight: usize,
}

fn for_each_term(conv: &Conv2d, input: [usize; 4], output: [usize; 4], mut visit: impl FnMut(Term)) {
    let (cpg, q) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let [rows, columns] = conv.kernel;
    for image in 0..output[0] {
        for y in 0..output[2] {
            for x in 0..output[3] {
                for (ky, kx, from) in effective_taps(conv, [input[2], input[3]], [y, x]) {
                    for o in 0..conv.out_channels {
                        for j in 0..cpg {
                            let weight = ((o * cpg + j) * rows + ky) * columns + kx;
                            visit(Term { image, from, to: [y, x], channel: o / q * cpg + j, output: o, weight });
                        }
                    }
                }
            }
        }
    }
}

/// The gradient of a convolution's input, of the given shape.
pub fn conv2d_input_gradient(conv: &Conv2d, kernel: &[f64], grad_output: &Map, shape: [usize; 4]) -> Map {
    let mut gradient = Map { shape, data: vec![0.0; shape.iter().product()] };
    let [_, channels, height, width] = shape;
    for_each_term(conv, shape, grad_output.shape, |term| {
        let at = ((term.image * channels + term.channel) * height + term.from[0]) * width + term.from[1];
        let [y, x] = term.to;
        gradient.data[at] += kernel[term.weight] * grad_output.at(term.image, term.output, y, x);
    });
    gradient
}

/// The gradient of a convolution's kernel, OIHW.
pub fn conv2d_kernel_gradient(conv: &Conv2d, input: &Map, grad_output: &Map) -> Vec<f64> {
    let taps = conv.kernel[0] * conv.kernel[1];
    let mut gradient = vec![0.0; conv.out_channels * conv.in_channels / conv.groups * taps];
    for_each_term(conv, input.shape, grad_output.shape, |term| {
        let ([iy, ix], [y, x]) = (term.from, term.to);
        gradient[term.weight] +=
            input.at(term.image, term.channel, iy, ix) * grad_output.at(term.image, term.output, y, x);
    });
    gradient
}

/// The gradient of a bias: the sum over batch and pixels.
pub fn bias_gradient(grad_output: &Map) -> Vec<f64> {
    let [batch, channels, height, width] = grad_output.shape;
    let area = height * width;
    let plane = |n: usize, o: usize| &grad_output.data[(n * channels + o) * area..][..area];
    (0..channels).map(|o| (0..batch).map(|n| plane(n, o).iter().sum::<f64>()).sum()).collect()
}

/// The gradients of W and of the effective D, given that of the kernel they compose to (OIHW):
/// `dW[o, j, s] = Σ_m D[c, m, s] · dkernel[o, j, m]` and `dD[c, m, s] = Σ dkernel[o, j, m] · W[o, j, s]` over all `o` and
/// `j` that the pairing gives the channel `c`.
pub fn fold_gradient(
    conv: &Conv2d,
    d_mul: usize,
    pairing: Pairing,
    w: &[f64],
    d: &[f64],
    grad_kernel: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (cpg, q) = (conv.in_channels / conv.groups, conv.out_channels / conv.groups);
    let taps = conv.kernel[0] * conv.kernel[1];
    let (mut grad_w, mut grad_d) = (vec![0.0; w.len()], vec![0.0; d.len()]);
    for o in 0..conv.out_channels {
        for j in 0..cpg {
            let c = match pairing {
                Pairing::Paper => o / q * cpg + j,
                Pairing::Torch => (o * cpg + j) % conv.in_channels,
            };
            for m in 0..taps {
                let gradient = grad_kernel[(o * cpg + j) * taps + m];
                for s in 0..d_mul {
                    let (at_w, at_d) = ((o * cpg + j) * d_mul + s, (c * taps + m) * d_mul + s);
                    grad_w[at_w] += d[at_d] * gradient;
                    grad_d[at_d] += w[at_w] * gradient;
                }
            }
        }
    }
    (grad_w, grad_d)
}

/// All gradients of a DO-Conv layer by way of its folded kernel: folded and kernel composition, either pairing.
pub fn kernel_composition_gradient(
    conv: &Conv2d,
    d_mul: usize,
    pairing: Pairing,
    input: &Map,
    w: &[f64],
    d: &[f64],
    grad_output: &Map,
) -> LayerGradients {
    let kernel = super::fold(conv, d_mul, pairing, w, d);
    let grad_kernel = conv2d_kernel_gradient(conv, input, grad_output);
    let (grad_w, grad_d) = fold_gradient(conv, d_mul, pairing, w, d, &grad_kernel);
    LayerGradients {
        input: conv2d_input_gradient(conv, &kernel, grad_output, input.shape),
        w: grad_w,
        d: grad_d,
        bias: bias_gradient(grad_output),
    }
}

/// All gradients of a DO-Conv layer with the paper's pairing through the two convolutions of feature composition.
pub fn feature_composition_gradient(
    conv: &Conv2d,
    d_mul: usize,
    input: &Map,
    w: &[f64],
    d: &[f64],
    grad_output: &Map,
) -> LayerGradients {
    let (depthwise, pointwise, d_kernel) = super::conv::feature_layers(conv, d_mul, d);
    let middle = super::conv2d(&depthwise, input, &d_kernel, None);
    let grad_middle = conv2d_input_gradient(&pointwise, w, grad_output, middle.shape);
    let grad_d_kernel = conv2d_kernel_gradient(&depthwise, input, &grad_middle);
    let taps = conv.kernel[0] * conv.kernel[1];
    let mut grad_d = vec![0.0; d.len()];
    for (index, value) in grad_d_kernel.into_iter().enumerate() {
        let (c, s, m) = (index / taps / d_mul, index / taps % d_mul, index % taps);
        grad_d[(c * taps + m) * d_mul + s] = value;
    }
    LayerGradients {
        input: conv2d_input_gradient(&depthwise, &d_kernel, &grad_middle, input.shape),
        w: conv2d_kernel_gradient(&pointwise, &middle, grad_output),
        d: grad_d,
        bias: bias_gradient(grad_output),
    }
}
