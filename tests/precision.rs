//! Half precision on every adapter that has it: every operator against the reference, with what rounding may do in it.
//!
//! The shaders are checked without an adapter in `shaders.rs`; a machine whose adapters have no half precision runs no more
//! than that, and says so.

mod common;

use common::graph::Graph;
use common::problem::Problem;
use common::problems::FAMILIES;
use common::runners::SessionRunner;
use common::suite::{Runner, check, check_one};
use doconv::gpu::Tier;
use doconv::gpu::choose::Algorithm;
use doconv::gpu::winograd::Winograd;
use doconv::network::{Activation, Conv2d, Op};
use doconv::{Adapter, Error, Image, Layer, Mode, Model, Precision, Selector, Session, Tensor, reference};
use pollster::block_on;

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
                    assert!(!has_f16 && matches!(error, Error::Unsupported(_)), "{name}");
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
    for (adapter, precision) in half() {
        for tier in [Tier::Software, Tier::Hardware] {
            let adapter = adapter.clone().with_device(|device| device.set_tier(tier));
            let name = format!("{} ({tier:?} tier, {})", adapter.info().name, precision.name());
            let mut runner = SessionRunner::new(name.clone(), adapter);
            for (family, problems) in FAMILIES {
                match check(&mut runner, family, problems()) {
                    Ok(worst) => println!("{name}, {family}: at worst {worst:.3} of the tolerance"),
                    Err(report) => panic!("{report}"),
                }
            }
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
        for algorithm in [None, Some(Algorithm::Winograd(Winograd::F2)), Some(Algorithm::Winograd(Winograd::F4))] {
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
