//! The benchmark: its record, its checks, and that what it times is the network.
//!
//! Nothing here says how long anything may take.

mod common;

use std::ops::ControlFlow;
use std::time::Duration;

use common::problem::Problem;
use doconv::bench::{self, Environment, Expected, Measurement, Options, Outcome, Progress, Record, Suite};
use doconv::network::{Activation, Conv2d, DoConv, FORMAT_VERSION, Input, Linear, Network, Node, Op, Pairing};
use doconv::{Adapter, Mode, Model, Precision, Selector, Session, Tensor, reference};
use pollster::block_on;

/// Every adapter, the CPU path last.
fn adapters() -> Vec<Adapter> {
    let count = block_on(Adapter::list()).len();
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(count > 1 || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    (0..count).map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

/// Three DO-Conv layers, so that the third writes where the input was, and a classifier.
fn tiny() -> Problem {
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    let conv = |inputs| Op::Conv2d(Conv2d { padding: [1; 4], bias: true, doconv, ..Conv2d::new(inputs, 8, [3, 3]) });
    let node = |name: &str, input: &str, op| Node { name: name.into(), inputs: vec![input.into()], op };
    let network = Network {
        version: FORMAT_VERSION,
        name: "tiny".into(),
        inputs: vec![Input::new("image", [3, 9, 9])],
        nodes: vec![
            node("conv1", "image", conv(3)),
            node("relu1", "conv1", Op::Activation(Activation::Relu)),
            node("conv2", "relu1", conv(8)),
            node("conv3", "conv2", conv(8)),
            node("pool", "conv3", Op::GlobalAvgPool),
            node("flat", "pool", Op::Flatten),
            node("classes", "flat", Op::Linear(Linear { in_features: 8, out_features: 5, bias: true })),
        ],
        outputs: vec!["classes".into()],
        preprocess: None,
        labels: vec![],
    };
    Problem { composed: true, ..Problem::new(network, 7, 1) }
}

fn options(suites: &[Suite], filter: &str) -> Options {
    Options { suites: suites.to_vec(), filter: filter.into(), budget: Duration::from_millis(1), ..Options::default() }
}

fn run(adapter: &Adapter, model: &Model, options: &Options) -> Record {
    let go_on = |_: Progress| ControlFlow::Continue(());
    block_on(bench::run(adapter, Some(model), options, Environment::here(), go_on)).unwrap()
}

fn figures(outcome: &Outcome) -> &Measurement {
    match outcome {
        Outcome::Measured(measurement) => measurement,
        Outcome::Failed { error } => panic!("{error}"),
    }
}

#[test]
fn every_adapter_gives_a_record_of_right_results() {
    let model = tiny().model();
    for adapter in adapters() {
        // The smallest layer there is, with the network in its three modes.
        let network = run(&adapter, &model, &options(&[Suite::Networks], ""));
        let layer = run(&adapter, &model, &options(&Suite::ALL, "dw3x3-384"));
        let text = serde_json::to_string(&network).unwrap();
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), network, "{text}");
        assert_eq!((network.schema.as_str(), network.stopped), (bench::SCHEMA, false));
        assert_eq!(&network.adapter, adapter.info());
        assert!(network.date.len() == 20 && network.date.ends_with('Z'), "{}", network.date);
        assert_eq!(network.results.iter().map(|case| case.mode).collect::<Vec<_>>(), Mode::ALL);
        assert_eq!(layer.results.iter().map(|case| case.macs).collect::<Vec<_>>(), [14 * 14 * 384 * 9]);
        for case in network.results.iter().chain(&layer.results) {
            let figures = figures(&case.outcome);
            let what = format!("{} in mode {} on {}", case.name, case.mode.name(), adapter.info().name);
            assert!(figures.check.ok, "{what}: {:?}", figures.check);
            assert_eq!(figures.check.reference, "f64 reference", "{what}");
            assert!(figures.check.largest_error.unwrap() <= figures.check.tolerance, "{what}: {:?}", figures.check);
            assert!(figures.samples_ms.len() >= 6 && figures.repeats >= 1, "{what}");
            let [low, high] = figures.ci95_ms;
            assert!(0.0 < low && low <= figures.median_ms && figures.median_ms <= high, "{what}: {figures:?}");
            let rate = case.macs as f64 / figures.median_ms / 1e6;
            assert!((figures.gmacs_per_s - rate).abs() < 1e-9 * rate, "{what}: {rate}");
            let kernel = if adapter.gpu().is_some() { "conv_" } else { "cpu" };
            assert!(figures.kernels.iter().any(|name| name.starts_with(kernel)), "{what}: {:?}", figures.kernels);
        }
    }
}

