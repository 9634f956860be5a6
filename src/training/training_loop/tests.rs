//! Courses whose steps fail, or whose futures are dropped: no batch may be lost.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use pollster::block_on;

use super::super::data::Examples;
use super::super::trainer::Interruption;
use super::*;
use crate::network::{Activation, BatchNorm, Conv2d, FORMAT_VERSION, Input, Linear, Node, Op};

fn data() -> DataSet {
    let examples = |count: usize, seed: usize| Examples {
        pixels: (0..count * 16).map(|at| (at * 37 % 251 * (seed + at / 16)) as u8).collect(),
        labels: (0..count).map(|at| at % 2).collect(),
    };
    let classes = vec!["even".into(), "odd".into()];
    DataSet { classes, shape: [1, 4, 4], train: examples(14, 3), validation: examples(5, 7), notes: vec![] }
}

fn model() -> Model {
    let node = |name: &str, input: &str, op| Node { name: name.into(), inputs: vec![input.into()], op };
    let network = Network {
        version: FORMAT_VERSION,
        name: "small".into(),
        inputs: vec![Input::new("input", [1, 4, 4])],
        nodes: vec![
            node("conv", "input", Op::Conv2d(Conv2d { padding: [1; 4], ..Conv2d::new(1, 3, [3, 3]) })),
            node("norm", "conv", Op::BatchNorm(BatchNorm { channels: 3, eps: 1e-5 })),
            node("relu", "norm", Op::Activation(Activation::Relu)),
            node("pool", "relu", Op::GlobalAvgPool),
            node("linear", "pool", Op::Linear(Linear { in_features: 3, out_features: 2, bias: true })),
        ],
        outputs: vec!["linear".into()],
        preprocess: None,
        labels: vec!["even".into(), "odd".into()],
    };
    Model::initialised(network, 1).unwrap()
}

/// Four batches of four images to an epoch, each in so many parts.
fn training(parts: usize) -> TrainingLoop {
    let options = Options { batch: 4, parts, ..Options::default() };
    let settings = Settings { epochs: 2, augment: Augment::Standard, seed: 3, options, ..Settings::default() };
    block_on(TrainingLoop::new(&Adapter::cpu(), &model(), Arc::new(data()), settings)).unwrap()
}

/// One step, or whatever else comes next; nothing where its future was dropped.
fn advance(training: &mut TrainingLoop) -> Option<Result<Advance>> {
    let future = pin!(training.advance(Duration::ZERO));
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// What came of a training, with how often it was interrupted: parameters and moments, running statistics, and epochs.
struct Outcome {
    interruptions: usize,
    parameters: Vec<(String, Vec<u32>)>,
    running: Vec<(String, Vec<u32>)>,
    epochs: Vec<Epoch>,
}

fn follow(mut training: TrainingLoop, interruptions: &[Option<Interruption>]) -> Outcome {
    training.trainer.interruptions = VecDeque::from(interruptions.to_vec());
    let mut interrupted = 0;
    loop {
        let before = training.position();
        match advance(&mut training) {
            Some(Ok(Advance::Done)) => break,
            Some(Ok(_)) => {}
            Some(Err(_)) | None => {
                interrupted += 1;
                let (epochs, step, _) = training.position();
                // What fails after a step, such as reading its loss, does not take that back.
                assert!(epochs == before.0 && (step == before.1 || step == before.1 + 1));
            }
        }
    }
    let bits = |(name, tensor): (String, crate::Tensor)| {
        (name, tensor.data().iter().map(|value| value.to_bits()).collect::<Vec<_>>())
    };
    let state = block_on(training.trainer.state()).unwrap().into_iter().map(bits);
    let (running, parameters) = state.partition(|(name, _)| name.contains("running"));
    let epochs = training.history().iter().map(|epoch| Epoch { images_per_s: 0.0, ..epoch.clone() }).collect();
    Outcome { interruptions: interrupted, parameters, running, epochs }
}

/// Places in the order of what is awaited at which something happens.
fn at(places: &[usize], what: Interruption) -> Vec<Option<Interruption>> {
    let last = places.iter().max().copied().unwrap_or(0);
    (0..=last).map(|place| places.contains(&place).then_some(what)).collect()
}

#[test]
fn a_batch_whose_step_fails_is_the_next_one() {
    for parts in [1, 2] {
        let undisturbed = follow(training(parts), &[]);
        assert_eq!(undisturbed.epochs.len(), 2);
        // Every await of the first epoch by itself (parts of steps, reading totals, setting them), and many in a row.
        let every: Vec<Vec<usize>> = (0..4 * (parts + 1) + 1).map(|place| vec![place]).collect();
        let many = [vec![0, 1, 2], vec![1, 2, 4, 7, 8], (0..12).collect()];
        for places in every.iter().chain(&many) {
            let disturbed = follow(training(parts), &at(places, Interruption::Error));
            assert_eq!(disturbed.interruptions, places.len());
            assert!(disturbed.parameters == undisturbed.parameters, "{parts} parts, errors at {places:?}");
            assert!(disturbed.running == undisturbed.running, "{parts} parts, errors at {places:?}");
            assert_eq!(disturbed.epochs, undisturbed.epochs, "{parts} parts, errors at {places:?}");
        }
    }
}

#[test]
fn a_batch_whose_future_is_dropped_is_the_next_one() {
    for parts in [1, 2] {
        let undisturbed = follow(training(parts), &[]);
        for place in 0..4 * (parts + 1) + 1 {
            for how in [Interruption::Pending, Interruption::PendingAfter] {
                let disturbed = follow(training(parts), &at(&[place], how));
                assert_eq!(disturbed.interruptions, 1);
                assert!(disturbed.parameters == undisturbed.parameters, "{parts} parts, {how:?} at {place}");
                assert!(disturbed.running == undisturbed.running, "{parts} parts, {how:?} at {place}");
                assert_eq!(disturbed.epochs, undisturbed.epochs, "{parts} parts, {how:?} at {place}");
            }
        }
    }
}

#[test]
fn a_checkpoint_after_an_error_has_all_steps() {
    let undisturbed = follow(training(1), &[]);
    // The totals of the second step cannot be read, nor can it be seen whether they were.
    let mut training = training(1);
    training.trainer.interruptions = at(&[3], Interruption::Error).into();
    assert!(advance(&mut training).unwrap().is_ok());
    assert!(advance(&mut training).unwrap().is_err());
    assert_eq!(training.position(), (0, 2, 4));
    let bytes = block_on(training.checkpoint()).unwrap();
    let checkpoint = Checkpoint::from_bytes("c", &bytes).unwrap();
    assert_eq!(checkpoint.progress.totals.images, 8);
    let resumed = block_on(TrainingLoop::resume(&Adapter::cpu(), &checkpoint, Arc::new(data()))).unwrap();
    let resumed = follow(resumed, &[]);
    assert!(resumed.parameters == undisturbed.parameters);
    assert_eq!(resumed.epochs, undisturbed.epochs);
}

#[test]
fn batches_are_made_anew_where_their_thread_is_gone() {
    let undisturbed = follow(training(1), &[]);
    let mut training = training(1);
    assert!(advance(&mut training).unwrap().is_ok());
    // A thread that ends has sent nothing more.
    training.ahead = Some(std::sync::mpsc::sync_channel(1).1);
    assert!(advance(&mut training).unwrap().unwrap_err().to_string().contains("thread that makes batches has ended"));
    assert!(follow(training, &[]).parameters == undisturbed.parameters);
}
