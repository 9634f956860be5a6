//! Small networks to train, and batches for them.

use doconv::network::{Activation, BatchNorm, Conv2d, DoConv, Linear, Lrn, Op, Pairing};
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
    let mut networks = doconv::verification::training_networks().to_vec();

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