#[test]
fn composing_is_measured_and_right_on_every_adapter() {
    let model = tiny().model();
    for adapter in adapters() {
        // The network beside one that never was DO-Conv, and its kernels; then a layer in three modes, and its kernel.
        let network = run(&adapter, &model, &options(&[Suite::Fold], "tiny"));
        let layer = run(&adapter, &model, &options(&[Suite::Fold], "dw3x3-144"));
        let names = |record: &Record| record.results.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(&network), ["tiny", "tiny plain", "tiny fold"]);
        assert_eq!(names(&layer)[1..], ["dw3x3-144@56", "dw3x3-144@56", "dw3x3-144@56 fold"]);
        for case in network.results.iter().chain(&layer.results) {
            let figures = figures(&case.outcome);
            let what = format!("{} in mode {} on {}", case.name, case.mode.name(), adapter.info().name);
            assert!(figures.check.ok, "{what}: {:?}", figures.check);
            let is_fold = case.name.ends_with(" fold");
            let reference = if is_fold { "f64 fold" } else { "f64 reference" };
            assert_eq!(figures.check.reference, reference, "{what}");
            if is_fold {
                let kernel = if adapter.gpu().is_some() { "compose" } else { "cpu" };
                assert_eq!(figures.kernels, [kernel], "{what}");
            }
            assert!(figures.median_ms > 0.0 && figures.gbytes_per_s > 0.0 && figures.drift.is_some(), "{what}");
        }
        let [folded, plain, fold] = &network.results[..] else { panic!("{network:?}") };
        assert_eq!((folded.macs, folded.bytes), (plain.macs, plain.bytes), "the same network once it is folded");
        // 8 outputs, of 3 or 8 inputs, by 9 taps by 9 columns.
        assert_eq!(fold.macs, (3 + 8 + 8) * 8 * 9 * 9);
        assert_eq!(fold.bytes, 4 * (3 + 8 + 8) * (8 * 9 + 9 * 9 + 8 * 9));
        let [folded, kernel, feature, fold] = &layer.results[..] else { panic!("{layer:?}") };
        assert_eq!((kernel.macs, fold.macs), (folded.macs + fold.macs, 144 * 9 * 9));
        assert_eq!(feature.macs, folded.macs * 10, "nine columns of D, and W");
        let (map, bias) = (144 * 56 * 56, 144);
        assert_eq!(folded.bytes, 4 * (2 * map + 144 * 9 + bias));
        assert_eq!((kernel.bytes, feature.bytes), (4 * (2 * map + 144 * (9 + 81) + bias), kernel.bytes));
    }
}

#[test]
fn a_half_of_a_pair_and_a_network_without_doconv_layers_are_timed_alone() {
    let record = run(&Adapter::cpu(), &tiny().model(), &options(&[Suite::Fold], "plain"));
    assert!(matches!(&record.results[..], [case] if case.name == "tiny plain" && figures(&case.outcome).check.ok));
    let mut plain = tiny();
    for node in &mut plain.network.nodes {
        if let Op::Conv2d(conv) = &mut node.op {
            conv.doconv = None;
        }
    }
    let go_on = |_: Progress| ControlFlow::Continue(());
    let model = Problem { composed: false, ..plain }.model();
    let options = options(&[Suite::Fold], "tiny");
    let error = block_on(bench::run(&Adapter::cpu(), Some(&model), &options, Environment::here(), go_on)).unwrap_err();
    assert!(error.to_string().contains("no case of fold has `tiny`"), "{error}");
}

