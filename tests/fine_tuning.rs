//! Fine-tuning a classifier with a few images of each class.

#[path = "common/adapters.rs"]
mod adapters;

use std::ops::ControlFlow;

use doconv::network::{Node, Op, zoo};
use doconv::training::{Accuracy, FineTuneOptions, FineTuned, FineTuner, Progress};
use doconv::{Adapter, Image, Mode, Model, Session};
use pollster::block_on;

const PHOTOS: [&str; 3] = ["chelsea.png", "coffee.png", "rocket.jpg"];

fn photo(name: &str) -> Image {
    Image::open(format!("{}/photos/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A part of an image, as a camera sees it that is not held still.
fn part(image: &Image, index: usize) -> Image {
    let (width, height) = (image.width() * 4 / 5, image.height() * 4 / 5);
    let (left, top) = ((image.width() - width) * (index % 3) / 2, (image.height() - height) * (index / 3 % 3) / 2);
    let rows = (top..top + height).map(|y| (y * image.width() + left) * 3);
    let rgb = rows.flat_map(|at| &image.rgb()[at..at + width * 3]).copied().collect();
    Image::from_rgb(width, height, rgb).unwrap()
}

fn classes() -> Vec<(usize, String)> {
    // Numbers are the caller's, as after a class was removed.
    PHOTOS.iter().enumerate().map(|(index, name)| (2 * index + 1, (*name).to_owned())).collect()
}

/// With random layers: quick, and good enough to overfit to a few images.
fn random() -> Model {
    Model::initialised(zoo::build("resnet20").unwrap(), 1).unwrap().expand(None, 0.0, 0).unwrap()
}

fn with_examples(adapter: &Adapter, model: &Model, images: usize) -> FineTuner {
    let mut tuner = block_on(FineTuner::new(adapter, model)).unwrap();
    for ((class, _), name) in classes().iter().zip(PHOTOS) {
        let photo = photo(name);
        (0..images).for_each(|index| block_on(tuner.add_example(*class, &part(&photo, index))).unwrap());
    }
    tuner
}

fn train(tuner: &mut FineTuner, options: &FineTuneOptions) -> (FineTuned, Vec<Progress>) {
    let mut told = vec![];
    let tuned = block_on(tuner.train(&classes(), options, async |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    }));
    (tuned.unwrap(), told)
}

#[test]
fn the_bundled_network_classifies_images_that_it_was_not_trained_on() {
    let adapter = Adapter::cpu();
    let mut tuner = with_examples(&adapter, &Model::bundled().unwrap(), 5);
    let (tuned, _) = train(&mut tuner, &FineTuneOptions::default());
    assert_eq!(tuned.held_out, Accuracy { correct: 3, total: 3 });
    assert!(tuned.model.is_composed());
    let mut session = block_on(Session::load(&adapter, &tuned.model.fold().unwrap(), Mode::Folded)).unwrap();
    for name in PHOTOS {
        let photo = photo(name);
        for image in [part(&photo, 7), photo] {
            let best = block_on(session.classify(&[image], 1)).unwrap().remove(0).remove(0);
            assert!(best.label == name && best.probability > 0.6, "{name}: {best:?}");
        }
    }
}

#[test]
fn every_adapter_learns_the_same() {
    let mut wanted: Option<Vec<f64>> = None;
    for (name, adapter) in [("CPU".to_owned(), Adapter::cpu())].into_iter().chain(adapters::adapters()) {
        let mut tuner = with_examples(&adapter, &random(), 6);
        let (tuned, told) = train(&mut tuner, &FineTuneOptions::default());
        assert_eq!(tuned.held_out.total, 3, "{name}");
        assert_eq!(tuned.model.network().labels, PHOTOS, "{name}");
        let losses: Vec<f64> = told.iter().map(|progress| progress.totals.mean_loss()).collect();
        assert!(losses.last().unwrap() < &(0.3 * losses[0]), "{name}: {losses:?}");
        let wanted = wanted.get_or_insert_with(|| losses.clone());
        for (epoch, (got, want)) in losses.iter().zip(wanted.iter()).enumerate() {
            assert!((got - want).abs() < 1e-3, "{name}, epoch {epoch}: {got} instead of {want}");
        }
    }
}

#[test]
fn the_last_block_learns_as_well_where_it_is_told_to() {
    let adapter = Adapter::cpu();
    let mut tuner = with_examples(&adapter, &random(), 4);
    assert!(tuner.has_last_block());
    let before = random().fold_batch_norms().unwrap();
    let same = |tuned: &FineTuned, layer: &str| tuned.model.weights()[layer] == before.weights()[layer];
    let (tuned, _) = train(&mut tuner, &FineTuneOptions::default());
    assert!(same(&tuned, "layer3.2.conv2.W"));
    let (tuned, _) = train(&mut tuner, &FineTuneOptions { last_block: true, seed: 0 });
    // A fine-tuned network can be fine-tuned again.
    let mut again = with_examples(&adapter, &tuned.model.fold().unwrap(), 2);
    let (twice, _) = train(&mut again, &FineTuneOptions::default());
    assert_eq!(twice.model.network().nodes.len(), tuned.model.network().nodes.len());
    assert!(!same(&tuned, "layer3.2.conv2.W") && !same(&tuned, "layer3.2.conv1.W") && same(&tuned, "layer3.1.conv2.W"));
}

/// As many exported networks do.
#[test]
fn a_network_that_ends_in_a_softmax_is_fine_tuned_too() {
    let mut network = random().network().clone();
    network.nodes.push(Node { name: "softmax".into(), inputs: network.outputs.clone(), op: Op::Softmax });
    network.outputs = vec!["softmax".into()];
    let model = Model::new(network, random().weights().clone()).unwrap();
    let (tuned, _) = train(&mut with_examples(&Adapter::cpu(), &model, 1), &FineTuneOptions::default());
    assert!(!tuned.model.network().ends_in_softmax());
}

#[test]
fn learning_ends_where_it_is_told_to() {
    let mut tuner = with_examples(&Adapter::cpu(), &random(), 1);
    let mut epochs = 0;
    let tuned = block_on(tuner.train(&classes(), &FineTuneOptions::default(), async |progress| {
        epochs = progress.epoch;
        if epochs == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    assert_eq!(epochs, 3);
    assert_eq!(tuned.unwrap().held_out, Accuracy::default());
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let mut tuner = with_examples(&Adapter::cpu(), &random(), 1);
    let mut reason = |classes: &[(usize, &str)]| {
        let classes: Vec<_> = classes.iter().map(|&(class, label)| (class, label.to_owned())).collect();
        let progress = async |_| -> ControlFlow<()> { panic!("nothing is learnt") };
        block_on(tuner.train(&classes, &FineTuneOptions::default(), progress)).unwrap_err().to_string()
    };
    assert!(reason(&[]).contains("none"));
    assert!(reason(&[(1, "cat")]).contains("at least two"));
    assert!(reason(&[(1, "cat"), (3, "cat")]).contains("`cat`"));
    assert!(reason(&[(1, "cat"), (2, "cup")]).contains("no image of `cup`"));
    // Moving to another adapter keeps the examples.
    block_on(tuner.move_to(&Adapter::cpu())).unwrap();
    tuner.remove_examples(3);
    assert_eq!([1, 3, 5].map(|class| tuner.example_count(class)), [1, 0, 1]);
}
