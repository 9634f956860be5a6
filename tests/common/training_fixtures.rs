//! Small networks to train, and batches for them.

use doconv::network::{Activation, AvgPool, BatchNorm, Conv2d, DoConv, Linear, Lrn, MaxPool, Op, Pairing};
use doconv::training::targets;
use doconv::{Model, Network};
use oorandom::Rand64;

use super::graph::Graph;

/// A 3×3 DO-Conv layer that keeps the size.
pub fn square(inputs: usize, outputs: usize) -> Conv2d {
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    Conv2d { padding: [1; 4], doconv, ..Conv2d::new(inputs, outputs, [3, 3]) }
}

/// A batch norm.
pub fn norm(channels: usize) -> Op {
    Op::BatchNorm(BatchNorm { channels, eps: 1e-5 })
}

/// Small networks that together have everything that can be trained.
pub fn networks() -> Vec<(&'static str, Network)> {
    let mut networks = vec![];

    let mut graph = Graph::new([3, 9, 7]);
    let stem = graph.add(Op::Conv2d(Conv2d { stride: [2, 2], bias: true, ..square(3, 6) }), &["input"]);
    let stem = graph.add(Op::Activation(Activation::Relu6), &[&stem]);
    let deep = graph.add(Op::Conv2d(Conv2d { groups: 6, ..square(6, 6) }), &[&stem]);
    let deep = graph.add(norm(6), &[&deep]);
    let deep = graph.add(Op::Add, &[&deep, &stem]);
    let deep = graph.add(Op::Activation(Activation::Relu), &[&deep]);
    let flat = graph.add(Op::Flatten, &[&deep]);
    let logits = graph.add(Op::Linear(Linear { in_features: 6 * 5 * 4, out_features: 5, bias: true }), &[&flat]);
    networks.push(("residual", graph.finish(&[&logits])));

    let mut graph = Graph::new([2, 8, 8]);
    let wide = graph.add(Op::Conv2d(Conv2d { dilation: [2, 1], groups: 2, ..square(2, 10) }), &["input"]);
    let wide = graph.add(norm(10), &[&wide]);
    let max = MaxPool { kernel: [3, 3], stride: [2, 2], padding: [1; 4], dilation: [1, 1], ceil_mode: false };
    let max = graph.add(Op::MaxPool(max), &[&wide]);
    let mean = AvgPool {
        kernel: [3, 2],
        stride: [2, 2],
        padding: [1, 0, 1, 1],
        dilation: [1, 1],
        ceil_mode: false,
        count_include_pad: true,
    };
    let mean = graph.add(Op::AvgPool(mean), &[&wide]);
    let both = graph.add(Op::Concat, &[&max, &mean]);
    let joined = graph.add(Op::Conv2d(Conv2d { bias: true, ..Conv2d::new(20, 4, [1, 1]) }), &[&both]);
    let joined = graph.add(Op::GlobalAvgPool, &[&joined]);
    networks.push(("pools", graph.finish(&[&joined])));

    let mut graph = Graph::new([3, 6, 6]);
    let mut value = "input".to_owned();
    let mut channels = 3;
    for activation in Activation::ALL {
        value = graph.add(Op::Conv2d(Conv2d::new(channels, 5, [1, 1])), &[&value]);
        value = graph.add(norm(5), &[&value]);
        value = graph.add(Op::Activation(activation), &[&value]);
        channels = 5;
    }
    let value = graph.add(Op::GlobalMaxPool, &[&value]);
    networks.push(("activations", graph.finish(&[&value])));

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
    let logits = graph.add(Op::Linear(Linear { in_features: 8, out_features: 3, bias: false }), &[&mean]);
    networks.push(("groups", graph.finish(&[&logits])));

    // So many pixels that sums over them are cut into parts, everywhere.
    let mut graph = Graph::new([2, 37, 38]);
    let wide = graph.add(Op::Conv2d(square(2, 4)), &["input"]);
    let wide = graph.add(norm(4), &[&wide]);
    let wide = graph.add(Op::Activation(Activation::Silu), &[&wide]);
    let wide = graph.add(Op::Conv2d(square(4, 4)), &[&wide]);
    let wide = graph.add(norm(4), &[&wide]);
    // Not their means, of which the norms leave next to nothing: gradients would be what rounding leaves.
    let flat = graph.add(Op::Flatten, &[&wide]);
    let logits = graph.add(Op::Linear(Linear { in_features: 4 * 37 * 38, out_features: 3, bias: true }), &[&flat]);
    networks.push(("pixels", graph.finish(&[&logits])));

    // Squeeze-and-excitation, a gate per pixel, and sums with what is repeated.
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
    let logits = graph.add(Op::Linear(Linear { in_features: 10 * 7 * 6, out_features: 4, bias: true }), &[&flat]);
    networks.push(("gates", graph.finish(&[&logits])));

    // Before anything that is trained nothing needs a gradient: images are normalised, and by their neighbours.
    let mut graph = Graph::new([3, 8, 7]);
    let [mean, deviation] = [(); 2].map(|()| graph.add(Op::Constant([1, 3, 1, 1]), &[]));
    let own = graph.add(Op::Sub, &["input", &mean]);
    let own = graph.add(Op::Div, &[&own, &deviation]);
    let around = graph.add(Op::Lrn(Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0 }), &[&own]);
    let both = graph.add(Op::Concat, &[&around, &own]);
    let wide = graph.add(Op::Conv2d(square(6, 5)), &[&both]);
    let wide = graph.add(norm(5), &[&wide]);
    let wide = graph.add(Op::Activation(Activation::Relu), &[&wide]);
    let mean = graph.add(Op::GlobalAvgPool, &[&wide]);
    let logits = graph.add(Op::Linear(Linear { in_features: 5, out_features: 3, bias: true }), &[&mean]);
    networks.push(("normalised", graph.finish(&[&logits])));
    networks
}

/// A model with W and D away from where they begin, norms too, and a batch.
pub fn problem(network: Network, batch: usize, seed: u64) -> (Model, Vec<f32>, Vec<f32>) {
    let plain = Model::initialised(network, seed).unwrap();
    let composed = plain.expand(None, 0.5, seed).unwrap();
    let mut random = Rand64::new(u128::from(seed) + 1);
    let mut draw = move || random.rand_float() as f32;
    let mut weights = composed.weights().clone();
    for (name, tensor) in &mut weights {
        if tensor.shape().len() == 1 && !name.contains("running") {
            tensor.data_mut().iter_mut().for_each(|value| *value += 0.5 * draw() - 0.2);
        } else if name.ends_with(".value") {
            tensor.data_mut().iter_mut().for_each(|value| *value = 0.5 + draw());
        }
    }
    let model = Model::new(composed.network().clone(), weights).unwrap();
    let inferred = model.network().infer(batch).unwrap();
    let classes = inferred.shape(inferred.outputs[0])[1];
    let images = (0..inferred.inputs[0].iter().product()).map(|_| 4.0 * draw() - 2.0).collect();
    let labels: Vec<usize> = (0..batch).map(|index| (3 * index + 1) % classes).collect();
    (model, images, targets(&labels, classes, 0.1).unwrap())
}

/// The largest difference as a fraction of the largest value.
pub fn distance(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    let range = want.iter().fold(1e-6f64, |range, &value| range.max(value.abs()));
    let off = |(&got, &want): (&f32, &f64)| (f64::from(got) - want).abs();
    got.iter().zip(want).map(off).fold(0.0, |worst, off| if off.is_nan() { f64::INFINITY } else { worst.max(off) })
        / range
}
