//! Error estimates: how far a sound implementation in single or half precision may be off.

use super::elementwise::broadcast;
use super::elementwise::lrn_base;
use super::interpreter::{ConvKernel, checked, parameter, pick, value};
use super::resize::interpolate;
use super::rounding::{OPERATIONS, Rounding, SAFETY, UNIT, error_growth};
use super::winograd_error;
use super::{
    Map, avg_pool, concat, conv_transpose2d, conv2d, flatten, global_avg_pool, global_max_pool, linear, log_softmax,
    max_pool, pad, reshape, slice, softmax, transpose,
};
use crate::network::{Activation, Conv2d, Lrn, Node, Op, Pad};
use crate::winograd::Winograd;
use crate::{Model, Precision, Result, Tensor};

/// Devices may flush numbers below the smallest normal `f32`, 1.2e−38, to zero; products of those are granted too.
const FLOOR: f64 = 1e-35;

/// A value and the error that rounding may make of it.
///
/// The error is propagated to first order, as a standard deviation: an error that enters an operator leaves it
/// multiplied by the operator's derivative, errors of different elements add up as the root of the sum of squares, and
/// a sum of K products `w·x` adds an error of its own of `√K · 2⁻²⁴ · Σ|w·x|`. That is the probabilistic bound of
/// Higham and Mary, *A New Approach to Probabilistic Rounding Error Analysis*, 2019; the certain one, with K in place
/// of √K, is so wide that it would hide mistakes. For DO-Conv layers `|w|` is `Σ|D|·|W|`, what composing in whichever
/// order has to add up.
///
/// In half precision everything that is stored is rounded once more: the inputs, what every node gives, and kernels. The
/// last makes an error of every product by itself, so that they add up as the root of the sum of squares.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// The value.
    pub value: Map,
    /// The typical error, element by element.
    pub error: Map,
}

impl Estimate {
    /// How far the element at `index` may be off: four times its estimated error.
    pub fn tolerance(&self, index: usize) -> f64 {
        SAFETY * self.error.data[index] + FLOOR
    }
}

/// [`run`](super::run), with the error that single precision may make of every output.
///
/// # Errors
/// Those of [`run`](super::run).
pub fn run_with_error(model: &Model, inputs: &[Tensor]) -> Result<Vec<Estimate>> {
    run_with_error_of(model, inputs, Precision::F32, &|_, _| None)
}

/// [`run_with_error`] for an implementation that stores and computes in a precision, and runs some convolutions by
/// Winograd convolution: those for which `winograd`, given the layer and the height and width of its output, names the tiles.
///
/// # Errors
/// Those of [`run`](super::run).
pub fn run_with_error_of(
    model: &Model,
    inputs: &[Tensor],
    precision: Precision,
    winograd: &dyn Fn(&Conv2d, [usize; 2]) -> Option<Winograd>,
) -> Result<Vec<Estimate>> {
    let (batch, inferred, inputs) = checked(model, inputs)?;
    let rounding = Rounding::of(precision);
    let exact = |value: Map| Estimate { error: rounding.stored(&value, value.map(|_| 0.0)), value };
    let inputs: Vec<Estimate> = inputs.into_iter().map(exact).collect();
    let mut nodes: Vec<Estimate> = vec![];
    for (node, edges) in model.network().nodes.iter().zip(&inferred.edges) {
        let read: Vec<&Estimate> = edges.iter().map(|&source| pick(&inputs, &nodes, source)).collect();
        let values: Vec<&Map> = read.iter().map(|estimate| &estimate.value).collect();
        let value = value(model, node, &values, batch)?;
        let error = error(model, node, &read, &value, batch, rounding, winograd)?;
        nodes.push(Estimate { error: rounding.stored(&value, error), value });
    }
    Ok(inferred.outputs.iter().map(|&source| pick(&inputs, &nodes, source).clone()).collect())
}

