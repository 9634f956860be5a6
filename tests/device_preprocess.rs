//! Preprocessing and top-k on every adapter: inputs are those of the CPU to the bit, and the ranking
//! is that of the probabilities.

use doconv::network::{FORMAT_VERSION, Filter, Input, Network, Node, Op, Preprocess};
use doconv::{Adapter, Image, Mode, Model, Prediction, Selector, Tensor, blocking};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};

/// A network whose classes are the values of its input.
fn identity(height: usize, width: usize, preprocess: Preprocess, softmax: bool) -> Model {
    let node = |name: &str, input: &str, op| Node { name: name.into(), inputs: vec![input.into()], op };
    let mut nodes = vec![node("flat", "image", Op::Flatten)];
    if softmax {
        nodes.push(node("probabilities", "flat", Op::Softmax));
    }
    let network = Network {
        version: FORMAT_VERSION,
        name: "identity".into(),
        inputs: vec![Input::new("image", [3, height, width])],
        outputs: vec![nodes.last().unwrap().name.clone()],
        nodes,
        preprocess: Some(preprocess),
        labels: vec![],
    };
    Model::new(network, Default::default()).unwrap()
}

/// Noise, which has no two neighbours alike.
fn noise(width: usize, height: usize, seed: u64) -> Image {
    let mut random = oorandom::Rand32::new(seed);
    Image::from_rgb(width, height, (0..3 * width * height).map(|_| random.rand_u32() as u8).collect()).unwrap()
}

fn adapters() -> Vec<Adapter> {
    let open = |index: usize| blocking::open(&Selector::Named(index.to_string())).unwrap();
    (0..blocking::list_adapters().len()).map(open).collect()
}

fn run(adapter: &Adapter, model: &Model, images: &[Image], top_k: usize) -> (Tensor, Vec<Vec<Prediction>>) {
    let mut session = blocking::Session::load(adapter, model, Mode::Folded).unwrap();
    // Twice, for what is kept from one call to the next; the second time in another order of calls.
    let first = session.classify(images, top_k).unwrap();
    let input = session.preprocess(images).unwrap();
    assert_eq!(session.classify(images, top_k).unwrap(), first);
    (input, first)
}

#[derive(Clone, Debug)]
struct Problem {
    sizes: Vec<(usize, usize)>,
    output: (usize, usize),
    filter: Filter,
    crop_fraction: f64,
    seed: u64,
    softmax: bool,
    top_k: usize,
}

fn problems() -> impl Strategy<Value = Problem> {
    let side = || prop_oneof![1usize..8, 8usize..70, 70usize..400];
    let filter = prop_oneof![Just(Filter::Bilinear), Just(Filter::Bicubic)];
    let fraction = prop_oneof![Just(1.0), Just(0.875), 0.05f64..1.0];
    let sizes = proptest::collection::vec((side(), side()), 1..4);
    (sizes, (1usize..40, 1usize..40), filter, fraction, any::<u64>(), any::<bool>(), 1usize..70).prop_map(
        |(sizes, output, filter, crop_fraction, seed, softmax, top_k)| Problem {
            sizes,
            output,
            filter,
            crop_fraction,
            seed,
            softmax,
            top_k,
        },
    )
}

