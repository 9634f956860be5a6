//! Training: gradients against finite differences, steps on every adapter against the plan interpreter, and what a trainer
//! promises.

mod common;

use std::collections::BTreeMap;

use common::adapters::adapters;
use common::graph::Graph;
use common::training_fixtures::{distance, networks, norm, problem, square};
use doconv::network::{
    Activation, AvgPool, Conv2d, Coordinates, Interpolation, Linear, Lrn, MaxPool, Op, Pad, PaddingMode, Resize, Slice,
    zoo,
};
use doconv::plan::{Decay, Recipe, Rule, TrainingPlan};
use doconv::reference::{self, Map};
use doconv::training::{Optimiser, Options, Schedule, Trainer, targets};
use doconv::{Adapter, Mode, Model, Tensor, Weights, blocking};
use oorandom::Rand64;
use pollster::block_on;

fn map(shape: [usize; 4], seed: u64) -> Map {
    let mut random = Rand64::new(seed.into());
    Map::from_fn(shape, |_, _, _, _| 8.0 * random.rand_float() - 4.0)
}

/// The derivative of `Σ weights · function(argument)` along every single number, by differences, against a gradient.
fn assert_is_gradient(what: &str, argument: &Map, gradient: &Map, loss: impl Fn(&Map) -> f64) {
    const STEP: f64 = 1e-5;
    for at in 0..argument.data.len() {
        let moved = |by: f64| {
            let mut moved = argument.clone();
            moved.data[at] += by;
            loss(&moved)
        };
        let difference = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
        let off = (difference - gradient.data[at]).abs();
        assert!(
            off < 1e-7 * (1.0 + difference.abs()),
            "{what} {at}: {}, by differences {difference}",
            gradient.data[at]
        );
    }
}

fn weighted(map: &Map, weights: &Map) -> f64 {
    map.zip(weights, |a, b| a * b).data.iter().sum()
}

#[test]
fn the_reference_goes_back_as_differences_say() {
    let input = map([3, 4, 2, 3], 1);
    let grad_output = map(input.shape, 2);
    for activation in Activation::ALL {
        let gradient = reference::activation_gradient(activation, &input, &grad_output);
        let loss = |input: &Map| weighted(&reference::activation(activation, input), &grad_output);
        assert_is_gradient(&format!("{activation:?}"), &input, &gradient, loss);
    }

    let (weight, bias, eps) = (vec![1.5, -0.5, 2.0, 0.1], vec![0.0, 1.0, -1.0, 0.5], 1e-3);
    let norm = |input: &Map, weight: &[f64], bias: &[f64]| {
        let [mean, variance] = reference::batch_statistics(input);
        weighted(&reference::batch_norm(input, weight, bias, &mean, &variance, eps), &grad_output)
    };
    let gradients = reference::batch_norm_gradient(&input, &weight, eps, &grad_output);
    assert_is_gradient("norm", &input, &gradients.input, |input| norm(input, &weight, &bias));
    let row = |data: &[f64]| Map { shape: [1, 4, 1, 1], data: data.to_vec() };
    assert_is_gradient("weight", &row(&weight), &row(&gradients.weight), |weight| norm(&input, &weight.data, &bias));
    assert_is_gradient("bias", &row(&bias), &row(&gradients.bias), |bias| norm(&input, &weight, &bias.data));

    for shape in [[2, 5, 1, 1], [2, 1, 4, 3], [1, 5, 4, 3], [2, 5, 1, 3], [1, 1, 1, 1]] {
        let (gate, input) = (map(shape, 8), map([2, 5, 4, 3], 9));
        let at = |map: &Map, n: usize, c: usize, y: usize, x: usize| {
            let [items, channels, height, width] = map.shape;
            map.at(n.min(items - 1), c.min(channels - 1), y.min(height - 1), x.min(width - 1))
        };
        let grad_output = map(input.shape, 10);
        let product = |gate: &Map| Map::from_fn(input.shape, |n, c, y, x| input.at(n, c, y, x) * at(gate, n, c, y, x));
        let gradient = reference::reduce(&input.zip(&grad_output, |a, b| a * b), shape);
        assert_is_gradient("gate", &gate, &gradient, |gate| weighted(&product(gate), &grad_output));
    }

    let (logits, aims) = (map([3, 5, 1, 1], 3), map([3, 5, 1, 1], 4).map(f64::abs));
    let mean = |logits: &Map| reference::cross_entropy(logits, &aims).iter().sum::<f64>() / 3.0;
    assert_is_gradient("loss", &logits, &reference::cross_entropy_gradient(&logits, &aims), mean);

    let input = map([2, 2, 7, 6], 5);
    for (stride, padding, dilation) in [([2, 2], [1, 1, 1, 1], [1, 1]), ([1, 2], [0, 1, 1, 0], [2, 1])] {
        let kernel = [3, 2];
        let pool = MaxPool { kernel, stride, padding, dilation, ceil_mode: false };
        let grad_output = map(reference::max_pool(&pool, &input).shape, 6);
        let gradient = reference::max_pool_gradient(&pool, &input, &grad_output);
        let loss = |input: &Map| weighted(&reference::max_pool(&pool, input), &grad_output);
        assert_is_gradient("maximum", &input, &gradient, loss);
        for (ceil_mode, count_include_pad) in [(false, false), (false, true), (true, true)] {
            let pool = AvgPool { kernel, stride, padding, dilation, ceil_mode, count_include_pad };
            let grad_output = map(reference::avg_pool(&pool, &input).shape, 7);
            let gradient = reference::avg_pool_gradient(&pool, input.shape, &grad_output);
            let loss = |input: &Map| weighted(&reference::avg_pool(&pool, input), &grad_output);
            assert_is_gradient("mean", &input, &gradient, loss);
        }
    }
}

