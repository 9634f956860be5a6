//! The convolution through workgroup memory on every adapter and in every precision: layers that fill tiles, with sums of many
//! stages.

mod common;

use common::graph::Graph;
use common::parallel::each_in_parallel;
use common::problem::Problem;
use common::runners::SessionRunner;
use common::suite::{Runner, check, check_one};
use doconv::gpu::policy::Tier;
use doconv::network::{Activation, Conv2d, Op};
use doconv::{Adapter, Mode, Model, Precision, Selector, Session, Tensor};
use pollster::block_on;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

/// Every adapter in every precision that it has, with the kernels that real GPUs get: sums as a whole and in parts.
fn adapters() -> Vec<(String, Adapter)> {
    let infos = block_on(Adapter::list());
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(infos.len() > 1 || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    let open = |index: usize| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
    let in_all = |adapter: Adapter| Precision::ALL.map(|precision| adapter.clone().with_precision(precision));
    let adapters = (0..infos.len() - 1).map(open).flat_map(in_all).flatten();
    let preferring = |adapter: Adapter| {
        ["tiled", "split"].map(|algorithm| {
            let adapter = adapter.clone().with_device(|device| {
                device.set_tier(Tier::Hardware);
                device.prefer(Some(algorithm));
            });
            (format!("{} ({}, {algorithm:?})", adapter.info().name, adapter.precision().name()), adapter)
        })
    };
    adapters.flat_map(preferring).collect()
}

/// Layers with one or two slices of outputs per invocation, and fewer terms than a stage has, whole stages, and what is in
/// between; images of one to three channels.
fn problems() -> BoxedStrategy<Problem> {
    let inputs = prop_oneof![2 => 1usize..=4, 3 => 5usize..=40];
    let outputs = prop_oneof![1 => 16usize..=60, 1 => 61usize..=140];
    let channels = prop_oneof![
        4 => (inputs, outputs).prop_map(|(inputs, outputs)| (inputs, outputs, 1)),
        1 => (1usize..=5, 4usize..=17).prop_map(|(inputs, outputs)| (8 * inputs, 8 * outputs, 2)),
    ];
    let kernel = prop_oneof![1 => Just([1, 1]), 1 => Just([3, 3]), 2 => [1usize..=5, 1usize..=5]];
    let padding = prop_oneof![1 => Just([0; 4]), 2 => [0usize..=3, 0usize..=3, 0usize..=3, 0usize..=3]];
    let geometry = (kernel, [1usize..=2, 1usize..=2], [1usize..=2, 1usize..=2], padding);
    let tail = (any::<bool>(), proptest::option::of(proptest::sample::select(Activation::ALL.to_vec())));
    (channels, geometry, [6usize..=12, 6usize..=12], tail, (any::<u64>(), 1usize..=3))
        .prop_map(|(channels, (kernel, stride, dilation, padding), size, (residual, activation), numbers)| {
            let (in_channels, out_channels, groups) = channels;
            let conv = Conv2d {
                stride,
                dilation,
                padding,
                groups,
                bias: true,
                ..Conv2d::new(in_channels, out_channels, kernel)
            };
            // Windows fit into the map.
            let least = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
            let mut graph = Graph::new([in_channels, size[0].max(least[0]), size[1].max(least[1])]);
            let mut value = graph.add(Op::Conv2d(conv), &["input"]);
            if residual {
                let [_, c, h, w] = graph.shape(&value);
                let other = graph.input("residual", [c, h, w]);
                value = graph.add(Op::Add, &[&value, &other]);
            }
            if let Some(activation) = activation {
                value = graph.add(Op::Activation(activation), &[&value]);
            }
            Problem::new(graph.finish(&[&value]), numbers.0, numbers.1)
        })
        .boxed()
}

#[test]
fn every_adapter_computes_what_the_reference_says() {
    each_in_parallel(adapters(), |(name, adapter)| {
        match check(&mut SessionRunner::new(name.clone(), adapter), "tiled", problems()) {
            Ok(worst) => println!("{name}: at worst {worst:.3} of the tolerance"),
            Err(report) => panic!("{report}"),
        }
    });
}

/// 37 input slices × 9 taps: 84 stages, of which the last is not full.
fn long_sum() -> Problem {
    let mut graph = Graph::new([148, 7, 6]);
    let conv = Conv2d { padding: [1; 4], ..Conv2d::new(148, 72, [3, 3]) };
    let value = graph.add(Op::Conv2d(conv), &["input"]);
    Problem::new(graph.finish(&[&value]), 11, 1)
}

#[test]
fn tiles_are_what_runs() {
    for (name, adapter) in adapters() {
        let session = block_on(Session::load(&adapter, &long_sum().model(), Mode::Folded)).unwrap();
        let kernels = session.kernels(1).unwrap();
        assert_eq!(kernels[0], "conv_tiled", "{name}: {kernels:?}");
        assert_eq!(kernels.len(), if name.contains("split") { 2 } else { 1 }, "{name}: {kernels:?}");
    }
}

/// Runs with a change of one weight: the last one of an output, which is in the last stage.
struct Perturbed(SessionRunner);

impl Runner for Perturbed {
    fn name(&self) -> String {
        "perturbed".into()
    }

    fn precision(&self) -> Precision {
        self.0.precision()
    }

    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> doconv::Result<Vec<Tensor>> {
        let mut weights = model.weights().clone();
        let kernel = weights.values_mut().next().expect("a kernel");
        kernel.data_mut()[148 * 9 - 1] += 0.1;
        self.0.run(&Model::new(model.network().clone(), weights)?, mode, inputs)
    }
}

#[test]
fn long_sums_are_whole() {
    for (name, adapter) in adapters() {
        let runner = || SessionRunner::new(name.clone(), adapter.clone());
        check_one(&mut runner(), &long_sum()).unwrap_or_else(|report| panic!("{report}"));
        let report = check_one(&mut Perturbed(runner()), &long_sum()).expect_err("a wrong weight");
        assert!(report.contains("tolerance"), "{report}");
    }
}