/// The error of a node's value, given those of its inputs.
fn error(
    model: &Model,
    node: &Node,
    inputs: &[&Estimate],
    output: &Map,
    batch: usize,
    rounding: Rounding,
    winograd: &dyn Fn(&Conv2d, [usize; 2]) -> Option<Winograd>,
) -> Result<Map> {
    // A constant is what it is.
    let Some(&input) = inputs.first() else { return Ok(output.map(|_| 0.0)) };
    let absolute = input.value.map(f64::abs);
    let variance = input.error.map(|error| error * error);
    let square = || input.value.map(|value| value * value);
    let part = |part: &str| parameter(model, node, part);
    Ok(match &node.op {
        Op::Conv2d(conv) => {
            let kernel = ConvKernel::new(model, node, conv)?;
            let bias = conv.bias.then(|| part("bias").map(absolutes)).transpose()?;
            if let Some(size) = winograd(conv, [output.shape[2], output.shape[3]]) {
                let own = winograd_error::error(conv, size, &input.value, &kernel, bias.as_deref());
                let propagated = conv2d(conv, &variance, &squares(kernel.kernel), None);
                return Ok(propagated.zip(&own, |variance, own| variance.sqrt() + own));
            }
            let magnitude = conv2d(conv, &absolute, &kernel.magnitude, bias.as_deref());
            let terms = if conv.channels_per_group() == 1 { conv.kernel[1] } else { kernel.terms };
            let factors = (kernel.terms > conv.channels_per_group() * conv.taps()).then(|| conv.taps());
            let variance = conv2d(conv, &variance, &squares(kernel.kernel), None);
            let of_products = || conv2d(conv, &square(), &squares(kernel.magnitude), None);
            rounding.with_products(propagated_sum(variance, magnitude, kernel.terms), of_products, terms, factors)
        }
        Op::Linear(attributes) => {
            let weight = part("weight")?;
            let bias = attributes.bias.then(|| part("bias").map(absolutes)).transpose()?;
            let magnitude = linear(&absolute, &absolutes(weight.clone()), bias.as_deref());
            let (weight, terms) = (squares(weight), attributes.in_features);
            let variance = linear(&variance, &weight, None);
            let of_products = || linear(&square(), &weight, None);
            rounding.with_products(propagated_sum(variance, magnitude, terms), of_products, terms, None)
        }
        Op::BatchNorm(norm) => {
            let (weight, bias, mean) = (part("weight")?, part("bias")?, part("running_mean")?);
            let variance = part("running_var")?;
            Map::from_fn(output.shape, |n, c, y, x| {
                let scale = (weight[c] / (variance[c] + norm.eps).sqrt()).abs();
                let product = scale * absolute.at(n, c, y, x);
                let magnitude = product + scale * mean[c].abs() + bias[c].abs();
                let own = OPERATIONS * UNIT * magnitude + (rounding.storing() + rounding.computing()) * product;
                scale * input.error.at(n, c, y, x) + own
            })
        }
        Op::Activation(function) => activation_error(*function, input, output),
        Op::MaxPool(pool) => max_pool(pool, &input.error),
        Op::AvgPool(pool) => {
            // The mean of the errors: that they partly cancel is not counted on in windows this small.
            let terms = pool.kernel[0] * pool.kernel[1];
            let mean_error = avg_pool(pool, &input.error);
            propagated_sum(mean_error.map(|error| error * error), avg_pool(pool, &absolute), terms)
        }
        Op::GlobalAvgPool => {
            let pixels = input.value.shape[2] * input.value.shape[3];
            let variance = global_avg_pool(&variance).map(|variance| variance / pixels as f64);
            propagated_sum(variance, global_avg_pool(&absolute), pixels)
        }
        Op::GlobalMaxPool => global_max_pool(&input.error),
        Op::ConvTranspose2d(conv) => {
            let weight = part("weight")?;
            let bias = conv.bias.then(|| part("bias").map(absolutes)).transpose()?;
            let magnitude = conv_transpose2d(conv, &absolute, &absolutes(weight.clone()), bias.as_deref());
            let terms = conv.channels_per_group() * conv.taps();
            let weight = squares(weight);
            let variance = conv_transpose2d(conv, &variance, &weight, None);
            let of_products = || conv_transpose2d(conv, &square(), &weight, None);
            rounding.with_products(propagated_sum(variance, magnitude, terms), of_products, terms, None)
        }
        // The operands of these are often related, so that their errors are added in full.
        Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Prelu => {
            let magnitudes = [&input.value, &inputs[1].value].map(|map| map.map(f64::abs));
            let of = |map: [&Map; 2], function: fn(f64, f64) -> f64| broadcast(batch, map[0], map[1], function);
            let values = [&magnitudes[0], &magnitudes[1]];
            let errors = [&input.error, &inputs[1].error];
            let propagated = match node.op {
                Op::Mul => of([errors[0], values[1]], |error, b| error * b)
                    .zip(&of([values[0], errors[1]], |a, error| a * error), |a, b| a + b),
                Op::Div => {
                    let relative = errors[1].zip(values[1], |error, b| error / b);
                    let quotient = output.map(f64::abs);
                    of([errors[0], values[1]], |error, b| error / b)
                        .zip(&of([&quotient, &relative], |quotient, relative| quotient * relative), |a, b| a + b)
                }
                Op::Prelu => of([errors[0], values[1]], |error, b| error * b.max(1.0))
                    .zip(&of([values[0], errors[1]], |a, error| a * error), |a, b| a + b),
                _ => of(errors, |a, b| a + b),
            };
            let own = match node.op {
                Op::Add | Op::Sub => of(values, |a, b| a + b).map(|size| UNIT * size),
                // WGSL grants a quotient 2.5 units in the last place.
                Op::Div => output.map(|value| 5.0 * UNIT * value.abs()),
                _ => output.map(|value| UNIT * value.abs()),
            };
            propagated.zip(&own, |a, b| a + b)
        }
        Op::Constant(_) => output.map(|_| 0.0),
        Op::Reshape(shape) => reshape(*shape, batch, &input.error),
        Op::Transpose(axes) => transpose(*axes, batch, &input.error),
        Op::Slice(part) => slice(part, batch, &input.error),
        Op::Pad(around) => pad(&Pad { value: 0.0, ..around.clone() }, batch, &input.error),
        Op::Resize(resize) => {
            let propagated = interpolate(resize, &input.error, f64::abs);
            // The weights are rounded, multiplied and added up; near a whole coordinate they are small differences.
            let terms = input.value.map(|x| x.abs() * UNIT * 4.0 * OPERATIONS);
            propagated.zip(&interpolate(resize, &terms, f64::abs), |a, b| a + b)
        }
        Op::Lrn(attributes) => lrn_error(attributes, input, output),
        Op::LogSoftmax => log_softmax_error(input),
        Op::Concat => concat(&inputs.iter().map(|input| &input.error).collect::<Vec<_>>()),
        Op::Flatten => flatten(&input.error),
        Op::Softmax => softmax_error(input),
    })
}