const OPTIMISERS: [(Optimiser, Rule); 3] = [
    (Optimiser::Sgd { momentum: 0.9, nesterov: false, weight_decay: 0.01 }, Rule::Sgd { nesterov: false }),
    (Optimiser::Sgd { momentum: 0.8, nesterov: true, weight_decay: 0.0 }, Rule::Sgd { nesterov: true }),
    (Optimiser::AdamW { betas: [0.9, 0.99], eps: 1e-4, weight_decay: 0.1 }, Rule::AdamW),
];

/// What the hyperparameters are for one of the runs of the first step, written down once more.
fn hyperparameters(options: &Options, rate: f32, part: usize) -> Vec<f32> {
    let mut values = match options.optimiser {
        Optimiser::Sgd { momentum, weight_decay, .. } => vec![rate, momentum, weight_decay, 0.0, 0.0, 0.0, 0.0],
        Optimiser::AdamW { betas, eps, weight_decay } => {
            let [step, unbias] = [rate / (1.0 - betas[0]), 1.0 / (1.0 - betas[1]).sqrt()];
            vec![rate, betas[0], weight_decay, betas[1], eps, step, unbias]
        }
    };
    let flag = |whether: bool| if whether { 1.0 } else { 0.0 };
    let clip_norm = options.clip_norm.unwrap_or(f32::MAX);
    values.extend([clip_norm, flag(part > 0), 1.0 / options.parts as f32, flag(part + 1 == options.parts), 0.0]);
    values
}

