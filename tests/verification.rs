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
            // Weights are shared in single precision only: half precision asks for operations that few software adapters have.
            if family.name == "conv_subgroup" && precision == Precision::F16 {
                continue;
            }
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

/// What no policy for this adapter leads to, beside what is compact for SwiftShader.
fn is_out_of_reach(shader: &str) -> bool {
    let is = |family: &str, constant: &str| shader.starts_with(family) && shader.contains(constant);
    // Nothing is padded around whole maps; groups of one channel are depthwise; zeros around are a convolution's own.
    is("global_pool ", "mean_padded") || is("kernel_gradient_grouped ", "lanes=1") || is("pad_gradient ", "zeros")
}

/// In all that they are specialised by, but for families with tiles of many sizes, of which heuristics and tuning choose few:
/// these have to run with every class of activation.
#[test]
fn families_are_run_in_all_that_they_are_specialised_by() {
    const MANY: usize = 20;
    let precisions = [Precision::F32, Precision::F16Storage];
    let suite = Suite::for_gpu(&everything(Tier::Software), &precisions, Extent::Full).unwrap();
    let shaders: Vec<&ShaderKey> = suite.cases().iter().flat_map(Case::shaders).collect();
    let found: BTreeSet<String> = shaders.iter().map(ToString::to_string).collect();
    let mut missing = vec![];
    for family in families().into_iter().filter(|family| !is_for_benchmarks(family.name)) {
        let keys: Vec<ShaderKey> =
            (family.specialisations)().into_iter().map(|key| key.in_precision(Precision::F32)).collect();
        let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
        println!("{}: {} of {}", family.name, names.iter().filter(|key| found.contains(*key)).count(), keys.len());
        if keys.len() <= MANY {
            let is_missing =
                |key: &&String| !found.contains(*key) && !key.contains("compact=true") && !is_out_of_reach(key);
            missing.extend(names.iter().filter(is_missing).cloned());
        }
        let classes = |keys: &mut dyn Iterator<Item = &ShaderKey>| -> BTreeSet<String> {
            let of = |key: &ShaderKey| {
                let text = key.to_string();
                text.split(' ').find(|word| word.starts_with("activation=")).map(str::to_owned)
            };
            keys.filter_map(of).collect()
        };
        let mut run = shaders.iter().copied().filter(|shader| shader.kernel.name == family.name);
        assert_eq!(classes(&mut run), classes(&mut keys.iter()), "{}", family.name);
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
