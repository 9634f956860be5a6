//! Every operator, every mode, random geometry: the plan against the reference, and the comparator against itself.

mod common;

use common::compare::compare;
use common::plan_interpreter::PlanInterpreter;
use common::problem::Problem;
use common::problems::FAMILIES;
use common::suite::{Runner, check, check_one};
use doconv::plan::Mode;
use doconv::{Model, Tensor, reference};

fn family(name: &str) {
    let (_, problems) = FAMILIES.iter().find(|(family, _)| *family == name).expect("a family of this name");
    match check(&mut PlanInterpreter, name, problems()) {
        Ok(worst) => println!("{name}: at worst {worst:.3} of the tolerance"),
        Err(report) => panic!("{report}"),
    }
}

macro_rules! families {
    ($($name:ident),* $(,)?) => {
        $(#[test]
        fn $name() {
            family(stringify!($name));
        })*

        #[test]
        fn every_family_has_its_test() {
            assert_eq!(FAMILIES.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

families!(
    conv2d,
    doconv,
    transposed,
    pool,
    global_pool,
    binary,
    concat,
    activation,
    batch_norm,
    softmax,
    lrn,
    rearrange,
    pad,
    resize,
    flatten,
    linear,
    blocks,
    random_graph,
    pairs,
    items,
);

/// Draws problems of a family.
fn samples(name: &str, count: usize) -> Vec<Problem> {
    use proptest::strategy::{Strategy, ValueTree};
    let (_, problems) = FAMILIES.iter().find(|(family, _)| *family == name).expect("a family of this name");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    (0..count).map(|_| problems().new_tree(&mut runner).expect("a problem").current()).collect()
}

#[test]
fn the_comparator_rejects_every_perturbation() {
    for problem in samples("conv2d", 8).into_iter().chain(samples("random_graph", 8)) {
        let (model, inputs) = (problem.model(), problem.inputs());
        let want = reference::run_with_error(&model, &inputs).unwrap();
        let exact: Vec<Tensor> = want
            .iter()
            .map(|want| {
                Tensor::new(want.value.shape, want.value.data.iter().map(|&value| value as f32).collect()).unwrap()
            })
            .collect();
        compare(&exact, &want).unwrap_or_else(|reason| panic!("the reference itself: {reason}\n{problem:?}"));

        let middle = exact[0].data().len() / 2;
        let perturbed = |change: &dyn Fn(&mut f32)| {
            let mut outputs = exact.clone();
            change(&mut outputs[0].data_mut()[middle]);
            compare(&outputs, &want)
        };
        // At least the next number, where the tolerance is finer than that.
        let off = |value: f32, distance: f64| ((f64::from(value) + distance) as f32).max(value.next_up().next_up());
        let distance = 3.0 * want[0].tolerance(middle);
        assert!(perturbed(&|value| *value = off(*value, distance)).is_err(), "3 tolerances off\n{problem:?}");
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(perturbed(&|value| *value = wrong).is_err(), "{wrong}\n{problem:?}");
        }
        assert!(compare(&exact[1..], &want).is_err(), "an output less");
        let transposed: Vec<usize> = exact[0].shape().iter().rev().copied().collect();
        if transposed != exact[0].shape() {
            let reshaped = vec![exact[0].clone().reshape(transposed).unwrap()];
            assert!(compare(&reshaped, &want[..1]).is_err(), "another shape");
        }
    }
}

/// Runs the plan, and exchanges the first two channels of the first output.
struct SwapsChannels;

impl Runner for SwapsChannels {
    fn name(&self) -> String {
        "swaps channels".into()
    }

    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> doconv::Result<Vec<Tensor>> {
        let mut outputs = PlanInterpreter.run(model, mode, inputs)?;
        let pixels = outputs[0].shape()[2] * outputs[0].shape()[3];
        let (first, second) = outputs[0].data_mut().split_at_mut(pixels);
        first.swap_with_slice(&mut second[..pixels]);
        Ok(outputs)
    }
}

#[test]
fn swapped_channels_are_rejected() {
    // Without an activation that could make two channels the same.
    let mut checked = 0;
    for problem in samples("concat", 20) {
        let model = problem.model();
        if model.network().infer(1).unwrap().nodes[0][1] > 1 {
            assert!(check_one(&mut SwapsChannels, &problem).is_err(), "{problem:?}");
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} problems have two channels");
}

/// Runs everything in mode folded, whatever is asked for.
struct IgnoresModes;

impl Runner for IgnoresModes {
    fn name(&self) -> String {
        "ignores modes".into()
    }

    fn run(&mut self, model: &Model, _: Mode, inputs: &[Tensor]) -> doconv::Result<Vec<Tensor>> {
        PlanInterpreter.run(model, Mode::Folded, inputs)
    }
}

#[test]
fn a_mode_that_cannot_express_a_layer_must_say_so() {
    let problems = samples("doconv", 200);
    let inexpressible: Vec<_> = problems.iter().filter(|problem| !problem.is_expressible(Mode::Feature)).collect();
    assert!(!inexpressible.is_empty(), "the generator draws torch pairings that mix channels");
    for problem in inexpressible.into_iter().take(3) {
        let report = check_one(&mut IgnoresModes, problem).expect_err("the mode was ignored");
        assert!(report.contains("should be unsupported"), "{report}");
    }
}