#[test]
fn every_adapter_takes_the_step_that_the_plan_says() {
    let batch = 6;
    let mut worst = BTreeMap::<String, f64>::new();
    for (index, (name, network)) in networks().into_iter().enumerate() {
        let (model, images, aims) = problem(network, batch, index as u64);
        let (optimiser, rule) = OPTIMISERS[index % 3];
        let options = Options {
            batch,
            parts: [1, 1, 2, 3, 1, 2, 1][index % 7],
            optimiser,
            decay: [Decay::All, Decay::Kernels][index % 2],
            clip_norm: [None, Some(0.5), Some(1e6), Some(0.1), Some(0.2), Some(0.3), None][index % 7],
            frozen: vec![],
        };
        let recipe = Recipe {
            batch: batch / options.parts,
            rule,
            decay: options.decay,
            clips: options.clip_norm.is_some(),
            accumulates: options.parts > 1,
        };
        let planned = TrainingPlan::new(&model, recipe, &|_| true).unwrap();
        let inputs = |part: usize| -> Vec<Tensor> {
            let own = |all: &[f32]| all[part * all.len() / options.parts..][..all.len() / options.parts].to_vec();
            let ids = planned.plan.inputs().iter();
            let data = [own(&images), own(&aims), hyperparameters(&options, 0.05, part)];
            ids.zip(data).map(|(&id, data)| Tensor::new(planned.plan.value(id).shape, data).unwrap()).collect()
        };
        let runs: Vec<Vec<Tensor>> = (0..options.parts).map(inputs).collect();
        let values: Vec<_> = planned.parameters.iter().flat_map(|it| [it.gradient, it.value]).collect();
        let values: Vec<_> = values.into_iter().chain(planned.running.iter().map(|it| it.value)).collect();
        let wanted =
            reference::interpret_training_step(&planned.plan, &runs, &[&values[..], &[planned.totals]].concat())
                .unwrap();

        for (adapter_name, adapter) in adapters() {
            let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
            assert!(trainer.faults().is_empty(), "{adapter_name}: {:?}", trainer.faults());
            block_on(trainer.step(&images, &aims, 0.05)).unwrap();
            let gradients = block_on(trainer.gradients()).unwrap();
            let after = block_on(trainer.model()).unwrap();
            let mut check = |what: &str, got: &[f32], want: &[f64]| {
                let off = distance(got, want);
                assert!(off < 2e-4, "{name} on {adapter_name}: {what} is off by {off:.1e}");
                let worst = worst.entry(adapter_name.clone()).or_default();
                *worst = worst.max(off);
            };
            let together = |weights: &Weights, tensors: &[(String, Vec<usize>)]| -> Vec<f32> {
                tensors.iter().flat_map(|(name, _)| weights[name].data().to_vec()).collect()
            };
            for (parameter, wanted) in planned.parameters.iter().zip(wanted.chunks(2)) {
                let what = &parameter.tensors[0].0;
                check(&format!("gradient of {what}"), &together(&gradients, &parameter.tensors), &wanted[0]);
                check(what, &together(after.weights(), &parameter.tensors), &wanted[1]);
            }
            for (running, wanted) in planned.running.iter().zip(&wanted[2 * planned.parameters.len()..]) {
                let parts = ["running_mean", "running_var"].map(|part| format!("{}.{part}", running.name));
                let got: Vec<f32> = parts.iter().flat_map(|part| after.weights()[part].data().to_vec()).collect();
                check(&parts[0], &got, wanted);
            }
            let totals = block_on(trainer.totals()).unwrap();
            let wanted = wanted.last().unwrap();
            assert_eq!((totals.images, totals.correct), (batch as u64, wanted[1]), "{name} on {adapter_name}");
            check("the loss", &[totals.loss as f32], &wanted[..1]);
            assert_eq!(block_on(trainer.totals()).unwrap(), Default::default());
        }
    }
    println!("off by at most {worst:?}");
}

/// Without batch norms a batch in parts is the same batch.
#[test]
fn a_batch_in_parts_is_the_same_step() {
    let mut graph = Graph::new([3, 6, 5]);
    let value = graph.add(Op::Conv2d(Conv2d { bias: true, ..square(3, 7) }), &["input"]);
    let value = graph.add(Op::Activation(Activation::Relu), &[&value]);
    let value = graph.add(Op::Flatten, &[&value]);
    let value = graph.add(Op::Linear(Linear { in_features: 7 * 30, out_features: 5, bias: true }), &[&value]);
    let (model, images, aims) = problem(graph.finish(&[&value]), 12, 4);
    for (adapter_name, adapter) in adapters() {
        for (optimiser, _) in OPTIMISERS {
            let after_steps = |parts: usize, clip_norm: Option<f32>| {
                let options = Options { batch: 12, parts, optimiser, clip_norm, ..Options::default() };
                let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
                for _ in 0..3 {
                    block_on(trainer.step(&images, &aims, 0.05)).unwrap();
                }
                assert_eq!((trainer.batch(), trainer.steps()), (12, 3));
                block_on(trainer.state()).unwrap()
            };
            let whole = after_steps(1, Some(0.02));
            assert_ne!(bits(&whole), bits(&after_steps(1, None)), "gradients are larger than that");
            for parts in [2, 12] {
                for (name, tensor) in after_steps(parts, Some(0.02)) {
                    let wanted: Vec<f64> = whole[&name].data().iter().map(|&value| f64::from(value)).collect();
                    let off = distance(tensor.data(), &wanted);
                    assert!(off < 2e-4, "{adapter_name}, {optimiser:?}, {parts} parts: {name} is off by {off:.1e}");
                }
            }
        }
    }
}