#[test]
fn every_adapter_sees_and_ranks_the_same() {
    let adapters = adapters();
    let mut config = Config { failure_persistence: None, cases: 24, ..Config::default() };
    config.rng_seed = RngSeed::Fixed(0);
    let checked = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&problems(), |problem| {
            let images: Vec<Image> = (0u64..)
                .zip(&problem.sizes)
                .map(|(index, &(width, height))| noise(width, height, problem.seed ^ index))
                .collect();
            let (mean, std) = ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]);
            let how = Preprocess { crop_fraction: problem.crop_fraction, filter: problem.filter, mean, std };
            let model = identity(problem.output.0, problem.output.1, how, problem.softmax);
            let (want, ranked) = run(&Adapter::cpu(), &model, &images, problem.top_k);
            for adapter in &adapters {
                let name = &adapter.info().name;
                let (got, predictions) = run(adapter, &model, &images, problem.top_k);
                prop_assert_eq!(got.shape(), want.shape());
                let same = got.data().iter().zip(want.data()).all(|(a, b)| a.to_bits() == b.to_bits());
                prop_assert!(same, "{}: another input", name);
                for (got, want) in predictions.iter().zip(&ranked) {
                    let classes = |best: &[Prediction]| best.iter().map(|best| best.class).collect::<Vec<_>>();
                    // Levels are few, so that many values are alike: their order is by class everywhere. A softmax layer
                    // may round equal exponents differently, but not equal values.
                    prop_assert_eq!(classes(got), classes(want), "{}", name);
                    for (got, want) in got.iter().zip(want) {
                        let difference = (got.probability - want.probability).abs();
                        prop_assert!(difference <= 1e-5 * want.probability.max(1e-3), "{}: {:?} {:?}", name, got, want);
                    }
                    checked.set(checked.get() + got.len());
                }
            }
            Ok(())
        })
        .unwrap();
    assert!(checked.get() > 1000, "only {} predictions were compared", checked.get());
}

#[test]
fn an_image_beyond_the_largest_texture_is_preprocessed_too() {
    let how = Preprocess { crop_fraction: 1.0, filter: Filter::Bilinear, mean: [0.0; 3], std: [1.0; 3] };
    let model = identity(4, 4, how, false);
    let images = [noise(8200, 8193, 1), noise(5, 5, 2)];
    let (want, ranked) = run(&Adapter::cpu(), &model, &images, 3);
    for adapter in adapters() {
        let (got, predictions) = run(&adapter, &model, &images, 3);
        assert_eq!(got, want, "{}", adapter.info().name);
        assert_eq!(predictions[0][0].class, ranked[0][0].class, "{}", adapter.info().name);
    }
}

#[test]
fn more_classes_than_there_are_and_none_at_all() {
    let how = Preprocess { crop_fraction: 1.0, filter: Filter::Bilinear, mean: [0.0; 3], std: [255.0; 3] };
    let model = identity(1, 2, how, false);
    for adapter in adapters() {
        let mut session = blocking::Session::load(&adapter, &model, Mode::Folded).unwrap();
        let image = [noise(9, 9, 3)];
        assert_eq!(session.classify(&image, 100).unwrap()[0].len(), 6);
        assert_eq!(session.classify(&image, 0).unwrap(), [[]]);
        assert!(session.classify(&[], 5).unwrap().is_empty());
    }
}

/// A network with one channel sees the luma of what others see, on every adapter.
#[test]
fn one_channel_is_luma() {
    let preprocess = |mean, std| Preprocess { crop_fraction: 0.8, filter: Filter::Bilinear, mean, std };
    let colours = identity(5, 7, preprocess([0.0; 3], [1.0; 3]), false);
    let mut network = identity(5, 7, preprocess([30.0; 3], [50.0; 3]), true).network().clone();
    network.inputs[0].shape[0] = 1;
    let grey = Model::new(network, Default::default()).unwrap();
    let images = [noise(40, 31, 1), noise(7, 60, 2)];
    for adapter in adapters() {
        let (seen, _) = run(&adapter, &colours, &images, 1);
        let (input, ranked) = run(&adapter, &grey, &images, 3);
        assert_eq!(input.shape(), [2, 1, 5, 7]);
        for (at, &value) in input.data().iter().enumerate() {
            let level = |channel: usize| f64::from(seen.data()[at / 35 * 105 + channel * 35 + at % 35]);
            let luma = (0.299 * level(0) + 0.587 * level(1) + 0.114 * level(2)).round();
            let off = (f64::from(value) * 50.0 + 30.0 - luma).abs();
            // Where it is close to a half, either neighbour is right.
            assert!(off < 1.01, "{}: {value} for {luma}", adapter.info().name);
        }
        for (ranked, values) in ranked.iter().zip(input.data().chunks(35)) {
            let most = values.iter().copied().fold(f32::MIN, f32::max);
            assert_eq!(values[ranked[0].class], most, "{}", adapter.info().name);
        }
    }
}
