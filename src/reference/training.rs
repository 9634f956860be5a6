//! What only training has: batch norms with the statistics of their batch, the loss, and the backward passes.

use super::Map;
use super::elementwise::activate;
use crate::network::{Activation, AvgPool, MaxPool};

/// Mean and biased variance of every channel over batch and pixels.
pub fn batch_statistics(input: &Map) -> [Vec<f64>; 2] {
    let [_, channels, ..] = input.shape;
    let of_channel = |c: usize| values_of(input, c);
    let mean: Vec<f64> = (0..channels).map(|c| of_channel(c).sum::<f64>() / count(input)).collect();
    let variance = |c: usize| of_channel(c).map(|value| (value - mean[c]).powi(2)).sum::<f64>() / count(input);
    let variance = (0..channels).map(variance).collect();
    [mean, variance]
}

/// Values per channel.
fn count(map: &Map) -> f64 {
    (map.shape[0] * map.shape[2] * map.shape[3]) as f64
}

fn values_of(map: &Map, channel: usize) -> impl Iterator<Item = f64> {
    let [_, channels, height, width] = map.shape;
    let planes = map.data.chunks_exact(height * width).enumerate();
    planes.filter(move |(plane, _)| plane % channels == channel).flat_map(|(_, values)| values.iter().copied())
}

/// Gradients of a batch norm with the statistics of its batch.
#[derive(Clone, Debug)]
pub struct NormGradients {
    /// Of the input.
    pub input: Map,
    /// Of the weight.
    pub weight: Vec<f64>,
    /// Of the bias.
    pub bias: Vec<f64>,
}

/// The backward pass of `(x − mean) / √(variance + eps) · weight + bias`, where mean and variance depend on x.
pub fn batch_norm_gradient(input: &Map, weight: &[f64], eps: f64, grad_output: &Map) -> NormGradients {
    let [mean, variance] = batch_statistics(input);
    let deviation: Vec<f64> = variance.iter().map(|variance| (variance + eps).sqrt()).collect();
    let normalised = Map::from_fn(input.shape, |n, c, y, x| (input.at(n, c, y, x) - mean[c]) / deviation[c]);
    let products = normalised.zip(grad_output, |a, b| a * b);
    let sums = |map: &Map| (0..map.shape[1]).map(|c| values_of(map, c).sum()).collect::<Vec<f64>>();
    let (bias, scale) = (sums(grad_output), sums(&products));
    let input = Map::from_fn(input.shape, |n, c, y, x| {
        let common = (bias[c] + normalised.at(n, c, y, x) * scale[c]) / count(input);
        weight[c] / deviation[c] * (grad_output.at(n, c, y, x) - common)
    });
    NormGradients { input, weight: scale, bias }
}

/// The gradient of an activation's argument. At the ends of a range within which the slope is not zero, it is zero; where
/// two straight lines meet otherwise, it is that of the left one.
pub fn activation_gradient(function: Activation, argument: &Map, grad_output: &Map) -> Map {
    argument.zip(grad_output, |x, gradient| slope(function, x) * gradient)
}

fn slope(function: Activation, x: f64) -> f64 {
    let inside = |x: f64, lower: f64, upper: f64| if x > lower && x < upper { 1.0 } else { 0.0 };
    let logistic = |x: f64| activate(Activation::Sigmoid, x);
    match function {
        // The slope of a value that has run off to infinity is taken as nothing, as beyond any other bound.
        Activation::Relu => inside(x, 0.0, f64::INFINITY),
        Activation::Relu6 => inside(x, 0.0, 6.0),
        Activation::Clip { min, max } => {
            inside(x, min.map_or(f64::NEG_INFINITY, f64::from), max.map_or(f64::INFINITY, f64::from))
        }
        Activation::LeakyRelu { slope } => {
            if x > 0.0 {
                1.0
            } else {
                f64::from(slope)
            }
        }
        Activation::HardSwish => {
            if x <= -3.0 {
                0.0
            } else if x < 3.0 {
                x / 3.0 + 0.5
            } else {
                1.0
            }
        }
        Activation::HardSigmoid => inside(x, -3.0, 3.0) / 6.0,
        Activation::Ramp { slope, offset } => {
            let (slope, offset) = (f64::from(slope), f64::from(offset));
            inside(x * slope + offset, 0.0, 1.0) * slope
        }
        Activation::Sigmoid => logistic(x) * (1.0 - logistic(x)),
        Activation::Silu => logistic(x) * (1.0 + x * (1.0 - logistic(x))),
        Activation::Tanh => 1.0 - x.tanh().powi(2),
    }
}

