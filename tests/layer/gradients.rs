//! Random layers: the reference against finite differences, and every adapter against the reference.

use doconv::network::{Conv2d, DoConv, Pairing};
use doconv::plan::Mode;
use doconv::reference::{self, Map};
use doconv::{Adapter, Error, Tensor, Weights};
use pollster::block_on;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::common::adapters::adapters;
use crate::random::{Case, Numbers, Results, cases, narrow};

/// The same cases every time; `PROPTEST_CASES` draws more of them, `PROPTEST_RNG_SEED` others.
pub fn runner(cases: u32) -> TestRunner {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 100, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0);
    }
    TestRunner::new(config)
}

/// `Σ grad_output · output` of a layer.
fn loss(case: &Case, numbers: &Numbers, input: &Map, w: &[f64], d: &[f64], bias: &[f64]) -> f64 {
    let DoConv { d_mul, pairing } = case.attributes();
    let kernel = reference::fold(&case.conv, d_mul, pairing, w, d);
    let output = reference::conv2d(&case.conv, input, &kernel, Some(bias));
    output.data.iter().zip(&numbers.grad_output.data).map(|(output, gradient)| output * gradient).sum()
}

/// The loss is linear in every single number, so that a difference of any width is the derivative.
#[test]
fn reference_gradients_are_finite_differences() {
    runner(64)
        .run(&cases(), |case| {
            let numbers = case.numbers();
            let (input, bias) = (&numbers.input, &numbers.bias);
            let (w, d) = (&numbers.w, &case.effective_d(&numbers.residual));
            let DoConv { d_mul, pairing } = case.attributes();
            let conv = &case.conv;
            let gradients =
                reference::kernel_composition_gradient(conv, d_mul, pairing, input, w, d, &numbers.grad_output);
            let size = Results::magnitudes(&case, &numbers);
            let scale: f64 = size.output.data.iter().zip(&numbers.grad_output.data).map(|(a, b)| a * b.abs()).sum();
            // A few of the numbers of each kind.
            for pick in 0..5 {
                let at = |values: &[f64]| (case.seed as usize >> (4 * pick)) % values.len();
                let moved = |values: &[f64], by: f64| {
                    let mut values = values.to_vec();
                    let index = at(&values);
                    values[index] += by;
                    values
                };
                let moved_input = |by: f64| Map { shape: input.shape, data: moved(&input.data, by) };
                let difference = |loss: &dyn Fn(f64) -> f64| loss(0.5) - loss(-0.5);
                let found = [
                    ("input", difference(&|by| loss(&case, &numbers, &moved_input(by), w, d, bias))),
                    ("W", difference(&|by| loss(&case, &numbers, input, &moved(w, by), d, bias))),
                    ("D", difference(&|by| loss(&case, &numbers, input, w, &moved(d, by), bias))),
                    ("bias", difference(&|by| loss(&case, &numbers, input, w, d, &moved(bias, by)))),
                ];
                let wanted = [
                    gradients.input.data[at(&input.data)],
                    gradients.w[at(w)],
                    gradients.d[at(d)],
                    gradients.bias[at(bias)],
                ];
                for ((what, found), wanted) in found.into_iter().zip(wanted) {
                    let off = (found - wanted).abs();
                    if off > 1e-13 * (scale + wanted.abs() + 1.0) {
                        return Err(TestCaseError::fail(format!("{what}: {wanted}, by differences {found}")));
                    }
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn both_compositions_have_the_same_gradients() {
    runner(64)
        .run(&cases(), |case| {
            if !case.has_feature_form() {
                return Ok(());
            }
            let numbers = case.numbers();
            let DoConv { d_mul, pairing } = case.attributes();
            let Numbers { input, w, grad_output, .. } = &numbers;
            let d = &case.effective_d(&numbers.residual);
            let kernel = reference::kernel_composition_gradient(&case.conv, d_mul, pairing, input, w, d, grad_output);
            let feature = reference::feature_composition_gradient(&case.conv, d_mul, input, w, d, grad_output);
            let mut pairs =
                vec![(&kernel.input.data, &feature.input.data), (&kernel.w, &feature.w), (&kernel.bias, &feature.bias)];
            // A 1×1 kernel has no D, whatever the pairing.
            if case.conv.taps() > 1 {
                pairs.push((&kernel.d, &feature.d));
            }
            for (a, b) in pairs {
                let range = a.iter().fold(1.0f64, |range, value| range.max(value.abs()));
                let off = a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
                if off > 1e-12 * range {
                    return Err(TestCaseError::fail(format!("{off} off")));
                }
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// For every result, how many terms each of the sums has that lead to it: composing, and the convolutions of either way.
fn sums(case: &Case, numbers: &Numbers, what: &str) -> Vec<usize> {
    let conv = &case.conv;
    let (taps, cpg, q, s) = (conv.taps(), conv.channels_per_group(), conv.outputs_per_group(), case.attributes().d_mul);
    let [n, _, height, width] = numbers.grad_output.shape;
    let pixels = n * height * width;
    match what {
        "folded" => vec![s],
        "output" => vec![s, taps, cpg * taps.max(s)],
        // Padding that copies a pixel lets it have more terms, but never more than there are pixels.
        "grad_input" => vec![s, q * s, q * taps.min(pixels) * if conv.padding == [0; 4] { 1 } else { 9 }],
        "grad_W" => vec![taps, pixels, s],
        "grad_D" => vec![q, pixels, s],
        _ => vec![pixels],
    }
}

/// What a case should give.
pub struct Expected {
    pub numbers: Numbers,
    want: Results,
    size: Results,
}

impl Expected {
    pub fn of(case: &Case) -> Self {
        let numbers = case.numbers();
        Self { want: Results::of(case, &numbers), size: Results::magnitudes(case, &numbers), numbers }
    }
}

/// Compares results of a run with the reference: the worst deviation in tolerances, or what is wrong.
///
/// A sum of K products may be off by `√K · 2⁻²⁴` of the sum of their absolute values (Higham and Mary, 2019), the sums
/// that lead to a result add up, and four times that is still tolerated.
pub fn compare(case: &Case, expected: &Expected, got: &Weights) -> Result<f64, String> {
    let Expected { numbers, want, size } = expected;
    let (want, size) = (want.named(&case.conv), size.named(&case.conv));
    if got.len() != want.len() {
        return Err(format!("results {:?}", got.keys()));
    }
    let mut worst = 0.0f64;
    for ((name, want), (_, size)) in want.into_iter().zip(size) {
        let got = got.get(name).ok_or_else(|| format!("there is no {name}"))?;
        if got.data().len() != want.len() {
            return Err(format!("{name} has the shape {:?}", got.shape()));
        }
        let growth: f64 = sums(case, numbers, name).iter().map(|&terms| 4.0 + (terms as f64).sqrt()).sum();
        for (index, (&got, (&want, &size))) in got.data().iter().zip(want.iter().zip(size)).enumerate() {
            let tolerance = 4.0 * growth * size / f64::from(1 << 24) + 1e-35;
            let ratio = (f64::from(got) - want).abs() / tolerance;
            // Not a number is never close.
            if ratio.is_nan() || ratio > 1.0 {
                return Err(format!("{name}[{index}] is {got}, not {want} ± {tolerance:e}"));
            }
            worst = worst.max(ratio);
        }
    }
    Ok(worst)
}

pub fn run(case: &Case, numbers: &Numbers, adapter: &Adapter, mode: Mode) -> doconv::Result<Weights> {
    let input = narrow(numbers.input.shape, &numbers.input.data);
    let grad_output = narrow(numbers.grad_output.shape, &numbers.grad_output.data);
    block_on(case.layer(numbers).run(adapter, mode, &input, Some(&grad_output)))
}

/// The steps without any adapter, in the buffers that the plan assigns.
fn run_plan(case: &Case, numbers: &Numbers, mode: Mode) -> doconv::Result<Weights> {
    let (plan, names) = case.layer(numbers).plan(mode, &numbers.input.shape, true)?;
    let inputs = [&numbers.input, &numbers.grad_output].map(|map| narrow(map.shape, &map.data));
    let results = reference::interpret_plan(&plan, mode, 1, &inputs)?;
    Ok(names.into_iter().map(String::from).zip(results).collect())
}

fn check(case: &Case, expected: &Expected, mode: Mode, results: doconv::Result<Weights>) -> Result<f64, String> {
    if mode == Mode::Feature && !case.has_feature_form() {
        return match results {
            Err(Error::Unsupported(reason)) if reason.contains("torch pairing") => Ok(0.0),
            other => Err(format!("should be unsupported, is {other:?}")),
        };
    }
    compare(case, expected, &results.map_err(|error| error.to_string())?)
}

fn check_all(name: &str, count: u32, run: impl Fn(&Case, &Numbers, Mode) -> doconv::Result<Weights>) {
    let worst = std::cell::Cell::new(0.0f64);
    let result = runner(count).run(&cases(), |case| {
        let expected = Expected::of(&case);
        for mode in Mode::ALL {
            let ratio = check(&case, &expected, mode, run(&case, &expected.numbers, mode))
                .map_err(|reason| TestCaseError::fail(format!("mode {}: {reason}", mode.name())))?;
            worst.set(worst.get().max(ratio));
        }
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{name}: {error}"));
    println!("{name}: at worst {:.3} of the tolerance", worst.get());
}

#[test]
fn the_plan_computes_random_layers() {
    check_all("plan", 100, run_plan);
}

#[test]
fn every_adapter_computes_random_layers() {
    for (name, adapter) in adapters() {
        let count = if adapter.gpu().is_some() { 24 } else { 200 };
        check_all(&name, count, |case, numbers, mode| run(case, numbers, &adapter, mode));
    }
}

/// Layers large enough for whole tiles of either tier, and for sums in several parts.
#[test]
fn every_adapter_computes_layers_of_many_tiles() {
    let layer = |inputs, outputs, groups, kernel: [usize; 2], stride: usize| {
        let doconv = Some(DoConv { d_mul: kernel[0] * kernel[1], pairing: Pairing::Paper });
        let padding = [1, 2, 0, 1];
        Conv2d { groups, stride: [stride; 2], padding, doconv, bias: true, ..Conv2d::new(inputs, outputs, kernel) }
    };
    let layers = [
        (layer(22, 70, 1, [3, 3], 1), [2, 13, 11]),
        (layer(40, 64, 2, [3, 2], 2), [2, 17, 14]),
        (layer(70, 20, 1, [1, 1], 1), [3, 9, 15]),
        (layer(18, 18, 18, [5, 5], 1), [2, 17, 19]),
        (layer(10, 30, 10, [3, 3], 2), [2, 21, 19]),
        (layer(9, 15, 3, [3, 3], 1), [2, 19, 17]),
    ];
    let cases = layers.into_iter().zip(0..).map(|((conv, size), seed)| {
        let padding = if conv.taps() == 1 { [0; 4] } else { conv.padding };
        let case = Case { conv: Conv2d { padding, ..conv }, size, seed };
        let expected = Expected::of(&case);
        (case, expected)
    });
    let cases: Vec<_> = cases.collect();
    for (name, adapter) in adapters() {
        for (case, expected) in &cases {
            for mode in Mode::ALL {
                check(case, expected, mode, run(case, &expected.numbers, &adapter, mode))
                    .unwrap_or_else(|reason| panic!("{name}, {}, {case:?}: {reason}", mode.name()));
            }
        }
    }
}

#[test]
fn the_comparator_rejects_every_perturbation() {
    runner(10)
        .run(&cases(), |case| {
            let expected = Expected::of(&case);
            let exact = run(&case, &expected.numbers, &Adapter::cpu(), Mode::Kernel).unwrap();
            compare(&case, &expected, &exact).map_err(TestCaseError::fail)?;
            for name in exact.keys() {
                let perturbed = |change: &dyn Fn(&mut Tensor)| {
                    let mut results = exact.clone();
                    change(results.get_mut(name).unwrap());
                    compare(&case, &expected, &results)
                };
                let middle = exact[name].data().len() / 2;
                let range = exact[name].data().iter().fold(0.0f32, |range, value| range.max(value.abs()));
                for off in [0.01 * range + 1e-6, f32::NAN, f32::INFINITY] {
                    let change = |tensor: &mut Tensor| tensor.data_mut()[middle] += off;
                    if perturbed(&change).is_ok() {
                        return Err(TestCaseError::fail(format!("{name} may be {off} off")));
                    }
                }
                let mut fewer = exact.clone();
                fewer.remove(name);
                assert!(compare(&case, &expected, &fewer).is_err());
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
