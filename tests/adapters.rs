//! The suite of random problems on every adapter of this machine, the CPU path included.
//!
//! Fails on a machine without a GPU adapter, real or software, unless `DOCONV_SKIP_GPU_TESTS=1` declares that.

mod common;

use common::graph::Graph;
use common::parallel::each_in_parallel;
use common::problem::Problem;
use common::problems::pairs;
use common::runners::SessionRunner;
use common::suite::{check_all, check_in, check_one};
use doconv::gpu::policy::Tier;
use doconv::network::{Activation, Conv2d, Op};
use doconv::{Adapter, AdapterInfo, Mode, Selector};

#[test]
fn every_adapter_computes_what_the_reference_says() {
    let adapters = pollster::block_on(Adapter::list());
    assert!(!adapters.is_empty(), "the CPU path is always there");
    if adapters.len() == 1 {
        let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
        assert!(skipped, "no GPU adapter was found; install one, or set DOCONV_SKIP_GPU_TESTS=1 to do without");
        println!("skipped: GPU adapters, because DOCONV_SKIP_GPU_TESTS=1 and there is none");
    }
    each_in_parallel(adapters.iter().enumerate().flat_map(variants).collect(), |(name, adapter)| {
        println!("{name}");
        check_all(&mut SessionRunner::new(name, adapter));
    });
}

/// The adapter with the kernels of both tiers, with the checks that debug builds have and without, as in release builds.
fn variants((index, info): (usize, &AdapterInfo)) -> Vec<(String, Adapter)> {
    let adapter = pollster::block_on(Adapter::open(&Selector::Named(index.to_string())));
    let adapter = adapter.unwrap_or_else(|error| panic!("{}: {error}", info.name));
    if adapter.gpu().is_none() {
        return vec![(info.name.clone(), adapter)];
    }
    let tiers = [Tier::Software, Tier::Hardware].into_iter().flat_map(|tier| [(tier, true), (tier, false)]);
    let variant = |(tier, checks)| {
        let adapter = adapter.clone().with_device(|device| {
            device.set_tier(tier);
            device.set_shader_checks(checks);
        });
        (format!("{} ({tier:?} tier, checks {checks})", info.name), adapter)
    };
    tiers.map(variant).collect()
}

/// What one kernel leaves in the unused lanes of a map is what the next one reads.
#[test]
fn every_operator_is_right_before_every_other() {
    let adapters = pollster::block_on(Adapter::list());
    each_in_parallel(adapters.iter().enumerate().flat_map(variants).collect(), |(name, adapter)| {
        let mut runner = SessionRunner::new(name, adapter);
        for problem in pairs::all() {
            let report = check_in(&mut runner, &problem, &[Mode::Folded]);
            report.unwrap_or_else(|report| panic!("{report}\n{problem:?}"));
        }
    });
}

/// More pixels than 65 535 workgroups of the usual kernel's.
#[test]
fn large_maps_are_within_every_grid() {
    let mut graph = Graph::new([4, 1500, 1500]);
    let value = graph.add(Op::Conv2d(Conv2d::new(4, 8, [1, 1])), &["input"]);
    let problem = Problem::new(graph.finish(&[&value]), 3, 1);
    for (index, info) in pollster::block_on(Adapter::list()).iter().enumerate() {
        let adapter = pollster::block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        let mut runner = SessionRunner::new(info.name.clone(), adapter);
        check_one(&mut runner, &problem).unwrap_or_else(|report| panic!("{report}"));
    }
}

/// More slices, and more items, than 65 535 workgroups.
#[test]
fn no_kernel_refuses_for_the_number_of_workgroups() {
    let many = 262_148;
    for (index, info) in pollster::block_on(Adapter::list()).iter().enumerate() {
        let adapter = pollster::block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap();
        let adapter = adapter.with_device(|device| device.set_shader_checks(false));
        let mut runner = SessionRunner::new(info.name.clone(), adapter);
        let mut graph = Graph::new([many, 1, 1]);
        let value = graph.add(Op::Activation(Activation::Relu), &["input"]);
        let value = graph.add(Op::Reshape([many / 2, 1, 1, 2]), &[&value]);
        let problem = Problem::new(graph.finish(&[&value]), 3, 1);
        check_in(&mut runner, &problem, &[Mode::Folded]).unwrap_or_else(|report| panic!("{report}"));
    }
}