/// The taps of a window that lie inside the input, row by row.
fn inside(
    [kernel, stride, dilation]: [[usize; 2]; 3],
    padding: [usize; 4],
    [_, _, height, width]: [usize; 4],
    [y, x]: [usize; 2],
) -> Vec<[usize; 2]> {
    let mut places = vec![];
    for ky in 0..kernel[0] {
        for kx in 0..kernel[1] {
            let row = (y * stride[0] + ky * dilation[0]).checked_sub(padding[0]).filter(|&row| row < height);
            let column = (x * stride[1] + kx * dilation[1]).checked_sub(padding[1]).filter(|&column| column < width);
            places.extend(row.zip(column).map(|(row, column)| [row, column]));
        }
    }
    places
}

/// Every maximum gets the gradients of the windows that it is the first one of; the first NaN is that of a window with any.
pub fn max_pool_gradient(pool: &MaxPool, input: &Map, grad_output: &Map) -> Map {
    let windows = [pool.kernel, pool.stride, pool.dilation];
    scatter(input.shape, grad_output, |n, c, at| {
        let places = inside(windows, pool.padding, input.shape, at);
        let best = places.into_iter().reduce(|best, place| {
            let value = |[y, x]: [usize; 2]| input.at(n, c, y, x);
            let is_larger = value(place) > value(best) || (value(place).is_nan() && !value(best).is_nan());
            if is_larger { place } else { best }
        });
        best.map(|place| (place, 1.0)).into_iter().collect()
    })
}

/// Every pixel gets its share of the windows that it is in.
pub fn avg_pool_gradient(pool: &AvgPool, shape: [usize; 4], grad_output: &Map) -> Map {
    let windows = [pool.kernel, pool.stride, pool.dilation];
    let [top, left, bottom, right] = pool.padding;
    let padded = [shape[0], shape[1], shape[2] + top + bottom, shape[3] + left + right];
    scatter(shape, grad_output, |_, _, at| {
        let places = inside(windows, pool.padding, shape, at);
        let count = if pool.count_include_pad { inside(windows, [0; 4], padded, at).len() } else { places.len() };
        places.into_iter().map(|place| (place, 1.0 / count as f64)).collect()
    })
}

/// Adds to each of the places that a window names its share of the window's gradient.
fn scatter(
    shape: [usize; 4],
    grad_output: &Map,
    shares: impl Fn(usize, usize, [usize; 2]) -> Vec<([usize; 2], f64)>,
) -> Map {
    let mut gradient = Map::from_fn(shape, |_, _, _, _| 0.0);
    let [batch, channels, height, width] = grad_output.shape;
    for n in 0..batch {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    for ([row, column], share) in shares(n, c, [y, x]) {
                        let at = ((n * channels + c) * shape[2] + row) * shape[3] + column;
                        gradient.data[at] += share * grad_output.at(n, c, y, x);
                    }
                }
            }
        }
    }
    gradient
}

/// Sums along the axes on which `shape` has the extent 1.
pub fn reduce(input: &Map, shape: [usize; 4]) -> Map {
    let mut sums = Map::from_fn(shape, |_, _, _, _| 0.0);
    let [items, channels, height, width] = input.shape;
    for n in 0..items {
        for c in 0..channels {
            for y in 0..height {
                for x in 0..width {
                    let [n_to, c_to, y_to, x_to] =
                        [(n, 0), (c, 1), (y, 2), (x, 3)].map(|(place, axis)| place.min(shape[axis] - 1));
                    let at = ((n_to * shape[1] + c_to) * shape[2] + y_to) * shape[3] + x_to;
                    sums.data[at] += input.at(n, c, y, x);
                }
            }
        }
    }
    sums
}

/// `−Σ target · log softmax(logits)` for every item of `[N, C, 1, 1]`.
pub fn cross_entropy(logits: &Map, targets: &Map) -> Vec<f64> {
    let logarithms = super::log_softmax(logits).zip(targets, |logarithm, target| -logarithm * target);
    logarithms.data.chunks_exact(logits.shape[1]).map(|item| item.iter().sum()).collect()
}

/// The gradient of its mean with respect to the logits.
pub fn cross_entropy_gradient(logits: &Map, targets: &Map) -> Map {
    let probabilities = super::softmax(logits);
    let mass = |n: usize| (0..targets.shape[1]).map(|c| targets.at(n, c, 0, 0)).sum::<f64>();
    Map::from_fn(logits.shape, |n, c, _, _| {
        (probabilities.at(n, c, 0, 0) * mass(n) - targets.at(n, c, 0, 0)) / logits.shape[0] as f64
    })
}
