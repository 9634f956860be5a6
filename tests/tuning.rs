//! Choices of kernels: all compute the same, and tuning finds some that do.

mod common;

use std::sync::{Arc, Mutex};

use common::graph::Graph;
use common::problem::Problem;
use common::problems::FAMILIES;
use common::runners::SessionRunner;
use common::suite::{check, check_one};
use doconv::gpu::kernels::conv::can_run;
use doconv::gpu::policy::{KernelConfig, Tier, TuningTable, layer};
use doconv::gpu::{TuneEvent, TuneListener};
use doconv::network::{Activation, Conv2d, Op};
use doconv::{Adapter, Mode, Precision, Selector, Session};
use pollster::block_on;

fn adapters() -> Vec<Adapter> {
    let infos = block_on(Adapter::list());
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(infos.len() > 1 || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    let gpus = 0..infos.len() - 1;
    gpus.map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

/// The same in every precision that they have.
fn adapters_in_every_precision() -> Vec<Adapter> {
    let of = |adapter: Adapter| Precision::ALL.map(|precision| adapter.clone().with_precision(precision).ok());
    adapters().into_iter().flat_map(of).flatten().collect()
}

fn name(adapter: &Adapter) -> String {
    format!("{}, {}", adapter.info().name, adapter.precision().name())
}

/// A convolution with all that is fused behind it, and its output's height and width.
fn problem(conv: Conv2d, [height, width]: [usize; 2]) -> (Problem, [usize; 2]) {
    let conv = Conv2d { bias: true, ..conv };
    let mut graph = Graph::new([conv.in_channels, height, width]);
    let other = graph.add(Op::Conv2d(Conv2d { bias: false, ..conv.clone() }), &["input"]);
    let value = graph.add(Op::Conv2d(conv.clone()), &["input"]);
    let value = graph.add(Op::Add, &[&value, &other]);
    let value = graph.add(Op::Activation(Activation::Relu6), &[&value]);
    let extent = |axis: usize, length: usize| {
        let window = (conv.kernel[axis] - 1) * conv.dilation[axis] + 1;
        (length + conv.padding[axis] + conv.padding[axis + 2] - window) / conv.stride[axis] + 1
    };
    (Problem::new(graph.finish(&[&value]), 3, 1), [extent(0, height), extent(1, width)])
}

fn layers() -> Vec<(Conv2d, [usize; 2])> {
    let conv = |inputs, outputs, side| Conv2d { padding: [side / 2; 4], ..Conv2d::new(inputs, outputs, [side; 2]) };
    vec![
        (conv(64, 24, 3), [9, 7]),
        (conv(52, 76, 1), [7, 7]),
        (conv(21, 19, 3), [5, 6]),
        (Conv2d { groups: 4, stride: [2, 2], ..conv(64, 32, 5) }, [11, 12]),
        (Conv2d { stride: [2, 2], ..conv(3, 10, 3) }, [17, 13]),
        (Conv2d { groups: 24, ..conv(24, 24, 3) }, [8, 9]),
        (Conv2d { groups: 10, stride: [2, 1], ..conv(10, 10, 7) }, [19, 21]),
    ]
}

/// Every kind of choice, with what is at the borders: tiles larger than maps, more slices than there are, uneven parts.
const CHOICES: [&str; 20] = [
    "direct 16x2 8x4",
    "direct 8x4 8x4",
    "direct 4x4 4x8",
    "direct 16x1 1x32",
    "direct 8x2 8x4 /3",
    "direct 4x4 1x32 /5",
    "direct 1x1 8x4 /13",
    "subgroup 4x4 8x1",
    "subgroup 8x4 32x1",
    "subgroup 2x2 16x1",
    "f2 subgroup 4x4 8x1",
    "f4 subgroup 2x2 8x1",
    "tiled 8x1 8x8",
    "tiled 8x2 8x8 /2",
    "tiled 8x1 8x8 /5",
    "depthwise 2x1 8x8",
    "depthwise 1x1 8x8",
    "depthwise_tiled 1x1 8x8",
    "f2 direct 8x2 4x8",
    "f4 tiled 8x2 8x8",
];

#[test]
fn every_choice_computes_the_same() {
    for adapter in adapters_in_every_precision() {
        let mut run = 0;
        for (conv, size) in layers() {
            let (problem, output) = problem(conv.clone(), size);
            let choices = CHOICES.map(|text| text.parse::<KernelConfig>().unwrap());
            for choice in choices.into_iter().filter(|choice| can_run(choice, &conv, output)) {
                let mut tuned = TuningTable::default();
                tuned.insert(&layer(&conv, output), choice);
                let adapter = adapter.clone().with_device(|device| device.add_tuned(&tuned));
                let name = format!("{}, {}, {choice}", name(&adapter), layer(&conv, output));
                let mut runner = SessionRunner::new(name.clone(), adapter.clone());
                check_one(&mut runner, &problem).unwrap_or_else(|report| panic!("{name}: {report}"));
                let session = block_on(Session::load(&adapter, &problem.model(), Mode::Folded)).unwrap();
                let kernels = session.kernels(1).unwrap();
                let has = |family: &str| kernels.iter().any(|kernel| kernel.starts_with(family));
                // Not of groups that the choice cannot know of: those stay with what can run them.
                if conv.groups == 1 {
                    assert_eq!(has("conv_split_sum"), choice.tile.parts > 1, "{name}: {kernels:?}");
                    assert_eq!(has("winograd"), choice.winograd.is_some(), "{name}: {kernels:?}");
                }
                run += 1;
            }
        }
        assert!(run > 30, "{run} choices were run");
    }
}

#[test]
fn split_sums_are_right_for_any_convolution() {
    let (family, problems) = FAMILIES.iter().find(|(family, _)| *family == "conv2d").expect("a family of convolutions");
    for adapter in adapters_in_every_precision() {
        for tier in [Tier::Software, Tier::Hardware] {
            let adapter = adapter.clone().with_device(|device| {
                device.set_tier(tier);
                device.prefer(Some("split"));
            });
            let mut runner = SessionRunner::new(format!("{}, {tier:?}, split", name(&adapter)), adapter);
            check(&mut runner, family, problems()).unwrap_or_else(|report| panic!("{report}"));
        }
    }
}

/// Layers for every algorithm, one of them twice.
fn network() -> Problem {
    let conv = |inputs, outputs, kernel: usize, groups| {
        let padding = [kernel / 2; 4];
        Op::Conv2d(Conv2d { padding, groups, bias: true, ..Conv2d::new(inputs, outputs, [kernel; 2]) })
    };
    let mut graph = Graph::new([3, 12, 12]);
    let mut value = graph.add(conv(3, 32, 3, 1), &["input"]);
    for op in [conv(32, 32, 3, 1), conv(32, 32, 3, 1), conv(32, 32, 3, 32), conv(32, 48, 1, 1)] {
        value = graph.add(op, &[&value]);
        value = graph.add(Op::Activation(Activation::Relu), &[&value]);
    }
    Problem::new(graph.finish(&[&value]), 11, 1)
}

const LAYERS: [&str; 4] = ["3x3-3-32@12x12", "3x3-32-32@12x12", "3x3g32-32-32@12x12", "1x1-32-48@12x12"];

#[test]
fn tuning_times_each_kind_of_layer_once_and_keeps_what_is_right() {
    let problem = network();
    for adapter in adapters_in_every_precision() {
        let told = Arc::new(Mutex::new((vec![], 0)));
        let listener = TuneListener::new({
            let told = told.clone();
            move |event| {
                let (labels, finished) = &mut *told.lock().unwrap();
                match event {
                    TuneEvent::Step { label, done, total } if done < total && total == LAYERS.len() => {
                        labels.push(label.to_owned());
                    }
                    TuneEvent::Step { .. } => {}
                    TuneEvent::Finished { tuned, layers, network_ms } => {
                        assert_eq!(layers, LAYERS.len());
                        assert!(LAYERS.iter().all(|name| tuned.iter().any(|(layer, _)| layer == *name)));
                        assert!(network_ms.iter().all(|&ms| ms > 0.0 && ms.is_finite()), "{network_ms:?}");
                        *finished += 1;
                    }
                }
            }
        });
        let adapter = adapter.clone().with_device(|device| device.tune_when_loading(listener.clone()));
        let mut runner = SessionRunner::new(format!("{}, tuned", name(&adapter)), adapter.clone());
        check_one(&mut runner, &problem).unwrap_or_else(|report| panic!("{report}"));
        assert_eq!(
            *told.lock().unwrap(),
            (LAYERS.map(String::from).to_vec(), 1),
            "a second session times nothing anew"
        );

        // A kernel that computes wrong results is never the best, however fast it is.
        let broken = adapter.clone().with_device(|device| {
            device.forget_tuned();
            device.break_kernels("conv_depthwise");
            device.tune_when_loading(listener);
        });
        let mut runner = SessionRunner::new(format!("{}, broken", name(&adapter)), broken.clone());
        check_one(&mut runner, &problem).unwrap_or_else(|report| panic!("{report}"));
        let tuned = broken.gpu().unwrap().tuned();
        assert!(tuned.iter().all(|(_, choice)| !choice.to_string().starts_with("depthwise")), "{tuned:?}");

        // What was timed in one precision says nothing about another.
        let precision = adapter.precision();
        assert!(adapter.gpu().unwrap().tuned().iter().count() >= LAYERS.len());
        let same = adapter.clone().with_precision(precision).unwrap();
        assert_eq!(same.gpu().unwrap().tuned(), adapter.gpu().unwrap().tuned());
        for other in Precision::ALL.into_iter().filter(|&other| other != precision) {
            let Ok(other) = adapter.clone().with_precision(other) else { continue };
            assert_eq!(other.gpu().unwrap().tuned(), TuningTable::default());
        }
    }
}
