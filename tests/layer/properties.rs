//! What is true of every DO-Conv layer.

use doconv::doconv::{Composed, Expansion, add_identity, fold};
use doconv::network::{Conv2d, DoConv, Pairing};
use doconv::plan::{Mode, Step};
use doconv::{Adapter, Error, Layer, Tensor, reference};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use crate::gradients::{run, runner};
use crate::random::{Random, cases, narrow};

fn close(a: &[f64], b: &[f64], relative: f64) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.len(), b.len());
    let range = a.iter().fold(1e-300f64, |range, value| range.max(value.abs()));
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        prop_assert!((a - b).abs() <= relative * range, "element {}: {} and {}", index, a, b);
    }
    Ok(())
}

#[test]
fn composed_layers_are_folded_layers() {
    runner(100)
        .run(&cases(), |case| {
            let (numbers, conv) = (case.numbers(), &case.conv);
            let DoConv { d_mul, pairing } = case.attributes();
            if !case.has_feature_form() {
                return Ok(());
            }
            let d = case.effective_d(&numbers.residual);
            let kernel = reference::fold(conv, d_mul, pairing, &numbers.w, &d);
            let folded = reference::conv2d(conv, &numbers.input, &kernel, Some(&numbers.bias));
            let composed =
                reference::feature_composition(conv, d_mul, &numbers.input, &numbers.w, &d, Some(&numbers.bias));
            close(&folded.data, &composed.data, 1e-12)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn folding_is_linear_in_either_factor() {
    runner(100)
        .run(&cases(), |case| {
            let (numbers, conv) = (case.numbers(), &case.conv);
            let DoConv { d_mul, pairing } = case.attributes();
            let (w, d) = (&numbers.w, &case.effective_d(&numbers.residual));
            let mut random = Random(!case.seed);
            let mut like = |values: &[f64]| values.iter().map(|_| 2.0 * random.next() - 1.0).collect::<Vec<_>>();
            let (other_w, other_d) = (like(w), like(d));
            let mix = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| 3.0 * a - 0.5 * b).collect::<Vec<_>>();
            let fold = |w: &[f64], d: &[f64]| reference::fold(conv, d_mul, pairing, w, d);
            close(&fold(&mix(w, &other_w), d), &mix(&fold(w, d), &fold(&other_w, d)), 1e-13)?;
            close(&fold(w, &mix(d, &other_d)), &mix(&fold(w, d), &fold(w, &other_d)), 1e-13)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn folding_undoes_expanding() {
    runner(100)
        .run(&(cases(), 0.0..0.3f64), |(case, jitter)| {
            let mut conv = case.conv.clone();
            if conv.taps() == 1 {
                return Ok(());
            }
            let d_mul = case.attributes().d_mul.max(conv.taps());
            conv.doconv = None;
            let mut random = Random(case.seed);
            let count = conv.kernel_shape().iter().product();
            let kernel: Vec<f64> = (0..count).map(|_| 2.0 * random.next() - 1.0).collect();
            let expansion = Expansion { d_mul: Some(d_mul), jitter, seed: case.seed };
            let expanded = expansion.expand("layer", &conv, &narrow(conv.kernel_shape(), &kernel)).unwrap();
            let mut d = expanded.d_residual;
            add_identity(conv.taps(), d_mul, d.data_mut());
            let folded = fold(&conv, &Composed { w: expanded.w, d, attributes: expanded.attributes }).unwrap();
            let folded: Vec<f64> = folded.data().iter().map(|&value| value.into()).collect();
            close(&kernel, &folded, 1e-4)
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn torch_pairing_that_mixes_channels_has_no_feature_form() {
    let refused_cases = std::cell::Cell::new(0);
    runner(200)
        .run(&cases(), |mut case| {
            case.conv.doconv = Some(DoConv { pairing: Pairing::Torch, ..case.attributes() });
            let result = run(&case, &case.numbers(), &Adapter::cpu(), Mode::Feature);
            if case.has_feature_form() {
                prop_assert!(result.is_ok(), "{:?}", result);
                return Ok(());
            }
            let Err(Error::Unsupported(reason)) = result else {
                return Err(TestCaseError::fail("it is not refused"));
            };
            for part in ["layer", "torch pairing", "several D", "use mode folded or kernel"] {
                prop_assert!(reason.contains(part), "{}", reason);
            }
            refused_cases.set(refused_cases.get() + 1);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
    assert!(refused_cases.get() > 20, "only {} of the layers mix channels", refused_cases.get());
}

/// An executor may run both convolutions as one, and then writes the output while it still reads the input.
#[test]
fn the_input_of_feature_composition_outlives_it() {
    runner(30)
        .run(&cases(), |case| {
            if !case.has_feature_form() || case.conv.taps() == 1 {
                return Ok(());
            }
            let numbers = case.numbers();
            let (plan, _) = case.layer(&numbers).plan(Mode::Feature, &numbers.input.shape, false).unwrap();
            let memory = plan.memory(1, |shape| shape.iter().product());
            let convolutions = plan.steps().iter().filter_map(|step| match step {
                Step::Conv(conv) => Some(conv),
                _ => None,
            });
            let [d, w] = convolutions.collect::<Vec<_>>()[..] else {
                return Err(TestCaseError::fail("there are two convolutions"));
            };
            prop_assert_eq!(d.output, w.input);
            if case.attributes().d_mul > 1 {
                prop_assert_ne!(memory.buffer_of(d.input), memory.buffer_of(w.output));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

/// Beyond 120 MiB a network's kernels become several, for devices that cannot bind as much; a layer's kernel is looked at, and
/// is one.
#[test]
fn a_large_kernel_stays_in_one_piece() {
    let doconv = Some(DoConv { d_mul: 1, pairing: Pairing::Paper });
    let conv = Conv2d { doconv, ..Conv2d::new(4096, 8192, [1, 1]) };
    let layer = Layer::new(conv, [("W".into(), Tensor::zeros([8192, 4096, 1]))].into()).unwrap();
    for mode in Mode::ALL {
        let (plan, names) = layer.plan(mode, &[2, 4096, 1, 1], true).unwrap();
        let shapes = plan.outputs().iter().map(|&id| plan.value(id).shape);
        let [output, kernel, input] = [[2, 8192, 1, 1], [8192, 4096, 1, 1], [2, 4096, 1, 1]];
        assert_eq!(shapes.collect::<Vec<_>>(), [output, kernel, input, kernel], "{names:?}");
    }
}
