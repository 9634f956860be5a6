//! Verification of adapters: what it runs, that it passes where kernels are right, and that it sees a wrong one.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::parallel::each_in_parallel;
use doconv::gpu::kernels::families;
use doconv::gpu::policy::{Policy, Tier};
use doconv::gpu::shader::ShaderKey;
use doconv::verification::{Case, Extent, Suite, check, compile_ahead};
use doconv::{Adapter, Precision, Selector};
use pollster::block_on;

/// What an adapter with everything gets.
fn everything(tier: Tier) -> Policy {
    let mut policy = Policy::from(tier);
    (policy.matrix_units, policy.subgroup) = (true, 8);
    policy
}

/// Shaders that only measure.
fn is_for_benchmarks(family: &str) -> bool {
    family.starts_with("peak_")
}

/// The precisions in which a suite runs each family.
fn run_in(suite: &Suite) -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut found = BTreeMap::<_, BTreeSet<_>>::new();
    for shader in suite.cases().iter().flat_map(Case::shaders) {
        found.entry(shader.kernel.name).or_default().insert(shader.precision.name());
    }
    found
}

/// A new kernel cannot be forgotten.
#[test]
fn every_family_is_run_in_every_precision_that_it_has() {
    let mut wanted = BTreeMap::<_, BTreeSet<_>>::new();
    for family in families().into_iter().filter(|family| !is_for_benchmarks(family.name)) {
        for precision in Precision::ALL {
            let precision = family.key([1, 1]).in_precision(precision).precision;
            wanted.entry(family.name).or_default().insert(precision.name());
        }
    }
    for tier in [Tier::Software, Tier::Hardware] {
        for extent in [Extent::Full, Extent::Quick] {
            let suite = Suite::for_gpu(&everything(tier), &Precision::ALL, extent).unwrap();
            let shaders: BTreeSet<String> =
                suite.cases().iter().flat_map(Case::shaders).map(ToString::to_string).collect();
            println!("{tier:?}, {extent:?}: {} cases, {} shaders", suite.cases().len(), shaders.len());
            assert_eq!(run_in(&suite), wanted, "{tier:?}, {extent:?}");
        }
    }
}

/// Every family but those with tiles of many sizes: of these heuristics and tuning choose few.
#[test]
fn families_are_run_in_all_that_they_are_specialised_by() {
    const MANY: usize = 30;
    let suite = Suite::for_gpu(&everything(Tier::Software), &[Precision::F32], Extent::Full).unwrap();
    let found: BTreeSet<String> = suite.cases().iter().flat_map(Case::shaders).map(ToString::to_string).collect();
    let mut missing = vec![];
    for family in families().into_iter().filter(|family| !is_for_benchmarks(family.name)) {
        let keys = (family.specialisations)();
        let own = keys.iter().filter(|key| found.contains(&key.to_string())).count();
        println!("{}: {own} of {}", family.name, keys.len());
        if keys.len() <= MANY {
            missing.extend(keys.iter().map(ToString::to_string).filter(|key| !found.contains(key)));
        }
    }
    assert!(missing.is_empty(), "not run: {missing:#?}");
}

fn gpus() -> Vec<Adapter> {
    let infos = block_on(Adapter::list());
    let skipped = std::env::var("DOCONV_SKIP_GPU_TESTS").is_ok_and(|value| value == "1");
    assert!(infos.len() > 1 || skipped, "no GPU adapter was found; set DOCONV_SKIP_GPU_TESTS=1 to do without");
    let gpus = 0..infos.len() - 1;
    gpus.map(|index| block_on(Adapter::open(&Selector::Named(index.to_string()))).unwrap()).collect()
}

/// The failures of a suite.
fn failures(adapter: &Adapter, suite: &Suite) -> Vec<String> {
    compile_ahead(adapter, suite.cases());
    let check = |case: &Case| {
        let verdict = block_on(check(adapter, case));
        assert_eq!(verdict.failure.is_some(), verdict.error > 1.0, "{verdict:?}");
        Some(format!("{}: {}", case.name(), verdict.failure?))
    };
    suite.cases().iter().filter_map(check).collect()
}

#[test]
fn adapters_pass() {
    let cpu = Adapter::cpu();
    assert_eq!(failures(&cpu, &Suite::new(&cpu, Extent::Full).unwrap()), <[String; 0]>::default());
    // All of it takes minutes without optimisation: `doconv verify` in a release build.
    each_in_parallel(gpus(), |adapter| {
        let suite = Suite::new(&adapter, Extent::Quick).unwrap();
        assert_eq!(failures(&adapter, &suite), <[String; 0]>::default(), "{}", adapter.info().name);
    });
}

#[test]
fn a_wrong_kernel_is_found_in_its_precision_only() {
    for adapter in gpus() {
        let adapter = adapter.with_device(|device| device.break_kernels("conv_direct"));
        let suite = Suite::new(&adapter, Extent::Quick).unwrap();
        // What is made wrong is the bias, of which gradients have none.
        let has_bias = |case: &&Case| case.kernels().iter().any(|name| name.starts_with("conv_"));
        let is_forward = |case: &&Case| !case.name().starts_with("gradients") && !case.name().starts_with("training");
        let mut found = 0;
        for case in suite.cases().iter().filter(has_bias).filter(is_forward) {
            let verdict = block_on(check(&adapter, case));
            let is_wrong = |shader: &ShaderKey| {
                shader.kernel.name == "conv_direct" && shader.precision == Precision::F32 && !shader.flag("split")
            };
            let is_broken = case.shaders().iter().any(is_wrong);
            assert_eq!(verdict.failure.is_some(), is_broken, "{}: {verdict:?}", case.name());
            if is_broken {
                let reason = verdict.failure.unwrap();
                assert!(reason.contains("is right") && verdict.error > 1.0 && !verdict.is_lost, "{reason}");
                found += 1;
            }
        }
        assert!(found > 0, "{}", adapter.info().name);
    }
}

#[test]
fn a_lost_device_is_told() {
    for adapter in gpus() {
        let suite = Suite::new(&adapter, Extent::Quick).unwrap();
        adapter.gpu().unwrap().destroy();
        let verdict = block_on(check(&adapter, &suite.cases()[0]));
        assert!(verdict.is_lost && verdict.failure.unwrap().contains("lost"), "{}", adapter.info().name);
    }
}
