//! Steps that take values as they come: sums, products, activations, softmax, and moving channels about.

use super::{activation, parallel};
use crate::network::{Activation, Shape};
use crate::plan::BinaryOp;

/// Elements of a task.
const CHUNK: usize = 16 * 1024;

/// `activation(a ∘ b)`; `b` has the shape of `a`, or is 1×1 and repeated.
pub(super) fn binary(op: BinaryOp, fused: Option<Activation>, a: &[f32], b: &[f32], shape: Shape, output: &mut [f32]) {
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
    match op {
        BinaryOp::Add => pairs.for_each(|(output, (a, b))| *output = a + b),
        BinaryOp::Mul => pairs.for_each(|(output, (a, b))| *output = a * b),
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

/// Softmax over the channels of every pixel.
pub(super) fn softmax(channels: usize, input: &[f32], output: &mut [f32]) {
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
            let factor = 1.0 / sum;
            output.iter_mut().for_each(|value| *value *= factor);
        }
    });
}