fn bits(weights: &Weights) -> Vec<(&String, Vec<u32>)> {
    let of = |tensor: &Tensor| tensor.data().iter().map(|value| value.to_bits()).collect();
    weights.iter().map(|(name, tensor)| (name, of(tensor))).collect()
}

#[test]
fn going_on_from_a_state_gives_the_same_bits() {
    let (model, images, aims) = problem(networks().swap_remove(0).1, 5, 3);
    for (adapter_name, adapter) in adapters() {
        for (optimiser, _) in OPTIMISERS {
            let options = Options { batch: 5, optimiser, ..Options::default() };
            let start = || block_on(Trainer::new(&adapter, &model, &options)).unwrap();
            let go_on = |trainer: &mut Trainer, steps: usize| {
                for _ in 0..steps {
                    block_on(trainer.step(&images, &aims, 0.02)).unwrap();
                }
            };
            let mut whole = start();
            go_on(&mut whole, 4);
            let mut first = start();
            go_on(&mut first, 2);
            let (state, steps) = (block_on(first.state()).unwrap(), first.steps());
            let mut second = start();
            go_on(&mut second, 1);
            block_on(second.restore(&state, steps)).unwrap();
            go_on(&mut second, 2);
            let [whole, second] = [whole, second].map(|mut trainer| block_on(trainer.state()).unwrap());
            assert_eq!(bits(&whole), bits(&second), "{adapter_name}, {optimiser:?}");
        }
    }
}

#[test]
fn a_network_learns_and_folds() {
    // Which third of the picture is bright.
    let mut graph = Graph::new([1, 9, 9]);
    let value = graph.add(Op::Conv2d(Conv2d { stride: [2, 2], ..square(1, 8) }), &["input"]);
    let value = graph.add(norm(8), &[&value]);
    let value = graph.add(Op::Activation(Activation::Relu), &[&value]);
    let value = graph.add(Op::Flatten, &[&value]);
    let value = graph.add(Op::Linear(Linear { in_features: 8 * 25, out_features: 3, bias: true }), &[&value]);
    let network = graph.finish(&[&value]);
    let model = Model::initialised(network, 5).unwrap().expand(None, 0.0, 0).unwrap();
    let mut random = Rand64::new(9);
    let mut batch = |labels: &[usize]| -> Vec<f32> {
        let pixel = |label: usize, at: usize, noise: f64| (noise + if at / 27 == label { 0.7 } else { 0.0 }) as f32;
        let places = labels.iter().flat_map(|&label| (0..81).map(move |at| (label, at)));
        places.map(|(label, at)| pixel(label, at, random.rand_float())).collect()
    };
    let labels: Vec<usize> = (0..12).map(|index| index % 3).collect();
    let held_back = batch(&labels);
    for (adapter_name, adapter) in adapters() {
        let options = Options { batch: 12, ..Options::default() };
        let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
        let mut losses = vec![];
        for step in 0..30 {
            let rate = 0.05 * Schedule::Cosine.factor(f64::from(step) / 30.0) as f32;
            block_on(trainer.step(&batch(&labels), &targets(&labels, 3, 0.0).unwrap(), rate)).unwrap();
            losses.push(block_on(trainer.totals()).unwrap().mean_loss());
        }
        assert!(losses[29] < 0.2 * losses[0], "{adapter_name}: {losses:?}");
        let folded = block_on(trainer.model()).unwrap().fold().unwrap();
        assert!(!folded.is_composed());
        let mut session = blocking::Session::load(&adapter, &folded, Mode::Folded).unwrap();
        let logits = session.run(&[Tensor::new([12, 1, 9, 9], held_back.clone()).unwrap()]).unwrap().swap_remove(0);
        let right = logits
            .data()
            .chunks_exact(3)
            .zip(&labels)
            .filter(|(logits, label)| logits.iter().all(|logit| *logit <= logits[**label]));
        assert!(right.count() >= 11, "{adapter_name}: {logits:?}");
    }
}

