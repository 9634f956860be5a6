//! Steps that take values as they come: sums, products, activations, softmax, and moving channels about.

use super::{activation, parallel};
use crate::network::{Activation, Lrn, Shape};
use crate::plan::BinaryOp;

/// Elements of a task.
const CHUNK: usize = 16 * 1024;

/// A map and its shape.
pub(super) type Operand<'a> = (&'a [f32], Shape);

/// `activation(a ∘ b)`, with the extents 1 repeated; shapes are those of the batch.
pub(super) fn binary(
    op: BinaryOp,
    fused: Option<Activation>,
    a: Operand,
    b: Operand,
    batch: usize,
    shape: Shape,
    output: &mut [f32],
) {
    let [n, channels, ..] = shape;
    if a.1 == shape && (b.1 == shape || b.1 == [n, channels, 1, 1]) {
        return binary_of_whole(op, fused, a.0, b.0, shape, output);
    }
    let [_, _, height, width] = shape;
    let items = n / batch;
    parallel::for_each_chunk(output, width * channels, |line, output| {
        let (n, y) = (line / height, line % height);
        for (x, output) in output.chunks_exact_mut(channels).enumerate() {
            let (a, b) = (pixel(a, batch, items, [n, y, x]), pixel(b, batch, items, [n, y, x]));
            // One channel is repeated over all.
            for (c, output) in output.iter_mut().enumerate() {
                let (a, b) = (a[c.min(a.len() - 1)], b[c.min(b.len() - 1)]);
                *output = combine_one(op, a, b);
            }
        }
        if let Some(fused) = fused {
            activation::apply(fused, output);
        }
    });
}

/// The channels of an operand for a pixel of the result, which has `items` maps for every element of the batch.
fn pixel<'a>((map, shape): Operand<'a>, batch: usize, items: usize, [n, y, x]: [usize; 3]) -> &'a [f32] {
    let [own, channels, height, width] = [shape[0] / batch, shape[1], shape[2], shape[3]];
    let n = n / items * own + (n % items).min(own - 1);
    &map[((n * height + y.min(height - 1)) * width + x.min(width - 1)) * channels..][..channels]
}

/// The same where `a` has the shape of the result and `b` has it too, or is 1×1.
fn binary_of_whole(op: BinaryOp, fused: Option<Activation>, a: &[f32], b: &[f32], shape: Shape, output: &mut [f32]) {
    let [_, channels, height, width] = shape;
    let repeat = a.len() != b.len();
    // Whole pixels, so that a repeated `b` starts anew with every task; and, for its sake, of one image.
    let pixels = (CHUNK / channels).clamp(1, height * width);
    let per_image = (height * width).div_ceil(pixels);
    let image = channels * height * width;
    let output = parallel::SharedMut::new(output);
    parallel::for_each(a.len() / image * per_image, |task| {
        let (index, start) = (task / per_image, task % per_image * pixels * channels);
        let len = (pixels * channels).min(image - start);
        let at = index * image + start;
        // SAFETY: tasks have different pixels.
        let output = unsafe { std::slice::from_raw_parts_mut(output.at(at, len), len) };
        let a = &a[at..][..len];
        if repeat {
            let b = &b[index * channels..][..channels];
            for (a, output) in a.chunks_exact(channels).zip(output.chunks_exact_mut(channels)) {
                combine(op, a, b, output);
            }
        } else {
            combine(op, a, &b[at..][..len], output);
        }
        if let Some(fused) = fused {
            activation::apply(fused, output);
        }
    });
}

fn combine(op: BinaryOp, a: &[f32], b: &[f32], output: &mut [f32]) {
    let pairs = output.iter_mut().zip(a.iter().zip(b));
    // One loop per function, so that each is vectorised.
    match op {
        BinaryOp::Add => pairs.for_each(|(output, (a, b))| *output = a + b),
        BinaryOp::Sub => pairs.for_each(|(output, (a, b))| *output = a - b),
        BinaryOp::Mul => pairs.for_each(|(output, (a, b))| *output = a * b),
        BinaryOp::Div => pairs.for_each(|(output, (a, b))| *output = a / b),
        BinaryOp::Prelu => pairs.for_each(|(output, (&a, &b))| *output = combine_one(BinaryOp::Prelu, a, b)),
    }
}

fn combine_one(op: BinaryOp, a: f32, b: f32) -> f32 {
    match op {
        BinaryOp::Add => a + b,
        BinaryOp::Sub => a - b,
        BinaryOp::Mul => a * b,
        BinaryOp::Div => a / b,
        BinaryOp::Prelu => {
            if a < 0.0 {
                a * b
            } else {
                a
            }
        }
    }
}

/// Every value through an activation.
pub(super) fn activate(activation: Activation, input: &[f32], output: &mut [f32]) {
    parallel::for_each_chunk(output, CHUNK, |index, output| {
        output.copy_from_slice(&input[index * CHUNK..][..output.len()]);
        activation::apply(activation, output);
    });
}

/// The channels of all inputs, given with their channel counts, one after the other.
pub(super) fn concat(inputs: &[(&[f32], usize)], channels: usize, output: &mut [f32]) {
    let pixels = (CHUNK / channels).max(1);
    parallel::for_each_chunk(output, pixels * channels, |index, output| {
        let mut start = 0;
        for &(input, count) in inputs {
            let input = input[index * pixels * count..].chunks_exact(count);
            for (output, input) in output.chunks_exact_mut(channels).zip(input) {
                output[start..start + count].copy_from_slice(input);
            }
            start += count;
        }
    });
}

/// Softmax over the channels of every pixel, or its logarithm.
pub(super) fn softmax(logarithm: bool, channels: usize, input: &[f32], output: &mut [f32]) {
    let pixels = (CHUNK / channels).max(1);
    parallel::for_each_chunk(output, pixels * channels, |index, output| {
        let input = input[index * pixels * channels..].chunks_exact(channels);
        for (output, input) in output.chunks_exact_mut(channels).zip(input) {
            // Without the largest logit taken off, exp would overflow.
            let max = input.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let mut sum = 0.0;
            for (output, &input) in output.iter_mut().zip(input) {
                *output = (input - max).exp();
                sum += *output;
            }
            if logarithm {
                let logarithm = sum.ln();
                output.iter_mut().zip(input).for_each(|(output, &input)| *output = input - max - logarithm);
                continue;
            }
            let factor = 1.0 / sum;
            output.iter_mut().for_each(|value| *value *= factor);
        }
    });
}

/// Local response normalisation over the channels of every pixel.
pub(super) fn lrn(lrn: &Lrn, channels: usize, input: &[f32], output: &mut [f32]) {
    let pixels = (CHUNK / channels).max(1);
    let before = (lrn.size - 1) / 2;
    let factor = lrn.alpha / lrn.size as f32;
    parallel::for_each_chunk(output, pixels * channels, |index, output| {
        let input = input[index * pixels * channels..].chunks_exact(channels);
        for (output, input) in output.chunks_exact_mut(channels).zip(input) {
            for (c, output) in output.iter_mut().enumerate() {
                let window = &input[c.saturating_sub(before)..(c + lrn.size - before).min(channels)];
                let squares: f32 = window.iter().map(|x| x * x).sum();
                *output = input[c] / (lrn.k + factor * squares).powf(lrn.beta);
            }
        }
    });
}
