//! Training on every adapter against what PyTorch recorded.

mod common;

use std::collections::BTreeMap;

use common::adapters::adapters;
use common::training_fixtures::{distance, norm};
use doconv::formats::read_tensors;
use doconv::network::{Activation, Conv2d, FORMAT_VERSION, Input, Linear, Node, Op, zoo};
use doconv::training::{Optimiser, Options, Trainer, targets};
use doconv::{Model, Network, Weights};
use pollster::block_on;
use serde::Deserialize;

/// Those of ResNet-20 with one block per stage.
fn one_block_per_stage() -> Network {
    let mut network = zoo::build("resnet20").unwrap();
    let is_dropped = |name: &str| name.starts_with("layer") && name.split('.').nth(1).is_some_and(|block| block != "0");
    // The last value of every first block stands for that of the last one.
    let mut last = BTreeMap::new();
    for node in &network.nodes {
        if node.name.starts_with("layer") && !is_dropped(&node.name) {
            last.insert(node.name.split('.').next().unwrap().to_owned(), node.name.clone());
        }
    }
    network.nodes.retain(|node| !is_dropped(&node.name));
    for node in &mut network.nodes {
        for input in &mut node.inputs {
            if is_dropped(input) {
                *input = last[input.split('.').next().unwrap()].clone();
            }
        }
    }
    network.inputs[0].shape = [3, 16, 16];
    network.preprocess = None;
    network
}

/// The authors' layer in PyTorch, with its SGD.
#[test]
fn three_steps_are_those_of_pytorch() {
    let bytes = include_bytes!("data/training-three-steps.safetensors");
    let (tensors, metadata) = read_tensors("training-three-steps.safetensors", bytes).unwrap();
    let losses: Vec<f64> =
        metadata["losses"].trim_matches(['[', ']']).split(',').map(|loss| loss.trim().parse().unwrap()).collect();
    let part = |prefix: &str| -> Weights {
        let named = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        named.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
    };
    let (before, after) = (part("before."), part("after."));
    let model = Model::new(one_block_per_stage(), before).unwrap();
    let optimiser = Optimiser::Sgd { momentum: 0.9, nesterov: false, weight_decay: 5e-4 };
    let options = Options { batch: 8, optimiser, ..Options::default() };
    for (adapter_name, adapter) in adapters() {
        let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
        for (step, &loss) in losses.iter().enumerate() {
            let labels = tensors[&format!("labels{step}")].data().iter().map(|&label| label as usize);
            let aims = targets(&labels.collect::<Vec<_>>(), 10, 0.0).unwrap();
            block_on(trainer.step(tensors[&format!("input{step}")].data(), &aims, 0.05)).unwrap();
            let got = block_on(trainer.totals()).unwrap().mean_loss();
            assert!((got - loss).abs() < 2e-4 * loss, "{adapter_name}, step {step}: {got}, PyTorch has {loss}");
        }
        let trained = block_on(trainer.model()).unwrap();
        assert_eq!(trained.weights().len(), after.len());
        for (name, wanted) in &after {
            let wanted: Vec<f64> = wanted.data().iter().map(|&value| f64::from(value)).collect();
            let off = distance(trained.weights()[name].data(), &wanted);
            assert!(off < 1e-3, "{adapter_name}: {name} is off by {off:.1e}");
        }
    }
}

/// Five steps with every optimiser: their moments, clipping, label smoothing, and running statistics (`data/optimisers/make.py`).
#[test]
fn every_optimiser_is_that_of_pytorch() {
    #[derive(Deserialize)]
    struct Case {
        lr: f32,
        weight_decay: f32,
        momentum: Option<f32>,
        betas: Option<[f32; 2]>,
        #[serde(default)]
        eps: f32,
        clip: Option<f32>,
        #[serde(default)]
        smoothing: f32,
        losses: Vec<f64>,
    }
    let bytes = include_bytes!("data/optimisers/optimisers.safetensors");
    let (tensors, metadata) = read_tensors("optimisers.safetensors", bytes).unwrap();
    let part = |prefix: &str| -> Weights {
        let named = tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(prefix)?, tensor)));
        named.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect()
    };
    let node = |name: &str, input: &str, op: Op| Node { name: name.into(), inputs: vec![input.into()], op };
    let conv = Conv2d { stride: [2, 2], padding: [1; 4], ..Conv2d::new(3, 8, [3, 3]) };
    let network = Network {
        version: FORMAT_VERSION,
        name: "optimisers".into(),
        inputs: vec![Input::new("images", [3, 7, 6])],
        nodes: vec![
            node("conv", "images", Op::Conv2d(conv)),
            node("norm", "conv", norm(8)),
            node("relu", "norm", Op::Activation(Activation::Relu)),
            node("pool", "relu", Op::GlobalAvgPool),
            node("linear", "pool", Op::Linear(Linear { in_features: 8, out_features: 4, bias: true })),
        ],
        outputs: vec!["linear".into()],
        preprocess: None,
        labels: vec![],
    };
    let model = Model::new(network, part("before.")).unwrap();
    assert_eq!(metadata.len(), 4);
    for (name, case) in &metadata {
        let case: Case = serde_json::from_str(case).unwrap();
        let weight_decay = case.weight_decay;
        let optimiser = match (case.momentum, case.betas) {
            (Some(momentum), None) => Optimiser::Sgd { momentum, nesterov: true, weight_decay },
            (None, Some(betas)) => Optimiser::AdamW { betas, eps: case.eps, weight_decay },
            other => panic!("{name} is of no optimiser, or of two: {other:?}"),
        };
        let options = Options { batch: 6, optimiser, clip_norm: case.clip, ..Options::default() };
        let after = part(&format!("{name}."));
        for (adapter_name, adapter) in adapters() {
            let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
            for (step, &loss) in case.losses.iter().enumerate() {
                let labels = tensors[&format!("labels{step}")].data().iter().map(|&label| label as usize);
                let aims = targets(&labels.collect::<Vec<_>>(), 4, case.smoothing).unwrap();
                block_on(trainer.step(tensors[&format!("images{step}")].data(), &aims, case.lr)).unwrap();
                let got = block_on(trainer.totals()).unwrap().mean_loss();
                assert!(
                    (got - loss).abs() < 2e-5 * loss,
                    "{name}, {adapter_name}, step {step}: {got}, PyTorch has {loss}"
                );
            }
            let trained = block_on(trainer.model()).unwrap();
            assert_eq!(trained.weights().len(), after.len());
            for (tensor, wanted) in &after {
                let wanted: Vec<f64> = wanted.data().iter().map(|&value| f64::from(value)).collect();
                let off = distance(trained.weights()[tensor].data(), &wanted);
                assert!(off < 2e-5, "{name}, {adapter_name}: {tensor} is off by {off:.1e}");
            }
        }
    }
}