/// Gates and all: what the architectures are made of has gradients; and one takes a step.
#[test]
fn architectures_can_be_trained() {
    for name in ["mobilenet_v3_small", "mobilenet_v2", "squeezenet1_1", "efficientnet_lite0", "resnet18_v2", "resnet20"]
    {
        let mut network = zoo::build(name).unwrap();
        network.inputs[0].shape = [3, 64, 64];
        let model = Model::initialised(network, 1).unwrap().expand(None, 0.0, 0).unwrap();
        let recipe = Recipe { batch: 2, rule: Rule::AdamW, decay: Decay::All, clips: true, accumulates: true };
        TrainingPlan::new(&model, recipe, &|_| true).unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "mobilenet_v3_small" {
            let options = Options { batch: 4, parts: 2, clip_norm: Some(1.0), ..Options::default() };
            let mut trainer = block_on(Trainer::new(&Adapter::cpu(), &model, &options)).unwrap();
            let images: Vec<f32> = (0..4 * 3 * 64 * 64).map(|at| (at as f32 * 0.37).sin()).collect();
            block_on(trainer.step(&images, &targets(&[1, 2, 3, 4], 1000, 0.0).unwrap(), 0.01)).unwrap();
            let loss = block_on(trainer.totals()).unwrap().mean_loss();
            assert!(loss > 1.0 && loss < 20.0, "{loss}");
            let after = block_on(trainer.model()).unwrap();
            let is_moved = |name: &&String| after.weights()[*name] != model.weights()[*name];
            let moved = model.weights().keys().filter(|name| !name.contains("d_diag")).filter(is_moved).count();
            assert!(moved * 10 > model.weights().len() * 9, "{moved} of {}", model.weights().len());
        }
    }
}

/// That the loss of the first step, which has no batch norms with statistics of their own, is that of inference.
fn assert_loss_is_of_inference(
    adapter: &Adapter,
    trainer: &mut Trainer,
    model: &Model,
    (images, aims): (&[f32], &[f32]),
) {
    let (batch, [channels, height, width]) = (trainer.batch(), model.network().inputs[0].shape);
    let loss = block_on(trainer.totals()).unwrap().mean_loss();
    let mut session = blocking::Session::load(adapter, model, Mode::Folded).unwrap();
    let images = Tensor::new([batch, channels, height, width], images.to_vec()).unwrap();
    let logits = session.run(&[images]).unwrap().swap_remove(0);
    let logits = Map::from_tensor(&logits.reshape([batch, aims.len() / batch, 1, 1]).unwrap()).unwrap();
    let aims = Map { shape: logits.shape, data: aims.iter().map(|&aim| f64::from(aim)).collect() };
    let wanted = reference::cross_entropy(&logits, &aims).iter().sum::<f64>() / batch as f64;
    let name = &adapter.info().name;
    assert!((loss - wanted).abs() < 1e-4 * wanted, "{name}: {loss}, inference has {wanted}");
}

