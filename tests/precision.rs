//! Half precision on every adapter that has it: every operator against the reference, with what rounding may do in it.
//!
//! The shaders are checked without an adapter in `shaders.rs`; a machine whose adapters have no half precision runs no more
//! than that, and says so.

mod common;

use common::graph::Graph;
use common::parallel::each_in_parallel;
use common::problem::Problem;
use common::problems::FAMILIES;
use common::runners::SessionRunner;
use common::suite::{Runner, check, check_one};
use doconv::gpu::policy::Tier;
use doconv::network::{Activation, Conv2d, Op};
use doconv::winograd::Winograd;
use doconv::{Adapter, Error, Image, Layer, Mode, Model, Precision, Selector, Session, Tensor, reference};
use pollster::block_on;
use proptest::prelude::*;
use proptest::strategy::BoxedStrategy;

const HALF: [Precision; 2] = [Precision::F16Storage, Precision::F16];

fn adapters() -> Vec<Adapter> {
    let infos = block_on(Adapter::list());
    (0..infos.len()).map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

/// Every adapter that has half precision, in it.
fn half() -> Vec<(Adapter, Precision)> {
    let pairs = adapters().into_iter().flat_map(|adapter| HALF.map(|precision| (adapter.clone(), precision)));
    let in_half =
        |(adapter, precision): (Adapter, Precision)| Some((adapter.with_precision(precision).ok()?, precision));
    let found: Vec<_> = pairs.filter_map(in_half).collect();
    if found.is_empty() {
        println!("not run: no adapter here has shader-f16");
    }
    found
}

#[test]
fn only_what_has_it_takes_it() {
    for adapter in adapters() {
        let name = adapter.info().name.clone();
        let has_f16 = adapter.info().features.iter().any(|feature| feature == "shader-f16");
        for precision in HALF {
            match adapter.clone().with_precision(precision) {
                Ok(adapter) => assert!(has_f16 && adapter.precision() == precision, "{name}"),
                Err(error) => {
                    let message = error.to_string();
                    assert!(!has_f16 && matches!(error, Error::Precision { .. }), "{name}");
                    assert!(message.to_lowercase().contains(&name) || message.contains(&name), "{message}");
                    assert!(message.contains("precision `f32`") && message.contains(precision.name()), "{message}");
                }
            }
        }
        assert_eq!(adapter.with_precision(Precision::F32).unwrap().precision(), Precision::F32);
    }
}

#[test]
fn every_operator_computes_what_the_reference_says() {
    let tiers = |(adapter, precision): (Adapter, Precision)| {
        [Tier::Software, Tier::Hardware].map(|tier| {
            let name = format!("{} ({tier:?} tier, {})", adapter.info().name, precision.name());
            (name, adapter.clone().with_device(|device| device.set_tier(tier)))
        })
    };
    each_in_parallel(half().into_iter().flat_map(tiers).collect(), |(name, adapter)| {
        let mut runner = SessionRunner::new(name.clone(), adapter);
        for (family, problems) in FAMILIES {
            match check(&mut runner, family, problems()) {
                Ok(worst) => println!("{name}, {family}: at worst {worst:.3} of the tolerance"),
                Err(report) => panic!("{report}"),
            }
        }
    });
}

/// Layers that consist of whole matrices of 16 × 16, which matrix units run where there are any.
fn matrices() -> BoxedStrategy<Problem> {
    let channels = (1usize..=3, proptest::sample::select(vec![1usize, 2, 4, 5]), 1usize..=2);
    let geometry =
        ([1usize..=3, 1usize..=3], [1usize..=2, 1usize..=2], [0usize..=2, 0usize..=2, 0usize..=2, 0usize..=2]);
    let tail = (any::<bool>(), proptest::option::of(proptest::sample::select(Activation::ALL.to_vec())));
    (channels, geometry, [5usize..=13, 5usize..=13], tail, (any::<u64>(), 1usize..=3))
        .prop_map(|((inputs, outputs, groups), (kernel, stride, padding), size, (residual, activation), numbers)| {
            let (in_channels, out_channels) = (16 * inputs * groups, 16 * outputs * groups);
            let conv = Conv2d { stride, padding, groups, bias: true, ..Conv2d::new(in_channels, out_channels, kernel) };
            let mut graph = Graph::new([in_channels, size[0], size[1]]);
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

/// The shader for matrix units with a matrix as eight numbers in each of 32 invocations, and the four operations on matrices as
/// functions of where these begin in memory. What is left untested is what the units themselves make of the operations.
fn emulator(wgsl: &str) -> String {
    const OPERATIONS: &str = "
var<private> lane: u32;

fn product(a: u32, b: u32, sums: array<f32, 8>, row: u32) -> array<f32, 8> {
    var result = sums;
    for (var i = 0u; i < 8u; i++) {
        let at = lane * 8u + i;
        for (var k = 0u; k < 16u; k++) {
            result[i] += f32(values[a + at / 16u * 16u + k]) * f32(kernel[b + k * row + at % 16u]);
        }
    }
    return result;
}

fn put(matrix: array<f32, 8>, first: u32, row: u32) {
    var numbers = matrix;
    for (var i = 0u; i < 8u; i++) {
        let at = lane * 8u + i;
        sums[first + at / 16u * row + at % 16u] = numbers[i];
    }
}
";
    let line = |line: &str| match line.trim() {
        "enable wgpu_cooperative_matrix;" => String::new(),
        entry if entry.starts_with("@compute") => format!("{OPERATIONS}\n{entry}"),
        first if first.starts_with("let out_area") => format!("lane = index;\n{first}"),
        // Where it begins stands for the matrix.
        load if load.contains("coopLoadT") => {
            let (name, rest) = load.split_once(" = ").expect("a variable");
            let place = rest.split_once('[').and_then(|(_, rest)| rest.split_once(']')).expect("a place").0;
            format!("{name} = u32({place});")
        }
        multiply if multiply.contains("coopMultiplyAdd") => {
            multiply.replace("coopMultiplyAdd(", "product(").replace(");", ", row_outputs);")
        }
        store if store.starts_with("coopStoreT") => {
            store.replace("coopStoreT(", "put(").replace("&sums[", "").replace("],", ",")
        }
        other => other.replace("coop_mat16x16<f32, C>()", "array<f32, 8>()"),
    };
    wgsl.lines().map(|text| line(text) + "\n").collect()
}

/// Half precision with the kernels that real GPUs get, matrix units emulated.
fn emulated() -> Vec<(Adapter, Precision)> {
    let emulate = |(adapter, precision): (Adapter, Precision)| {
        let adapter = adapter.with_device(|device| {
            device.set_tier(Tier::Hardware);
            device.emulate_matrix_units(emulator);
        });
        (adapter, precision)
    };
    half().into_iter().map(emulate).collect()
}

#[test]
fn whole_matrices_are_multiplied_right() {
    for (adapter, precision) in emulated() {
        let adapter = adapter.with_device(|device| device.prefer(Some("matrix")));
        let name = format!("{} ({})", adapter.info().name, precision.name());
        let session = block_on(Session::load(&adapter, &layer(16, 16, 1).model(), Mode::Folded)).unwrap();
        assert_eq!(session.kernels(1).unwrap(), ["conv_matrix"], "{name}");
        match check(&mut SessionRunner::new(name.clone(), adapter), "matrices", matrices()) {
            Ok(worst) => println!("{name}: at worst {worst:.3} of the tolerance"),
            Err(report) => panic!("{report}"),
        }
    }
}

#[test]
fn matrix_units_are_used_where_matrices_are_whole() {
    for (adapter, _) in emulated() {
        let kernels = |adapter: &Adapter, inputs, outputs, groups| {
            let session =
                block_on(Session::load(adapter, &layer(inputs, outputs, groups).model(), Mode::Folded)).unwrap();
            session.kernels(1).unwrap()
        };
        assert_eq!(kernels(&adapter, 64, 64, 1), ["conv_matrix"], "and no filtering");
        assert_eq!(kernels(&adapter, 64, 40, 1)[0], "conv_tiled");
        assert_eq!(kernels(&adapter, 32, 32, 32), ["conv_depthwise"]);
        let exact = adapter.clone().with_precision(Precision::F32).unwrap();
        assert!(!kernels(&exact, 64, 64, 1).contains(&"conv_matrix".into()), "they have no single precision");
    }
}

#[test]
fn wrong_and_refused_matrix_units_are_left_alone() {
    let wrong: fn(&str) -> String = |wgsl| emulator(wgsl).replace("result[i] +=", "result[i] -=");
    let refused: fn(&str) -> String = |wgsl| wgsl.replace("coopLoadT", "coopLoadSideways");
    for (adapter, precision) in emulated() {
        for (emulator, faults) in [(wrong, 1), (refused, 0)] {
            let adapter = adapter.clone().with_device(|device| device.emulate_matrix_units(emulator));
            let session = block_on(Session::load(&adapter, &layer(64, 64, 1).model(), Mode::Folded)).unwrap();
            assert_eq!((session.faults().len(), session.precision()), (faults, precision), "{:?}", session.faults());
            assert!(!session.kernels(1).unwrap().contains(&"conv_matrix".into()), "{:?}", session.kernels(1));
        }
    }
}

/// A 3×3 layer with bias and ReLU.
fn layer(inputs: usize, outputs: usize, groups: usize) -> Problem {
    let mut graph = Graph::new([inputs, 11, 11]);
    let conv = Conv2d { padding: [1; 4], groups, bias: true, ..Conv2d::new(inputs, outputs, [3, 3]) };
    let value = graph.add(Op::Conv2d(conv), &["input"]);
    let value = graph.add(Op::Activation(Activation::Relu), &[&value]);
    Problem::new(graph.finish(&[&value]), 5, 1)
}

/// Runs with a change of one weight.
struct Perturbed(SessionRunner, f32);

impl Runner for Perturbed {
    fn name(&self) -> String {
        "perturbed".into()
    }

    fn precision(&self) -> Precision {
        self.0.precision()
    }

    fn winograd(&self, conv: &Conv2d, output: [usize; 2]) -> Option<Winograd> {
        self.0.winograd(conv, output)
    }

    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> doconv::Result<Vec<Tensor>> {
        let mut weights = model.weights().clone();
        let kernel = weights.values_mut().find(|tensor| tensor.shape().len() == 4).expect("a kernel");
        kernel.data_mut()[4] += self.1;
        self.0.run(&Model::new(model.network().clone(), weights)?, mode, inputs)
    }
}

#[test]
fn a_weight_that_is_off_is_found() {
    for (adapter, precision) in half() {
        for problem in [layer(3, 16, 1), layer(16, 16, 1), layer(16, 16, 16)] {
            let run = |off: f32| {
                let runner = SessionRunner::new("half".into(), adapter.clone());
                check_one(&mut Perturbed(runner, off), &problem)
            };
            run(0.0).unwrap();
            // Of weights of about 0.1.
            let off = if precision == Precision::F16 { 0.05 } else { 0.02 };
            let report = run(off).expect_err("a wrong weight");
            assert!(report.contains("tolerance"), "{report}");
        }
    }
}

/// Half precision is really used: results are those of numbers that were rounded to it, and not those of single precision.
#[test]
fn numbers_are_stored_in_half() {
    let problem = layer(16, 16, 1);
    let (model, inputs) = (problem.model(), problem.inputs());
    let exact = reference::run(&model, &inputs).unwrap();
    for (adapter, precision) in half() {
        for algorithm in [None, Some("winograd_f2"), Some("winograd_f4")] {
            let adapter = adapter.clone().with_device(|device| device.prefer(algorithm));
            let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
            assert_eq!(session.precision(), precision);
            let got = block_on(session.run(&inputs)).unwrap().swap_remove(0);
            assert!(got.data().iter().all(|&value| half::f16::from_f32(value).to_f32() == value));
            let off = got.data().iter().zip(&exact[0].data).map(|(&got, want)| (f64::from(got) - want).abs());
            let off = off.fold(0.0f64, f64::max);
            assert!((1e-5..2e-2).contains(&off), "{}, {algorithm:?}: {off}", precision.name());
        }
    }
}

#[test]
fn photographs_are_ranked_alike() {
    let model = Model::bundled().unwrap();
    let images = ["photos/chelsea.png", "photos/coffee.png"].map(|path| Image::open(path).unwrap());
    let mut exact = block_on(Session::load(&Adapter::cpu(), &model, Mode::Folded)).unwrap();
    let want = block_on(exact.classify(&images, 5)).unwrap();
    let pixels = block_on(exact.preprocess(&images)).unwrap();
    for (adapter, precision) in half() {
        for mode in Mode::ALL {
            let mut session = block_on(Session::load(&adapter, &model, mode)).unwrap();
            let got = block_on(session.classify(&images, 5)).unwrap();
            for (got, want) in got.iter().zip(&want) {
                let name = format!("{} in {}, mode {}", adapter.info().name, precision.name(), mode.name());
                assert_eq!(got[0].class, want[0].class, "{name}");
                let off = (got[0].probability - want[0].probability).abs();
                println!("{name}: {} {:.3}, off by {off:.4}", got[0].label, got[0].probability);
                assert!(off < 0.05, "{name}: {off}");
            }
            let half = block_on(session.preprocess(&images)).unwrap();
            let rounded = |(&got, &want): (&f32, &f32)| (got - want).abs() <= want.abs() / 1024.0 + 1e-4;
            assert!(half.data().iter().zip(pixels.data()).all(rounded));
        }
    }
}

#[test]
fn gradients_are_refused_with_the_way_out() {
    use doconv::network::{DoConv, Pairing};
    let conv = Conv2d { doconv: Some(DoConv { d_mul: 2, pairing: Pairing::Paper }), ..Conv2d::new(4, 4, [1, 2]) };
    let parameters =
        [("W".into(), Tensor::new([4, 4, 2], vec![0.5; 32]).unwrap()), ("D".into(), Tensor::zeros([4, 2, 2]))];
    let layer = Layer::new(conv, parameters.into()).unwrap();
    let input = Tensor::new([1, 4, 1, 3], vec![1.0; 12]).unwrap();
    let gradient = Tensor::new([1, 4, 1, 2], vec![1.0; 8]).unwrap();
    for (adapter, precision) in half() {
        let forward = block_on(layer.run(&adapter, Mode::Folded, &input, None)).unwrap();
        assert_eq!(forward["output"].data(), [4.0; 8]);
        assert_eq!(forward["folded"].data(), [0.5; 32]);
        let error = block_on(layer.run(&adapter, Mode::Folded, &input, Some(&gradient))).unwrap_err().to_string();
        assert!(error.contains(precision.name()) && error.contains("precision `f32`"), "{error}");
    }
}