#[test]
fn every_adapter_has_its_ceilings() {
    for adapter in adapters() {
        let record = run(&adapter, &tiny().model(), &options(&[Suite::Peak], ""));
        let has_f16 = adapter.info().features.iter().any(|feature| feature == "shader-f16");
        let wanted: &[&str] = match adapter.gpu() {
            None => &["f32", "copy"],
            Some(_) if has_f16 => &["f32", "f16", "copy", "dispatch"],
            Some(_) => &["f32", "copy", "dispatch"],
        };
        assert_eq!(record.results.iter().map(|case| case.name.as_str()).collect::<Vec<_>>(), wanted);
        for case in &record.results {
            let figures = figures(&case.outcome);
            let what = format!("{} on {}", case.name, adapter.info().name);
            assert!(figures.check.ok && figures.check.largest_error == Some(0.0), "{what}: {:?}", figures.check);
            assert_eq!((case.mode, case.batch), (Mode::Folded, 1), "{what}");
            let is_arithmetic = case.name.starts_with('f');
            assert_eq!((case.macs > 0, figures.gmacs_per_s > 0.0), (is_arithmetic, is_arithmetic), "{what}");
            assert!(figures.median_ms > 0.0 && case.bytes > 0, "{what}: {figures:?}");
            if case.name == "copy" {
                assert_eq!(case.bytes, 2 * 128 * 1024 * 1024, "{what}");
            }
        }
    }
}

#[test]
fn records_without_the_newer_fields_can_still_be_read() {
    let record = run(&Adapter::cpu(), &tiny().model(), &options(&[Suite::Networks], ""));
    let mut json = serde_json::to_value(&record).unwrap();
    for case in json["results"].as_array_mut().unwrap() {
        for field in ["bytes", "gbytes_per_s", "drift"] {
            assert!(case.as_object_mut().unwrap().remove(field).is_some(), "{field}: {case}");
        }
    }
    let old: Record = serde_json::from_value(json).unwrap();
    let figures = figures(&old.results[0].outcome);
    assert_eq!((old.results[0].bytes, figures.gbytes_per_s, figures.drift), (0, 0.0, None));
}

#[test]
fn what_is_timed_is_the_network() {
    let problem = Problem { batch: 2, ..tiny() };
    let (model, inputs) = (problem.model(), problem.inputs());
    for adapter in adapters() {
        for mode in Mode::ALL {
            let mut session = block_on(Session::load(&adapter, &model, mode)).unwrap();
            // More than fit into one submission.
            for repeats in [0, 1, 2, 150] {
                let repeated = block_on(session.repeat(&inputs, repeats)).unwrap();
                let once = block_on(session.run(&inputs)).unwrap();
                assert_eq!(repeated.outputs, once, "{repeats} × {} on {}", mode.name(), adapter.info().name);
                assert!(!repeated.elapsed.is_zero());
            }
            let wrong = block_on(session.repeat(&[Tensor::zeros([1, 3, 9, 8])], 1)).unwrap_err();
            assert!(wrong.to_string().contains("expected [N, 3, 9, 9]"), "{wrong}");
        }
    }
}

#[test]
fn half_precision_is_checked_and_said() {
    let model = tiny().model();
    let options = options(&[Suite::Networks, Suite::Fold], "tiny");
    for adapter in adapters() {
        let exact = run(&adapter, &model, &options);
        for precision in [Precision::F16Storage, Precision::F16] {
            let Ok(adapter) = adapter.clone().with_precision(precision) else { continue };
            let record = run(&adapter, &model, &options);
            assert_eq!((record.settings.precision, record.results.len()), (precision, exact.results.len()));
            for (half, exact) in record.results.iter().zip(&exact.results) {
                let measurement = figures(&half.outcome);
                assert!(measurement.check.ok && measurement.precision == precision, "{half:?}");
                assert!(half.bytes < exact.bytes, "{half:?}");
                assert!(measurement.check.tolerance > figures(&exact.outcome).check.tolerance, "{half:?}");
            }
        }
        assert_eq!(exact.settings.precision, Precision::F32);
    }
}

#[test]
fn a_wrong_result_is_flagged() {
    let problem = tiny();
    let (model, inputs) = (problem.model(), problem.inputs());
    let mut session = block_on(Session::load(&Adapter::cpu(), &model, Mode::Folded)).unwrap();
    let outputs = block_on(session.run(&inputs)).unwrap();
    let estimates = reference::run_with_error(&model, &inputs).unwrap();
    let tolerances: Vec<f64> = (0..5).map(|at| estimates[0].tolerance(at)).collect();
    let by_reference = Expected::from_reference(&estimates);
    let by_path = Expected::from_results("another path".into(), Precision::F32, &outputs);
    assert!(by_reference.check(&outputs).ok && by_path.check(&outputs).ok);
    for (at, tolerance) in tolerances.iter().enumerate() {
        let mut wrong = outputs.clone();
        wrong[0].data_mut()[at] = (estimates[0].value.data[at] + 2.0 * tolerance) as f32;
        let check = by_reference.check(&wrong);
        assert!(!check.ok && check.largest_error.unwrap() > check.tolerance, "element {at}: {check:?}");
        wrong[0].data_mut()[at] = f32::NAN;
        assert!(!by_reference.check(&wrong).ok && !by_path.check(&wrong).ok, "element {at}");
    }
    // Another network's results are no results.
    let other = Problem { seed: 8, ..tiny() }.model();
    let mut session = block_on(Session::load(&Adapter::cpu(), &other, Mode::Folded)).unwrap();
    let outputs = block_on(session.run(&inputs)).unwrap();
    assert!(!by_reference.check(&outputs).ok && !by_path.check(&outputs).ok);
}