/// Operators without a gradient do in training what they do in inference, for every image of a batch.
#[test]
fn what_comes_before_is_as_in_inference() {
    let mut graph = Graph::new([4, 6, 5]);
    let slope = graph.add(Op::Constant([1, 4, 1, 1]), &[]);
    let value = graph.add(Op::Prelu, &["input", &slope]);
    let value = graph.add(Op::Transpose([0, 2, 3, 1]), &[&value]);
    let backwards = Slice { start: [0, 5, 0, 1], step: [-1, -2, 1, 1], count: [1, 3, 5, 2] };
    let value = graph.add(Op::Slice(backwards), &[&value]);
    let value = graph.add(Op::Reshape([1, 2, 5, 3]), &[&value]);
    let pad = Pad { before: [0, 1, 1, 0], after: [0, 0, 2, 1], mode: PaddingMode::Reflect, value: 0.0 };
    let value = graph.add(Op::Pad(pad), &[&value]);
    let interpolation = Interpolation::Linear;
    let resize = Resize { size: [6, 7], scale: None, interpolation, coordinates: Coordinates::HalfPixel };
    let value = graph.add(Op::Resize(resize), &[&value]);
    let other = graph.add(Op::Constant([1, 1, 6, 7]), &[]);
    let value = graph.add(Op::Div, &[&value, &other]);
    let value = graph.add(Op::Sub, &[&other, &value]);
    let value = graph.add(Op::Softmax, &[&value]);
    let value = graph.add(Op::Conv2d(Conv2d { bias: true, ..square(3, 4) }), &[&value]);
    let flat = graph.add(Op::Flatten, &[&value]);
    let logits = graph.add(Op::Linear(Linear { in_features: 4 * 6 * 7, out_features: 3, bias: true }), &[&flat]);
    let (model, images, aims) = problem(graph.finish(&[&logits]), 5, 4);
    for (_, adapter) in adapters() {
        let options = Options { batch: 5, ..Options::default() };
        let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
        block_on(trainer.step(&images, &aims, 0.1)).unwrap();
        assert_loss_is_of_inference(&adapter, &mut trainer, &model, (&images, &aims));
        let after = block_on(trainer.model()).unwrap();
        for (name, tensor) in model.weights() {
            let stays = name.ends_with(".value") || name.ends_with("d_diag");
            assert_eq!(after.weights()[name] == *tensor, stays, "{}: {name}", adapter.info().name);
        }
    }
}

/// An axis of one element may change places with that of the items, of which there is one: images are still told apart.
#[test]
fn transposed_images_are_told_apart() {
    for axes in [[2, 1, 0, 3], [2, 0, 3, 1], [0, 3, 1, 2]] {
        let mut graph = Graph::new([3, 1, 4]);
        let value = graph.add(Op::Transpose(axes), &["input"]);
        let [_, channels, height, width] = graph.shape(&value);
        let value = graph.add(Op::Conv2d(Conv2d { bias: true, ..square(channels, 4) }), &[&value]);
        let flat = graph.add(Op::Flatten, &[&value]);
        let linear = Linear { in_features: 4 * height * width, out_features: 3, bias: true };
        let logits = graph.add(Op::Linear(linear), &[&flat]);
        let (model, images, aims) = problem(graph.finish(&[&logits]), 5, 4);
        for (_, adapter) in adapters() {
            let options = Options { batch: 5, ..Options::default() };
            let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
            block_on(trainer.step(&images, &aims, 0.1)).unwrap();
            assert_loss_is_of_inference(&adapter, &mut trainer, &model, (&images, &aims));
        }
    }
}

/// What is frozen stays as it is, to the bit, and its norms use what they have; the rest follows.
#[test]
fn frozen_parameters_stay() {
    let (model, images, aims) = problem(networks().remove(3).1, 4, 8);
    let network = model.network().clone();
    let head = network.nodes.last().unwrap().name.clone();
    let frozen: Vec<String> = model.weights().keys().filter(|name| !name.starts_with(&head)).cloned().collect();
    for (adapter_name, adapter) in adapters() {
        let options = Options { batch: 4, frozen: frozen.clone(), ..Options::default() };
        let mut trainer = block_on(Trainer::new(&adapter, &model, &options)).unwrap();
        block_on(trainer.step(&images, &aims, 0.1)).unwrap();
        let after = block_on(trainer.model()).unwrap();
        for (name, tensor) in model.weights() {
            let is_same = after.weights()[name] == *tensor;
            assert_eq!(is_same, !name.starts_with(&head), "{adapter_name}: {name}");
        }
        assert_loss_is_of_inference(&adapter, &mut trainer, &model, (&images, &aims));
    }
}

