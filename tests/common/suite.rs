//! One suite for everything that runs a model.

use doconv::network::Conv2d;
use doconv::plan::Mode;
use doconv::winograd::Winograd;
use doconv::{Error, Model, Precision, Tensor, reference};
use proptest::strategy::BoxedStrategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};

use super::compare::compare;
use super::problem::Problem;
use super::problems::FAMILIES;

/// Anything that runs a model: an adapter under a mode.
pub trait Runner {
    /// What reports call it.
    fn name(&self) -> String;
    /// The network's outputs for these inputs, with DO-Conv layers in the form that the mode says.
    fn run(&mut self, model: &Model, mode: Mode, inputs: &[Tensor]) -> doconv::Result<Vec<Tensor>>;

    /// The tiles of Winograd convolution, where it runs a convolution with an output of this height and width so.
    fn winograd(&self, _: &Conv2d, _: [usize; 2]) -> Option<Winograd> {
        None
    }

    /// How it stores numbers and computes.
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// Cases per family where `PROPTEST_CASES` does not say.
    fn cases(&self) -> u32 {
        48
    }
}

/// Runs every family of problems; panics with the smallest failing problem of each family that fails.
pub fn check_all(runner: &mut dyn Runner) {
    let failures: Vec<String> =
        FAMILIES.iter().filter_map(|(family, problems)| check(runner, family, problems()).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

/// Runs one family of problems in every mode and gives the worst ratio to the tolerance, or a report of the smallest
/// problem that fails.
///
/// The problems are the same every time; `PROPTEST_RNG_SEED` draws others, `PROPTEST_CASES` more.
pub fn check(runner: &mut dyn Runner, family: &str, problems: BoxedStrategy<Problem>) -> Result<f64, String> {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = runner.cases();
    }
    if std::env::var_os("PROPTEST_RNG_SEED").is_none() {
        config.rng_seed = RngSeed::Fixed(0);
    }
    let name = runner.name();
    let runner = std::cell::RefCell::new(runner);
    let worst = std::cell::Cell::new(0.0f64);
    let result = TestRunner::new(config).run(&problems, |problem| {
        let ratio = check_one(&mut **runner.borrow_mut(), &problem).map_err(TestCaseError::fail)?;
        worst.set(worst.get().max(ratio));
        Ok(())
    });
    match result {
        Ok(()) => Ok(worst.get()),
        Err(TestError::Fail(reason, problem)) => Err(format!("{name}, {family}: {reason}\n{problem:?}")),
        Err(TestError::Abort(reason)) => Err(format!("{name}, {family}: gave up: {reason}")),
    }
}

/// Runs one problem in every mode.
pub fn check_one(runner: &mut dyn Runner, problem: &Problem) -> Result<f64, String> {
    check_in(runner, problem, &Mode::ALL)
}

/// Runs one problem in some modes.
pub fn check_in(runner: &mut dyn Runner, problem: &Problem, modes: &[Mode]) -> Result<f64, String> {
    let (model, inputs) = (problem.model(), problem.inputs());
    let winograd = |conv: &Conv2d, output| runner.winograd(conv, output);
    let want = reference::run_with_error_of(&model, &inputs, runner.precision(), &winograd);
    let want = want.map_err(|error| format!("reference: {error}"))?;
    let mut worst = 0.0f64;
    for &mode in modes {
        let result = runner.run(&model, mode, &inputs);
        if !problem.is_expressible(mode) {
            match result {
                Err(Error::Unsupported(_)) => continue,
                other => return Err(format!("mode {}: should be unsupported, is {other:?}", mode.name())),
            }
        }
        let got = result.map_err(|error| format!("mode {}: {error}", mode.name()))?;
        let offender = compare(&got, &want).map_err(|reason| format!("mode {}: {reason}", mode.name()))?;
        worst = offender.map_or(worst, |offender| worst.max(offender.ratio));
    }
    Ok(worst)
}
