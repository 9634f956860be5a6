//! Winograd convolution on every adapter: random layers that it can run, with both tiles and the kernels of both tiers.

mod common;

use common::graph::Graph;
use common::problem::Problem;
use common::runners::SessionRunner;
use common::suite::{Runner, check, check_one};
use doconv::gpu::Tier;
use doconv::gpu::choose::Algorithm;
use doconv::network::{Activation, Conv2d, DoConv, Op, PaddingMode, Pairing};
use doconv::winograd::Winograd;
use doconv::{Adapter, Mode, Model, Selector, Session, Tensor};
use pollster::block_on;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

fn adapters() -> Vec<Adapter> {
    let infos = block_on(Adapter::list());
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(infos.len() > 1 || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    let gpus = 0..infos.len() - 1;
    gpus.map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

/// 3×3 layers over whole slices, on maps from one pixel to several tiles, with all that is fused behind them.
fn problems() -> BoxedStrategy<Problem> {
    let channels = (1usize..=6, 1usize..=6).prop_map(|(inputs, outputs)| (4 * inputs, 4 * outputs));
    let padding = prop_oneof![2 => Just([1; 4]), 1 => [0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3]];
    let mode = prop_oneof![3 => Just(PaddingMode::Zeros), 1 => Just(PaddingMode::Replicate)];
    let doconv = proptest::option::of((9usize..=12, proptest::sample::select(vec![Pairing::Paper, Pairing::Torch])));
    let tail = (any::<bool>(), proptest::option::of(proptest::sample::select(Activation::ALL.to_vec())));
    let numbers = (any::<u64>(), 1usize..=3, any::<bool>());
    (channels, [3usize..=14, 3usize..=14], padding, mode, doconv, tail, numbers)
        .prop_map(|((inputs, outputs), size, padding, padding_mode, doconv, (residual, activation), numbers)| {
            let conv = |inputs| Conv2d {
                padding,
                padding_mode,
                bias: true,
                doconv: doconv.map(|(d_mul, pairing)| DoConv { d_mul, pairing }),
                ..Conv2d::new(inputs, outputs, [3, 3])
            };
            let mut graph = Graph::new([inputs, size[0], size[1]]);
            let mut value = graph.add(Op::Conv2d(conv(inputs)), &["input"]);
            if residual {
                let other = graph.add(Op::Conv2d(conv(inputs)), &["input"]);
                value = graph.add(Op::Add, &[&value, &other]);
            }
            if let Some(activation) = activation {
                value = graph.add(Op::Activation(activation), &[&value]);
            }
            let (seed, batch, composed) = numbers;
            Problem { composed, ..Problem::new(graph.finish(&[&value]), seed, batch) }
        })
        .boxed()
}

fn preferring(adapter: &Adapter, tier: Tier, size: Winograd) -> Adapter {
    adapter.clone().with_device(|device| {
        device.set_tier(tier);
        device.prefer(Some(Algorithm::Winograd(size)));
    })
}

#[test]
fn every_adapter_filters_as_the_reference_convolves() {
    for adapter in adapters() {
        for (tier, size) in
            [Tier::Software, Tier::Hardware].into_iter().flat_map(|tier| Winograd::ALL.map(|size| (tier, size)))
        {
            let name = format!("{} ({tier:?} tier, {size:?})", adapter.info().name);
            let mut runner = SessionRunner::new(name.clone(), preferring(&adapter, tier, size));
            match check(&mut runner, "winograd", problems()) {
                Ok(worst) => println!("{name}: at worst {worst:.3} of the tolerance"),
                Err(report) => panic!("{report}"),
            }
        }
    }
}

fn layer(channels: usize, side: usize) -> Problem {
    let mut graph = Graph::new([channels, side, side]);
    let conv = Conv2d { padding: [1; 4], ..Conv2d::new(channels, channels, [3, 3]) };
    let value = graph.add(Op::Conv2d(conv), &["input"]);
    Problem::new(graph.finish(&[&value]), 5, 1)
}

#[test]
fn it_runs_where_it_pays_and_nowhere_else() {
    for adapter in adapters() {
        let kernels = |channels: usize, side: usize, tier: Tier| {
            let adapter = adapter.clone().with_device(|device| device.set_tier(tier));
            let session = block_on(Session::load(&adapter, &layer(channels, side).model(), Mode::Folded)).unwrap();
            session.kernels(1).unwrap().iter().any(|kernel| kernel.starts_with("winograd"))
        };
        assert!(kernels(16, 16, Tier::Software) && kernels(64, 32, Tier::Hardware));
        assert!(!kernels(8, 16, Tier::Software), "too few channels");
        assert!(!kernels(64, 1, Tier::Software), "more products than taps");
        assert!(!kernels(64, 8, Tier::Hardware), "too few tiles");
    }
}

/// Runs with a change of one weight that is as small as what the tolerance must still see.
struct Perturbed(SessionRunner);

impl Runner for Perturbed {
    fn name(&self) -> String {
        "perturbed".into()
    }

    fn winograd(&self, conv: &Conv2d, output: [usize; 2]) -> Option<Winograd> {
        self.0.winograd(conv, output)
    }

    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> doconv::Result<Vec<Tensor>> {
        let mut weights = model.weights().clone();
        let kernel = weights.values_mut().next().expect("a kernel");
        kernel.data_mut()[40] *= 1.01;
        self.0.run(&Model::new(model.network().clone(), weights)?, mode, inputs)
    }
}

#[test]
fn a_weight_that_is_a_hundredth_off_is_found() {
    let problem = layer(16, 9);
    for adapter in adapters() {
        for size in Winograd::ALL {
            let runner = SessionRunner::new("filtering".into(), preferring(&adapter, Tier::Software, size));
            let report = check_one(&mut Perturbed(runner), &problem).expect_err("a wrong weight");
            assert!(report.contains("tolerance"), "{report}");
        }
    }
}