/// The propagated error of a sum of `terms` products and its own.
fn propagated_sum(variance: Map, magnitude: Map, terms: usize) -> Map {
    let growth = error_growth(terms);
    variance.zip(&magnitude, |variance, magnitude| variance.sqrt() + growth * magnitude)
}

fn activation_error(function: Activation, input: &Estimate, output: &Map) -> Map {
    // The exponential of WGSL may be off by 3 + 2·|x| units in the last place.
    let sigmoid_error = |x: f64| {
        let y = 1.0 / (1.0 + (-x).exp());
        UNIT * (OPERATIONS * y + (6.0 + 4.0 * x.abs()) * y * (1.0 - y))
    };
    let ramp_error = |x: f64| if x.abs() < 3.1 { 2.0 * UNIT } else { 0.0 };
    // The largest derivative of every function, and the error of computing it.
    let of = |x: f64, y: f64| match function {
        Activation::Relu | Activation::Relu6 | Activation::Clip { .. } => (1.0, 0.0),
        Activation::LeakyRelu { slope } => (f64::from(slope).abs().max(1.0), UNIT * y.abs()),
        Activation::Ramp { slope, offset } => {
            let size = f64::from(slope).abs() * x.abs() + f64::from(offset).abs();
            (f64::from(slope).abs(), if (0.0..=1.0).contains(&y) { 2.0 * UNIT * size } else { 0.0 })
        }
        Activation::Tanh => (1.0, UNIT * (2.0 * OPERATIONS + (6.0 + 8.0 * x.abs()) * (1.0 - y * y))),
        Activation::HardSigmoid => (1.0 / 6.0, ramp_error(x)),
        Activation::HardSwish => (1.5, UNIT * y.abs() + x.abs() * ramp_error(x)),
        Activation::Sigmoid => (0.25, sigmoid_error(x)),
        Activation::Silu => (1.1, UNIT * y.abs() + x.abs() * sigmoid_error(x)),
    };
    let own = input.value.zip(output, |x, y| of(x, y).1);
    own.zip(&input.error, |own, error| own + of(0.0, 0.0).0 * error)
}