#[test]
fn what_cannot_be_trained_is_named() {
    let adapter = Adapter::cpu();
    let refusal = |model: &Model, options: Options| -> String {
        block_on(Trainer::new(&adapter, model, &options)).expect_err("it is refused").to_string()
    };
    let (model, ..) = problem(networks().swap_remove(0).1, 2, 1);
    let options = || Options { batch: 2, ..Options::default() };
    assert!(refusal(&model, Options { batch: 0, ..options() }).contains("at least one image"));
    assert!(refusal(&model, Options { frozen: vec!["*".into()], ..options() }).contains("everything is frozen"));
    let optimiser = Optimiser::Sgd { momentum: 1.5, nesterov: true, weight_decay: 0.0 };
    assert!(refusal(&model, Options { optimiser, ..options() }).contains("momentum 1.5"));
    assert!(refusal(&model, Options { parts: 3, ..options() }).contains("2 images has no 3 equal parts"));
    // With its bias a batch norm would take the mean of the batch, and without its weight not.
    for (pattern, named) in [("*.weight", "weight"), ("*.bias", "bias"), ("*.running_var", "running_var")] {
        let (model, ..) = problem(networks().swap_remove(3).1, 2, 1);
        let reason = refusal(&model, Options { frozen: vec![pattern.into()], ..options() });
        assert!(reason.contains(&format!(".{named}` is frozen")) && reason.contains("as a whole"), "{reason}");
    }
    for norm in [0.0, -1.0, f32::NAN] {
        let reason = refusal(&model, Options { clip_norm: Some(norm), ..options() });
        assert!(reason.contains("norm") && reason.contains(&norm.to_string()), "{reason}");
    }

    let mut graph = Graph::new([2, 4, 4]);
    let value = graph.add(Op::Conv2d(square(2, 4)), &["input"]);
    let map = Model::initialised(graph.finish(&[&value]), 1).unwrap();
    assert!(refusal(&map, options()).contains("[2, classes, 1, 1]"));

    // Behind something that is trained, and where that is frozen.
    let mut graph = Graph::new([2, 4, 4]);
    let value = graph.add(Op::Conv2d(square(2, 4)), &["input"]);
    let lrn = graph.add(Op::Lrn(Lrn { size: 3, alpha: 0.5, beta: 0.75, k: 1.0 }), &[&value]);
    let mean = graph.add(Op::GlobalAvgPool, &[&lrn]);
    let logits = graph.add(Op::Linear(Linear { in_features: 4, out_features: 3, bias: true }), &[&mean]);
    let behind = Model::initialised(graph.finish(&[&logits]), 1).unwrap();
    let reason = refusal(&behind, options());
    assert!(reason.contains(&format!("`{lrn}`")) && reason.contains("freeze"), "{reason}");
    block_on(Trainer::new(&adapter, &behind, &Options { frozen: vec![format!("{value}.*")], ..options() })).unwrap();

    let mut graph = Graph::new([2, 4, 4]);
    let items = graph.add(Op::Reshape([2, 1, 4, 4]), &["input"]);
    let value = graph.add(Op::Reshape([1, 2, 4, 4]), &[&items]);
    let value = graph.add(Op::Conv2d(Conv2d::new(2, 4, [4, 4])), &[&value]);
    let model_of_items = Model::initialised(graph.finish(&[&value]), 1).unwrap();
    let reason = refusal(&model_of_items, options());
    assert!(reason.contains(&format!("`{items}`: 2 maps per image")), "{reason}");

    let mut graph = Graph::new([2, 4, 4]);
    let value = graph.add(Op::Conv2d(Conv2d::new(2, 4, [4, 4])), &["input"]);
    let value = graph.add(norm(4), &[&value]);
    let single = Model::initialised(graph.finish(&[&value]), 1).unwrap();
    let reason = refusal(&single, Options { batch: 1, ..options() });
    assert!(reason.contains("one value per channel") && reason.contains("larger batch"), "{reason}");

    let mut graph = Graph::new([2, 4, 4]);
    let value = graph.add(Op::GlobalAvgPool, &["input"]);
    let value = graph.add(Op::Linear(Linear { in_features: 2, out_features: 4, bias: true }), &[&value]);
    let value = graph.add(Op::Softmax, &[&value]);
    let ends = Model::initialised(graph.finish(&[&value]), 1).unwrap();
    assert!(refusal(&ends, options()).contains("softmax"), "{}", refusal(&ends, options()));

    let mut trainer = block_on(Trainer::new(&adapter, &model, &options())).unwrap();
    let short = block_on(trainer.step(&[0.0; 5], &[0.0; 10], 0.1)).unwrap_err().to_string();
    assert!(short.contains("expected [2, 3, 9, 7]") && short.contains('5'), "{short}");
    let mut state = block_on(trainer.state()).unwrap();
    state.pop_first();
    assert!(block_on(trainer.restore(&state, 0)).unwrap_err().to_string().contains("missing"));
}
