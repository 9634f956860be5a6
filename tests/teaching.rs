//! Teaching a network classes of a few pictures.

#[path = "common/adapters.rs"]
mod adapters;

use std::ops::ControlFlow;

use doconv::network::{Node, Op, zoo};
use doconv::training::{Lesson, Progress, Score, Taught, Teacher};
use doconv::{Adapter, Image, Mode, Model, Session};
use pollster::block_on;

const PHOTOS: [&str; 3] = ["chelsea.png", "coffee.png", "rocket.jpg"];

fn photo(name: &str) -> Image {
    Image::open(format!("{}/photos/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A part of a picture: what a camera sees that is not held still.
fn part(image: &Image, index: usize) -> Image {
    let (width, height) = (image.width() * 4 / 5, image.height() * 4 / 5);
    let (left, top) = ((image.width() - width) * (index % 3) / 2, (image.height() - height) * (index / 3 % 3) / 2);
    let rows = (top..top + height).map(|y| (y * image.width() + left) * 3);
    let rgb = rows.flat_map(|at| &image.rgb()[at..at + width * 3]).copied().collect();
    Image::from_rgb(width, height, rgb).unwrap()
}

fn classes() -> Vec<(usize, String)> {
    // Numbers are the caller's, as after a class was taken away.
    PHOTOS.iter().enumerate().map(|(index, name)| (2 * index + 1, (*name).to_owned())).collect()
}

/// With random layers: quick, and good enough to learn pictures by heart.
fn random() -> Model {
    Model::initialised(zoo::build("resnet20").unwrap(), 1).unwrap().expand(None, 0.0, 0).unwrap()
}

fn shown(adapter: &Adapter, model: &Model, pictures: usize) -> Teacher {
    let mut teacher = block_on(Teacher::new(adapter, model)).unwrap();
    for ((class, _), name) in classes().iter().zip(PHOTOS) {
        let photo = photo(name);
        (0..pictures).for_each(|index| block_on(teacher.show(*class, &part(&photo, index))).unwrap());
    }
    teacher
}

fn teach(teacher: &mut Teacher, lesson: &Lesson) -> (Taught, Vec<Progress>) {
    let mut told = vec![];
    let taught = block_on(teacher.teach(&classes(), lesson, async |progress| {
        told.push(progress);
        ControlFlow::Continue(())
    }));
    (taught.unwrap(), told)
}

#[test]
fn the_bundled_network_tells_pictures_apart_that_it_was_not_shown() {
    let adapter = Adapter::cpu();
    let mut teacher = shown(&adapter, &Model::bundled().unwrap(), 5);
    let (taught, _) = teach(&mut teacher, &Lesson::default());
    assert_eq!(taught.held_back, Score { right: 3, of: 3 });
    assert!(taught.model.is_composed());
    let mut session = block_on(Session::load(&adapter, &taught.model.fold().unwrap(), Mode::Folded)).unwrap();
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
        let mut teacher = shown(&adapter, &random(), 6);
        let (taught, told) = teach(&mut teacher, &Lesson::default());
        assert_eq!(taught.held_back.of, 3, "{name}");
        assert_eq!(taught.model.network().labels, PHOTOS, "{name}");
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
    let mut teacher = shown(&adapter, &random(), 4);
    assert!(teacher.has_last_block());
    let before = random().fold_batch_norms().unwrap();
    let same = |taught: &Taught, layer: &str| taught.model.weights()[layer] == before.weights()[layer];
    let (taught, _) = teach(&mut teacher, &Lesson::default());
    assert!(same(&taught, "layer3.2.conv2.W"));
    let (taught, _) = teach(&mut teacher, &Lesson { last_block: true, seed: 0 });
    // One that was taught can be taught again.
    let mut again = shown(&adapter, &taught.model.fold().unwrap(), 2);
    let (twice, _) = teach(&mut again, &Lesson::default());
    assert_eq!(twice.model.network().nodes.len(), taught.model.network().nodes.len());
    assert!(
        !same(&taught, "layer3.2.conv2.W") && !same(&taught, "layer3.2.conv1.W") && same(&taught, "layer3.1.conv2.W")
    );
}

/// As many exported networks do.
#[test]
fn a_network_that_ends_in_a_softmax_is_taught_too() {
    let mut network = random().network().clone();
    network.nodes.push(Node { name: "softmax".into(), inputs: network.outputs.clone(), op: Op::Softmax });
    network.outputs = vec!["softmax".into()];
    let model = Model::new(network, random().weights().clone()).unwrap();
    let (taught, _) = teach(&mut shown(&Adapter::cpu(), &model, 1), &Lesson::default());
    assert!(!taught.model.network().ends_in_softmax());
}

#[test]
fn learning_ends_where_it_is_told_to() {
    let mut teacher = shown(&Adapter::cpu(), &random(), 1);
    let mut epochs = 0;
    let taught = block_on(teacher.teach(&classes(), &Lesson::default(), async |progress| {
        epochs = progress.epoch;
        if epochs == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    assert_eq!(epochs, 3);
    assert_eq!(taught.unwrap().held_back, Score::default());
}

#[test]
fn what_cannot_be_learnt_is_said() {
    let mut teacher = shown(&Adapter::cpu(), &random(), 1);
    let mut reason = |classes: &[(usize, &str)]| {
        let classes: Vec<_> = classes.iter().map(|&(class, label)| (class, label.to_owned())).collect();
        let progress = async |_| -> ControlFlow<()> { panic!("nothing is learnt") };
        block_on(teacher.teach(&classes, &Lesson::default(), progress)).unwrap_err().to_string()
    };
    assert!(reason(&[]).contains("none"));
    assert!(reason(&[(1, "cat")]).contains("at least two"));
    assert!(reason(&[(1, "cat"), (3, "cat")]).contains("`cat`"));
    assert!(reason(&[(1, "cat"), (2, "cup")]).contains("no picture of `cup`"));
    // Moving keeps what was shown.
    block_on(teacher.move_to(&Adapter::cpu())).unwrap();
    teacher.forget(3);
    assert_eq!([1, 3, 5].map(|class| teacher.count(class)), [1, 0, 1]);
}
