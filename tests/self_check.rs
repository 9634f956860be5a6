//! Kernels that compute wrong results on an adapter are found when a model is loaded, and replaced.

mod common;

use common::compare::compare;
use common::graph::Graph;
use common::problem::Problem;
use doconv::gpu::policy::Tier;
use doconv::network::{Activation, Conv2d, DoConv, Op, Pairing};
use doconv::{Adapter, Error, Mode, Model, Precision, Selector, Session, reference};
use pollster::block_on;

/// Every adapter but the CPU path, opened.
fn gpus() -> Vec<Adapter> {
    let count = block_on(Adapter::list()).len() - 1;
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(count > 0 || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    (0..count).map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

const HALF: [Precision; 2] = [Precision::F16Storage, Precision::F16];

/// A layer for every algorithm: 3×3 for Winograd convolution, 1×1, depthwise, and groups that fit no slices.
fn problem() -> Problem {
    let mut graph = Graph::new([3, 20, 20]);
    let conv = |inputs, outputs, kernel: usize, groups| {
        let padding = [kernel / 2; 4];
        Op::Conv2d(Conv2d { padding, groups, bias: true, ..Conv2d::new(inputs, outputs, [kernel; 2]) })
    };
    let mut value = graph.add(conv(3, 64, 3, 1), &["input"]);
    for op in [conv(64, 64, 3, 1), conv(64, 64, 1, 1), conv(64, 64, 3, 64), conv(64, 32, 3, 1), conv(32, 30, 3, 2)] {
        value = graph.add(op, &[&value]);
        value = graph.add(Op::Activation(Activation::Relu), &[&value]);
    }
    Problem::new(graph.finish(&[&value]), 11, 1)
}

/// What runs ordinary convolutions there without workgroup memory.
fn direct(adapter: &Adapter) -> &'static str {
    let adapter = adapter.clone().with_device(|device| device.set_tier(Tier::Software));
    let session = block_on(Session::load(&adapter, &problem().model(), Mode::Folded)).unwrap();
    let kernels = session.kernels(1).unwrap();
    let found =
        ["conv_subgroup", "conv_direct"].into_iter().find(|family| kernels.iter().any(|kernel| kernel == family));
    found.unwrap_or_else(|| panic!("{kernels:?}"))
}

fn broken(adapter: &Adapter, tier: Tier, family: &'static str) -> Adapter {
    adapter.clone().with_device(|device| {
        device.set_tier(tier);
        device.break_kernels(family);
    })
}

fn split(adapter: Adapter) -> Adapter {
    adapter.with_device(|device| device.prefer(Some("split")))
}

fn check(session: &mut Session, problem: &Problem) {
    let want = reference::run_with_error(&problem.model(), &problem.inputs()).unwrap();
    let got = block_on(session.run(&problem.inputs())).unwrap();
    let relative = |index: usize| (f64::from(got[0].data()[index]) - want[0].value.data[index]).abs();
    let largest = want[0].value.data.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
    assert!((0..got[0].data().len()).all(|index| relative(index) < 1e-4 * largest), "{:?}", compare(&got, &want));
}

#[test]
fn a_wrong_kernel_is_found_and_another_is_used() {
    let problem = problem();
    let model = problem.model();
    for adapter in gpus() {
        for (tier, family) in [
            (Tier::Software, "winograd_output"),
            (Tier::Software, direct(&adapter)),
            (Tier::Software, "conv_depthwise"),
            (Tier::Hardware, "conv_tiled"),
        ] {
            let adapter = broken(&adapter, tier, family);
            let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
            let faults = session.faults().to_vec();
            assert!(!faults.is_empty() && faults.iter().all(|fault| fault.kernels.contains(&family)), "{faults:?}");
            let message = faults[0].to_string();
            assert!(message.contains(family) && message.contains("wrong results"), "{message}");
            let used = |session: &Session| session.kernels(1).unwrap().iter().any(|kernel| kernel == family);
            assert!(!used(&session), "{:?}", session.kernels(1));
            check(&mut session, &problem);
            // It is known now.
            let again = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
            assert!(again.faults().is_empty() && !used(&again));
        }
    }
}

#[test]
fn what_is_wrong_in_half_precision_only_runs_in_single_precision() {
    let problem = problem();
    let model = problem.model();
    for (adapter, precision) in
        gpus().into_iter().flat_map(|adapter| HALF.map(|precision| (adapter.clone(), precision)))
    {
        let Ok(half) = adapter.with_precision(precision) else { continue };
        for (tier, family) in [
            (Tier::Software, "winograd_output"),
            (Tier::Software, direct(&half)),
            (Tier::Hardware, "conv_tiled"),
            (Tier::Hardware, "conv_split_sum"),
            // Nothing stands in for it in the same precision.
            (Tier::Software, "conv_grouped"),
        ] {
            let adapter = broken(&half, tier, family);
            let adapter = if family == "conv_split_sum" { split(adapter) } else { adapter };
            let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
            let [fault] = session.faults() else { panic!("{:?}", session.faults()) };
            assert!(fault.kernels.contains(&family) && fault.precision == precision, "{fault:?}");
            assert!(fault.to_string().contains(&format!("here in {}: ", precision.name())), "{fault}");
            assert_eq!((session.precision(), adapter.precision()), (Precision::F32, Precision::F32));
            let kernels = session.kernels(1).unwrap();
            // Half precision has no shared weights.
            let same = |kernel: &str| kernel == family || (family, kernel) == ("conv_direct", "conv_subgroup");
            assert!(kernels.iter().any(|kernel| same(kernel)), "it is right in single precision: {kernels:?}");
            check(&mut session, &problem);
        }
    }
}

#[test]
fn sums_that_are_added_up_wrongly_are_no_longer_split() {
    let problem = problem();
    for adapter in gpus() {
        let adapter = split(broken(&adapter, Tier::Hardware, "conv_split_sum"));
        let mut session = block_on(Session::load(&adapter, &problem.model(), Mode::Folded)).unwrap();
        let faults = session.faults();
        assert!(faults.len() == 1 && faults[0].kernels.ends_with(&["conv_split_sum"]), "{faults:?}");
        let kernels = session.kernels(1).unwrap();
        assert!(kernels.contains(&"conv_tiled".into()) && !kernels.contains(&"conv_split_sum".into()), "{kernels:?}");
        check(&mut session, &problem);
    }
}

#[test]
fn where_nothing_can_stand_in_loading_fails() {
    let model = problem().model();
    for adapter in gpus() {
        let adapter = broken(&adapter, Tier::Software, "conv_grouped");
        let error = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap_err();
        let message = error.to_string();
        assert!(matches!(error, Error::Gpu { .. }), "{message}");
        assert!(message.contains("conv_grouped") && message.contains("`cpu`") && !message.contains('\n'), "{message}");
    }
}

#[test]
fn right_kernels_are_kept() {
    let bundled = Model::bundled().unwrap();
    let every_precision = |adapter: Adapter| {
        let half = HALF.map(|precision| adapter.clone().with_precision(precision).ok());
        half.into_iter().flatten().chain([adapter])
    };
    for adapter in gpus().into_iter().flat_map(every_precision) {
        for mode in [Mode::Folded, Mode::Kernel] {
            let session = block_on(Session::load(&adapter, &bundled, mode)).unwrap();
            assert!(session.faults().is_empty(), "{}: {:?}", adapter.info().name, session.faults());
        }
    }
}

/// Loads on one device that run at once find the same broken kernel, each for itself: no load keeps it, and none records as
/// verified what another one replaced.
#[test]
fn loads_at_once_all_end_right() {
    let problem = problem();
    let model = problem.model();
    for adapter in gpus() {
        for (tier, family) in [(Tier::Software, "winograd_output"), (Tier::Hardware, "conv_tiled")] {
            let adapter = broken(&adapter, tier, family);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let mut session = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
                        let used = session.kernels(1).unwrap().iter().any(|kernel| kernel == family);
                        assert!(!used, "{family} is kept: {:?}", session.kernels(1));
                        check(&mut session, &problem);
                    });
                }
            });
            let again = block_on(Session::load(&adapter, &model, Mode::Folded)).unwrap();
            assert!(again.faults().is_empty(), "{:?}", again.faults());
            assert!(!again.kernels(1).unwrap().iter().any(|kernel| kernel == family));
        }
    }
}