#[test]
fn large_networks_are_compared_with_the_other_way_to_compute_them() {
    let mut problem = tiny();
    // Nearly all of the cost is in the last two layers: 8 · 8 · 9 products a pixel.
    problem.network.inputs[0].shape = [3, 200, 200];
    let (model, inputs) = (problem.model(), problem.inputs());
    let adapter = Adapter::cpu();
    for (mode, reference) in [(Mode::Folded, "CPU path, mode feature"), (Mode::Kernel, "CPU path, mode folded")] {
        let expected = block_on(Expected::of(&adapter, mode, &model, &inputs)).unwrap();
        let mut outputs = block_on(Session::load(&adapter, &model, mode)).unwrap();
        let mut outputs = block_on(outputs.run(&inputs)).unwrap();
        let check = expected.check(&outputs);
        assert!(check.ok && check.reference == reference, "{check:?}");
        outputs[0].data_mut()[0] *= 1.01;
        outputs[0].data_mut()[1] += 1.0;
        assert!(!expected.check(&outputs).ok);
    }
}

#[test]
fn it_stops_when_told_and_keeps_what_is_done() {
    let model = tiny().model();
    let options = options(&[Suite::Networks], "");
    let mut seen = vec![];
    for stop_at in 0..3 {
        let progress = |Progress { done, total, label }: Progress<'_>| {
            seen.push((done, total, label.to_owned()));
            if done == stop_at { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let adapter = Adapter::cpu();
        let record = block_on(bench::run(&adapter, Some(&model), &options, Environment::here(), progress)).unwrap();
        assert_eq!((record.stopped, record.results.len()), (true, stop_at));
    }
    assert!(seen.iter().all(|(_, total, label)| (*total, label.as_str()) == (3, "tiny")), "{seen:?}");
    // Before the case, and after each of its samples, of which there are at least six.
    assert!(seen.iter().filter(|(done, ..)| *done == 0).count() > 2 * 7, "{seen:?}");
    // Within a case as well: it is not kept then.
    let mut calls = 0;
    let progress = |_: Progress<'_>| {
        calls += 1;
        if calls == 4 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let record = block_on(bench::run(&Adapter::cpu(), Some(&model), &options, Environment::here(), progress)).unwrap();
    assert_eq!((record.stopped, record.results.len(), calls), (true, 0, 4));
}

#[test]
fn a_case_that_fails_says_why_and_the_rest_goes_on() {
    let mut problem = tiny();
    // Pairs that feature composition cannot express.
    if let Op::Conv2d(conv) = &mut problem.network.nodes[3].op {
        (conv.groups, conv.doconv) = (2, Some(DoConv { d_mul: 9, pairing: Pairing::Torch }));
    }
    let record = run(&Adapter::cpu(), &problem.model(), &options(&[Suite::Networks], "tiny"));
    let [folded, kernel, feature] = &record.results[..] else { panic!("{record:?}") };
    assert!(figures(&folded.outcome).check.ok && figures(&kernel.outcome).check.ok);
    let Outcome::Failed { error } = &feature.outcome else { panic!("{feature:?}") };
    assert!(error.contains("conv3"), "{error}");
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
}

#[test]
fn nothing_to_time_is_an_error() {
    let go_on = |_: Progress| ControlFlow::Continue(());
    for (suites, filter) in [(vec![Suite::Networks], ""), (Suite::ALL.to_vec(), "no such case")] {
        let options = options(&suites, filter);
        let error = block_on(bench::run(&Adapter::cpu(), None, &options, Environment::here(), go_on)).unwrap_err();
        assert!(error.to_string().contains("nothing to time"), "{error}");
    }
}
