//! One case after the other.

use std::ops::ControlFlow;
use std::time::Duration;

use web_time::{Instant, SystemTime, UNIX_EPOCH};

use super::cases::{Case, Suite};
use super::record::{CaseResult, Check, Environment, Measurement, Outcome, Record, SCHEMA, Settings};
use super::sampling::{Samples, milliseconds, rounded, sample, timer_resolution_ms};
use super::statistics::{median, median_interval};
use crate::{Adapter, Error, Model, Result, Session, Tensor};

/// What is to be timed, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which suites, in this order.
    pub suites: Vec<Suite>,
    /// Only cases with this in their names; empty for all.
    pub filter: String,
    /// Time for warm-up and samples of a case. Set-up and check come on top, and an interval wants six samples.
    pub budget: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { suites: Suite::ALL.to_vec(), filter: String::new(), budget: Duration::from_secs(2) }
    }
}

/// How far the benchmark is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Cases that are finished.
    pub done: usize,
    /// Cases altogether.
    pub total: usize,
    /// The case that runs.
    pub label: &'a str,
}

/// Times cases on an adapter, and checks their results there.
///
/// The suite of networks needs a model. `progress` is called before each case and after each sample; when it breaks, the
/// record has the cases that were finished. A case that fails is in the record with its error, and the others go on.
///
/// ```
/// # pollster::block_on(async {
/// use std::{ops::ControlFlow, time::Duration};
/// use doconv::{Adapter, bench};
///
/// let options = bench::Options {
///     suites: vec![bench::Suite::Layers],
///     filter: "dw3x3-384".into(),
///     budget: Duration::from_millis(10),
/// };
/// let adapter = Adapter::cpu();
/// let record = bench::run(&adapter, None, &options, bench::Environment::here(), |_| ControlFlow::Continue(())).await?;
/// let bench::Outcome::Measured(figures) = &record.results[0].outcome else { panic!("it runs everywhere") };
/// assert!(figures.check.ok);
/// println!("{} ms", figures.median_ms);
/// # Ok::<(), doconv::Error>(()) }).unwrap();
/// ```
///
/// # Errors
/// [`Error::Unsupported`] if there is nothing to time.
pub async fn run(
    adapter: &Adapter,
    model: Option<&Model>,
    options: &Options,
    environment: Environment,
    mut progress: impl FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Record> {
    let cases: Vec<Case> = options.suites.iter().flat_map(|suite| suite.cases(model)).collect();
    let cases: Vec<Case> = cases.into_iter().filter(|case| case.name.contains(&options.filter)).collect();
    if cases.is_empty() {
        let suites: Vec<&str> = options.suites.iter().map(|suite| suite.name()).collect();
        let reason = format!("nothing to time: no case of {} has `{}` in its name", suites.join(", "), options.filter);
        return Err(Error::Unsupported(reason));
    }
    let settings = Settings::new(options.suites.clone(), &options.filter, options.budget, timer_resolution_ms());
    let mut record = Record {
        schema: SCHEMA.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        commit: option_env!("DOCONV_COMMIT").map(String::from),
        date: now(),
        environment,
        adapter: adapter.info().clone(),
        settings,
        stopped: false,
        results: vec![],
    };
    for (done, case) in cases.iter().enumerate() {
        let mut proceed = || progress(Progress { done, total: cases.len(), label: &case.name });
        if proceed().is_continue()
            && let ControlFlow::Continue(result) = run_case(adapter, case, &record.settings, proceed).await
        {
            record.results.push(result);
        } else {
            record.stopped = true;
            break;
        }
    }
    Ok(record)
}

/// Now in UTC.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

async fn run_case(
    adapter: &Adapter,
    case: &Case<'_>,
    settings: &Settings,
    proceed: impl FnMut() -> ControlFlow<()>,
) -> ControlFlow<(), CaseResult> {
    let outcome = match measure(adapter, case, settings, proceed).await {
        Ok(ControlFlow::Break(())) => return ControlFlow::Break(()),
        Ok(ControlFlow::Continue(measurement)) => Outcome::Measured(measurement),
        Err(error) => Outcome::Failed { error: error.to_string() },
    };
    let Case { suite, name, mode, batch, .. } = case.clone();
    // A network that has no cost has no plan either, and failed.
    let macs = case.macs().unwrap_or_default();
    ControlFlow::Continue(CaseResult { suite, name, mode, batch, macs, outcome })
}

async fn measure(
    adapter: &Adapter,
    case: &Case<'_>,
    settings: &Settings,
    proceed: impl FnMut() -> ControlFlow<()>,
) -> Result<ControlFlow<(), Measurement>> {
    let (model, inputs) = (case.model()?, case.inputs()?);
    let expected = case.expected(adapter, &model, &inputs).await?;
    let start = Instant::now();
    let mut session = Session::load(adapter, &model, case.mode).await?;
    session.prepare(case.batch).await?;
    let setup_ms = elapsed_ms(start);
    let start = Instant::now();
    let first = session.run(&inputs).await?;
    let first_ms = elapsed_ms(start);
    // Comparing between the samples would chase the network's data from the caches.
    let mut last: Vec<Tensor> = vec![];
    let timed = async |repeats: usize| {
        let repeated = session.repeat(&inputs, repeats).await?;
        last = repeated.outputs;
        Ok(repeated.elapsed)
    };
    let Samples { repeats, samples_ms } = match sample(settings, timed, proceed).await? {
        ControlFlow::Continue(samples) => samples,
        ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
    };
    let median_ms = rounded(median(&samples_ms).unwrap_or_default());
    Ok(ControlFlow::Continue(Measurement {
        kernels: session.kernels(case.batch)?,
        check: worse(expected.check(&first), expected.check(&last)),
        setup_ms,
        first_ms,
        repeats,
        median_ms,
        ci95_ms: median_interval(&samples_ms, settings.confidence).unwrap_or([median_ms; 2]),
        gmacs_per_s: rate(case.macs()?, median_ms),
        samples_ms,
    }))
}

/// The check that says more against a case.
fn worse(a: Check, b: Check) -> Check {
    let excess = |check: &Check| check.largest_error.map_or(f64::INFINITY, |error| error - check.tolerance);
    if (!b.ok, excess(&b)) > (!a.ok, excess(&a)) { b } else { a }
}

/// Thousand millions per second; none where the clock saw no time pass.
fn rate(macs: u64, median_ms: f64) -> f64 {
    if median_ms > 0.0 { macs as f64 / (median_ms * 1e6) } else { 0.0 }
}

fn elapsed_ms(start: Instant) -> f64 {
    rounded(milliseconds(start.elapsed()))
}