/// Kernels that only larger batches choose are verified when such a batch is first run.
#[test]
fn kernels_of_larger_batches_are_verified() {
    // One image has too few pixels for a tile, several have enough.
    let mut graph = Graph::new([64, 4, 4]);
    let conv = Op::Conv2d(Conv2d { bias: true, ..Conv2d::new(64, 64, [1, 1]) });
    let value = graph.add(conv, &["input"]);
    let problem = |batch| Problem::new(graph_of(&graph, &value), 5, batch);
    for adapter in gpus() {
        let adapter = broken(&adapter, Tier::Hardware, "conv_tiled");
        let mut session = block_on(Session::load(&adapter, &problem(1).model(), Mode::Folded)).unwrap();
        assert!(session.faults().is_empty() && !is_tiled(&session, 1) && is_tiled(&session, 4));
        check(&mut session, &problem(1));
        check(&mut session, &problem(4));
        assert!(session.faults().len() == 1 && !is_tiled(&session, 4), "{:?}", session.faults());
    }
}

/// So are those of DO-Conv layers, whose W and D the executor has let go of by then.
#[test]
fn kernels_of_larger_batches_are_verified_in_composed_layers() {
    let mut graph = Graph::new([64, 8, 8]);
    let doconv = Some(DoConv { d_mul: 9, pairing: Pairing::Paper });
    let conv = Op::Conv2d(Conv2d { doconv, stride: [2; 2], padding: [1; 4], ..Conv2d::new(64, 64, [3, 3]) });
    let value = graph.add(conv, &["input"]);
    let problem = |batch| Problem { composed: true, ..Problem::new(graph_of(&graph, &value), 5, batch) };
    for adapter in gpus() {
        for mode in [Mode::Folded, Mode::Kernel] {
            let adapter = adapter.clone().with_device(|device| device.set_tier(Tier::Hardware));
            let mut session = block_on(Session::load(&adapter, &problem(1).model(), mode)).unwrap();
            assert!(session.faults().is_empty() && !is_tiled(&session, 1) && is_tiled(&session, 4));
            check(&mut session, &problem(4));
            assert!(session.faults().is_empty(), "{:?}", session.faults());
        }
    }
}

fn is_tiled(session: &Session, batch: usize) -> bool {
    session.kernels(batch).unwrap().iter().any(|kernel| kernel == "conv_tiled")
}

fn graph_of(graph: &Graph, output: &str) -> doconv::Network {
    graph.clone().finish(&[output])
}