fn softmax_error(input: &Estimate) -> Map {
    let channels = input.value.shape[1];
    let output = softmax(&input.value);
    Map::from_fn(output.shape, |n, c, y, x| {
        let largest = (0..channels).map(|k| input.value.at(n, k, y, x)).fold(f64::NEG_INFINITY, f64::max);
        // The relative error of one exponential, x − max included.
        let exponential = |k: usize| {
            let distance = largest - input.value.at(n, k, y, x);
            input.error.at(n, k, y, x) + UNIT * (OPERATIONS + 6.0 + 5.0 * distance)
        };
        let of_sum: f64 = (0..channels).map(|k| output.at(n, k, y, x) * exponential(k)).sum();
        output.at(n, c, y, x) * (exponential(c) + of_sum + UNIT * (OPERATIONS + (channels as f64).sqrt()))
    })
}

fn log_softmax_error(input: &Estimate) -> Map {
    let channels = input.value.shape[1];
    let (shares, output) = (softmax(&input.value), log_softmax(&input.value));
    Map::from_fn(output.shape, |n, c, y, x| {
        let largest = (0..channels).map(|k| input.value.at(n, k, y, x)).fold(f64::NEG_INFINITY, f64::max);
        let of_others: f64 = (0..channels)
            .map(|k| {
                let distance = largest - input.value.at(n, k, y, x);
                shares.at(n, k, y, x) * (input.error.at(n, k, y, x) + UNIT * (OPERATIONS + 6.0 + 5.0 * distance))
            })
            .sum();
        let sizes = input.value.at(n, c, y, x).abs() + largest.abs() + output.at(n, c, y, x).abs() + 1.0;
        // The logarithm may be off by 2⁻²¹ near one.
        input.error.at(n, c, y, x) + of_others + UNIT * (OPERATIONS * sizes + 8.0 + (channels as f64).sqrt())
    })
}

fn lrn_error(lrn: &Lrn, input: &Estimate, output: &Map) -> Map {
    let base = lrn_base(lrn, &input.value);
    let beta = f64::from(lrn.beta).abs();
    let before = (lrn.size - 1) / 2;
    Map::from_fn(output.shape, |n, c, y, x| {
        let window = c.saturating_sub(before)..(c + lrn.size - before).min(output.shape[1]);
        let terms = window.len() as f64;
        let of_squares: f64 = window.map(|k| 2.0 * input.value.at(n, k, y, x).abs() * input.error.at(n, k, y, x)).sum();
        let (base, value) = (base.at(n, c, y, x), input.value.at(n, c, y, x));
        let relative_base =
            (f64::from(lrn.alpha).abs() / lrn.size as f64 * of_squares) / base + UNIT * (OPERATIONS + terms.sqrt());
        // x^y is exp2(y · log2 x): the logarithm may be off by 2⁻²¹ near one, the exponential by 3 + 2·|x| units.
        let logarithm = base.log2().abs();
        let power = UNIT * (8.0 * beta + 6.0 * beta * logarithm + 2.0 * (3.0 + 2.0 * beta * logarithm) + OPERATIONS);
        let factor = (output.at(n, c, y, x) / if value == 0.0 { 1.0 } else { value }).abs();
        factor * input.error.at(n, c, y, x) + output.at(n, c, y, x).abs() * (beta * relative_base + power)
    })
}

fn absolutes(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(f64::abs).collect()
}

fn squares(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(|value| value * value).collect()
}
