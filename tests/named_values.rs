//! Inputs and results by name, values within a network, and embeddings.

mod common;

use std::collections::BTreeMap;

use common::graph::Graph;
use common::problem::Problem;
use doconv::network::{Conv2d, Op, zoo};
use doconv::{Adapter, Image, Mode, Model, Selector, Session, Tensor};
use pollster::block_on;

fn adapters() -> Vec<Adapter> {
    let count = block_on(Adapter::list()).len();
    (0..count).map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

/// `a − b` by name, in whatever order, and a value within.
#[test]
fn inputs_and_results_go_by_name() {
    let mut graph = Graph::new([3, 4, 4]);
    let other = graph.input("other", [3, 4, 4]);
    let difference = graph.add(Op::Sub, &["input", &other]);
    let value = graph.add(Op::Conv2d(Conv2d::new(3, 2, [1, 1])), &[&difference]);
    let model = Problem::new(graph.finish(&[&value]), 1, 1).model();
    let named = |a: f32, b: f32| {
        let map = |value| Tensor::new([1, 3, 4, 4], vec![value; 48]).unwrap();
        BTreeMap::from([("other".to_owned(), map(b)), ("input".to_owned(), map(a))])
    };
    for adapter in adapters() {
        let both = model.with_outputs(&[&difference, &value]).unwrap();
        let mut session = block_on(Session::load(&adapter, &both, Mode::Folded)).unwrap();
        assert_eq!(session.output_names(), [difference.clone(), value.clone()]);
        let results = block_on(session.run_named(&named(5.0, 3.0))).unwrap();
        assert_eq!(results[&difference].data(), [2.0; 48]);
        assert_eq!(results[&value].shape(), [1, 2, 4, 4]);

        let mut lacking = named(5.0, 3.0);
        lacking.remove("other");
        let error = block_on(session.run_named(&lacking)).unwrap_err().to_string();
        assert_eq!(error, "input `other`: it is missing");
        let mut surplus = named(5.0, 3.0);
        surplus.insert("otter".into(), Tensor::zeros([1]));
        let error = block_on(session.run_named(&surplus)).unwrap_err().to_string();
        assert_eq!(error, "input `otter`: the network has no such input; it has `input`, `other`");
    }
}

#[test]
fn what_an_output_does_not_depend_on_is_left_out() {
    let model = Model::initialised(zoo::build("resnet20").unwrap(), 0).unwrap();
    let early = model.with_outputs(&["layer1.0.relu2"]).unwrap();
    assert!(early.weights().len() < model.weights().len() / 2 && early.network().labels.is_empty());
    let same = model.with_outputs(&model.network().outputs).unwrap();
    assert_eq!(same.network(), model.network());
    let input = model.with_outputs(&["image", "bn1"]).unwrap();
    assert_eq!((input.network().outputs.len(), input.network().inputs.len()), (2, 1));
    let error = model.with_outputs(&["layer9"]).unwrap_err().to_string();
    assert!(error.starts_with("network node `layer9`: there is no such node"), "{error}");
    assert!(model.with_outputs(&[""; 0]).is_err());
}

/// Of every architecture, one vector for an image.
#[test]
fn every_classifier_has_an_embedding() {
    for name in zoo::NAMES {
        let network = zoo::build(name).unwrap().embedding().unwrap_or_else(|error| panic!("{name}: {error}"));
        let inferred = network.infer(1).unwrap();
        let [_, channels, height, width] = inferred.shape(inferred.outputs[0]);
        assert!(channels >= 16 && [height, width] == [1, 1], "{name}: {channels}×{height}×{width}");
    }
}

#[test]
#[cfg(all(feature = "image", feature = "bundled-model"))]
fn similar_images_have_similar_vectors() {
    let open = |name: &str| Image::open(format!("{}/photos/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let cat = open("chelsea.png");
    let rows = cat.rgb().chunks_exact(3 * cat.width());
    let mirrored = rows.flat_map(|row| row.as_chunks::<3>().0.iter().rev().flatten().copied()).collect();
    let mirrored = Image::from_rgb(cat.width(), cat.height(), mirrored).unwrap();
    let images = [cat, mirrored, open("coffee.png")];
    let model = Model::bundled().unwrap();
    for adapter in adapters() {
        let mut session = block_on(Session::load(&adapter, &model.embedding().unwrap(), Mode::Folded)).unwrap();
        let vectors = block_on(session.embed(&images)).unwrap();
        let dot = |a: usize, b: usize| vectors[a].iter().zip(&vectors[b]).map(|(a, b)| a * b).sum::<f32>();
        let cosine = |a, b| dot(a, b) / (dot(a, a) * dot(b, b)).sqrt();
        assert_eq!(vectors[0].len(), 1280);
        assert!(cosine(0, 1) > 0.9 && cosine(0, 2) < 0.5, "{} {}", cosine(0, 1), cosine(0, 2));
        assert!(block_on(session.embed(&[])).unwrap().is_empty());
        let mut classifier = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
        let error = block_on(classifier.embed(&images)).unwrap_err().to_string();
        assert!(error.contains("Model::embedding"), "{error}");
    }
}
