//! Training steps of small networks that together have everything that can be trained.

use crate::network::{Activation, AvgPool, BatchNorm, Conv2d, DoConv, Linear, MaxPool, Network, Op, Pairing};
use crate::plan::{Decay, Recipe, Rule};
use crate::verification::case::Subject;
use crate::verification::graph::Graph;

/// Images of a step.
const BATCH: usize = 6;

/// A 3×3 DO-Conv layer that keeps the size.
fn square(inputs: usize, outputs: usize) -> Conv2d {
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    Conv2d { padding: [1; 4], doconv, ..Conv2d::new(inputs, outputs, [3, 3]) }
}

fn norm(channels: usize) -> Op {
    Op::BatchNorm(BatchNorm { channels, eps: 1e-5 })
}

/// Small networks that together have everything that can be trained, with what to call them.
pub fn training_networks() -> [(&'static str, Network); 7] {
    [
        ("residual", residual()),
        ("pools", pools()),
        ("activations", activations()),
        ("groups", groups()),
        ("pixels", pixels()),
        ("gates", gates()),
        ("channels", channels()),
    ]
}

/// Every network, each with one of the optimisers.
pub fn all() -> Vec<(String, Subject)> {
    let of = |what: &str, network: Network, rule, decay, parts, norm: Option<f32>| {
        let recipe = Recipe { batch: BATCH / parts, rule, decay, clips: norm.is_some(), accumulates: parts > 1 };
        let largest_norm = norm.unwrap_or(f32::MAX);
        (format!("training step, {what}"), Subject::Training { network, recipe, parts, largest_norm })
    };
    let (sgd, nesterov) = (Rule::Sgd { nesterov: false }, Rule::Sgd { nesterov: true });
    vec![
        of("residual, SGD", residual(), sgd, Decay::All, 1, None),
        of("residual, SGD, clipped", residual(), sgd, Decay::All, 1, Some(0.5)),
        of("residual, AdamW", residual(), Rule::AdamW, Decay::All, 1, None),
        of("residual, Nesterov, clipped", residual(), nesterov, Decay::Kernels, 1, Some(0.5)),
        of("residual, AdamW, in 3 parts", residual(), Rule::AdamW, Decay::All, 3, Some(1e6)),
        of("pools, Nesterov, in 2 parts", pools(), nesterov, Decay::All, 2, None),
        of("activations, AdamW", activations(), Rule::AdamW, Decay::Kernels, 1, Some(0.2)),
        of("groups, SGD", groups(), sgd, Decay::All, 1, None),
        of("gates, AdamW", gates(), Rule::AdamW, Decay::All, 1, Some(0.3)),
        of("many pixels, Nesterov", pixels(), nesterov, Decay::All, 1, None),
        of("many channels, SGD", channels(), sgd, Decay::All, 1, None),
    ]
}

/// A residual block, a depthwise layer among it.
fn residual() -> Network {
    let mut graph = Graph::new([3, 9, 7]);
    let stem = graph.add(Op::Conv2d(Conv2d { stride: [2, 2], bias: true, ..square(3, 6) }), &["input"]);
    let stem = graph.add(Op::Activation(Activation::Relu6), &[&stem]);
    let deep = graph.add(Op::Conv2d(Conv2d { groups: 6, ..square(6, 6) }), &[&stem]);
    let deep = graph.add(norm(6), &[&deep]);
    let deep = graph.add(Op::Add, &[&deep, &stem]);
    let deep = graph.add(Op::Activation(Activation::Relu), &[&deep]);
    let flat = graph.add(Op::Flatten, &[&deep]);
    graph.add(Op::Linear(Linear { in_features: 6 * 5 * 4, out_features: 5, bias: true }), &[&flat]);
    graph.finish()
}

fn pools() -> Network {
    let mut graph = Graph::new([2, 8, 8]);
    let wide = graph.add(Op::Conv2d(Conv2d { dilation: [2, 1], groups: 2, ..square(2, 10) }), &["input"]);
    let wide = graph.add(norm(10), &[&wide]);
    let (stride, dilation, ceil_mode) = ([2, 2], [1, 1], false);
    let max = MaxPool { kernel: [3, 3], stride, padding: [1; 4], dilation, ceil_mode };
    let max = graph.add(Op::MaxPool(max), &[&wide]);
    let mean = |count_include_pad| {
        Op::AvgPool(AvgPool { kernel: [3, 2], stride, padding: [1, 0, 1, 1], dilation, ceil_mode, count_include_pad })
    };
    let [inside, padded] = [false, true].map(mean).map(|pool| graph.add(pool, &[&wide]));
    let all = graph.add(Op::Concat, &[&max, &inside, &padded]);
    let joined = graph.add(Op::Conv2d(Conv2d { bias: true, ..Conv2d::new(30, 4, [1, 1]) }), &[&all]);
    graph.add(Op::GlobalAvgPool, &[&joined]);
    graph.finish()
}

/// Every activation behind a batch norm.
fn activations() -> Network {
    let mut graph = Graph::new([3, 6, 6]);
    let (mut value, mut channels) = ("input".to_owned(), 3);
    for activation in Activation::ALL {
        value = graph.add(Op::Conv2d(Conv2d::new(channels, 5, [1, 1])), &[&value]);
        value = graph.add(norm(5), &[&value]);
        value = graph.add(Op::Activation(activation), &[&value]);
        channels = 5;
    }
    graph.add(Op::GlobalMaxPool, &[&value]);
    graph.finish()
}

/// Layers in groups, of whole slices and of others, and a stride along one axis.
fn groups() -> Network {
    let mut graph = Graph::new([8, 6, 5]);
    let wide = graph.add(Op::Conv2d(Conv2d { groups: 2, ..square(8, 16) }), &["input"]);
    let wide = graph.add(norm(16), &[&wide]);
    let wide = graph.add(Op::Activation(Activation::Relu), &[&wide]);
    let narrow = graph.add(Op::Conv2d(Conv2d { groups: 8, stride: [1, 2], ..square(16, 8) }), &[&wide]);
    let narrow = graph.add(norm(8), &[&narrow]);
    let short = graph.add(Op::Conv2d(Conv2d { stride: [1, 2], ..Conv2d::new(8, 8, [1, 1]) }), &["input"]);
    let short = graph.add(norm(8), &[&short]);
    let sum = graph.add(Op::Add, &[&narrow, &short]);
    let sum = graph.add(Op::Activation(Activation::Relu), &[&sum]);
    let mean = graph.add(Op::GlobalAvgPool, &[&sum]);
    graph.add(Op::Linear(Linear { in_features: 8, out_features: 3, bias: false }), &[&mean]);
    graph.finish()
}

/// Squeeze-and-excitation, a gate per pixel, and sums with what is repeated.
fn gates() -> Network {
    let mut graph = Graph::new([3, 7, 6]);
    let wide = graph.add(Op::Conv2d(square(3, 10)), &["input"]);
    let wide = graph.add(norm(10), &[&wide]);
    let mean = graph.add(Op::GlobalAvgPool, &[&wide]);
    let gate = graph.add(Op::Conv2d(Conv2d { bias: true, ..Conv2d::new(10, 3, [1, 1]) }), &[&mean]);
    let gate = graph.add(Op::Activation(Activation::Relu), &[&gate]);
    let gate = graph.add(Op::Conv2d(Conv2d { bias: true, ..Conv2d::new(3, 10, [1, 1]) }), &[&gate]);
    let gate = graph.add(Op::Activation(Activation::HardSigmoid), &[&gate]);
    let gated = graph.add(Op::Mul, &[&wide, &gate]);
    let place = graph.add(Op::Conv2d(Conv2d { bias: true, ..square(10, 1) }), &[&gated]);
    let place = graph.add(Op::Activation(Activation::Sigmoid), &[&place]);
    let gated = graph.add(Op::Mul, &[&place, &gated]);
    let sum = graph.add(Op::Add, &[&gated, &place]);
    let sum = graph.add(Op::Add, &[&mean, &sum]);
    let square_of = graph.add(Op::Mul, &[&sum, &sum]);
    let flat = graph.add(Op::Flatten, &[&square_of]);
    graph.add(Op::Linear(Linear { in_features: 10 * 7 * 6, out_features: 4, bias: true }), &[&flat]);
    graph.finish()
}

/// So many pixels that sums over them are cut into parts.
fn pixels() -> Network {
    let mut graph = Graph::new([2, 37, 38]);
    let wide = graph.add(Op::Conv2d(square(2, 4)), &["input"]);
    let wide = graph.add(norm(4), &[&wide]);
    let wide = graph.add(Op::Activation(Activation::Silu), &[&wide]);
    let wide = graph.add(Op::Conv2d(square(4, 4)), &[&wide]);
    let wide = graph.add(norm(4), &[&wide]);
    // Not their means, of which the norms leave next to nothing: gradients would be what rounding leaves.
    let flat = graph.add(Op::Flatten, &[&wide]);
    graph.add(Op::Linear(Linear { in_features: 4 * 37 * 38, out_features: 3, bias: true }), &[&flat]);
    graph.finish()
}

/// So many channels that tiles in workgroup memory are full.
fn channels() -> Network {
    let mut graph = Graph::new([16, 6, 6]);
    let wide = graph.add(Op::Conv2d(square(16, 40)), &["input"]);
    let wide = graph.add(norm(40), &[&wide]);
    let wide = graph.add(Op::Activation(Activation::Relu), &[&wide]);
    let wide = graph.add(Op::Conv2d(Conv2d { groups: 2, ..square(40, 48) }), &[&wide]);
    let wide = graph.add(norm(48), &[&wide]);
    let mean = graph.add(Op::GlobalAvgPool, &[&wide]);
    graph.add(Op::Linear(Linear { in_features: 48, out_features: 5, bias: true }), &[&mean]);
    graph.finish()
}
