//! One case after the other.

use std::ops::ControlFlow;
use std::time::Duration;

use web_time::{SystemTime, UNIX_EPOCH};

use super::cases::Case;
use super::prepared_case::PreparedCase;
use super::record::{CaseResult, Check, Environment, Measurement, Outcome, Record, SCHEMA, Settings};
use super::sampling::{Samples, rounded, sample, timer_resolution_ms};
use super::statistics::{drift, median, median_interval};
use super::suite::Suite;
use crate::{Adapter, Error, Mode, Model, Result};

/// What is to be timed, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which suites, in this order.
    pub suites: Vec<Suite>,
    /// Only cases with this in their names; empty for all.
    pub filter: String,
    /// Time for warm-up and samples of a case. Set-up and check come on top, and an interval wants six samples.
    pub budget: Duration,
    /// Images that networks run at a time; layers and what composing costs are timed with one.
    pub batch: usize,
    /// Only cases in this mode; none for all.
    pub mode: Option<Mode>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            suites: Suite::ALL.to_vec(),
            filter: String::new(),
            budget: Duration::from_secs(2),
            batch: 1,
            mode: None,
        }
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
/// The suite of networks needs a model, and that of folding wants one. `progress` is called before each case and after each sample; when it breaks, the
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
///     ..Default::default()
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
    let mut groups: Vec<Vec<Case>> =
        options.suites.iter().flat_map(|suite| suite.cases(adapter, model, options.batch)).collect();
    let is_wanted =
        |case: &Case| case.name.contains(&options.filter) && options.mode.is_none_or(|mode| case.mode == mode);
    groups.iter_mut().for_each(|cases| cases.retain(is_wanted));
    groups.retain(|cases| !cases.is_empty());
    let total = groups.iter().map(Vec::len).sum();
    if groups.is_empty() {
        let suites: Vec<&str> = options.suites.iter().map(|suite| suite.name()).collect();
        let reason = format!("nothing to time: no case of {} has `{}` in its name", suites.join(", "), options.filter);
        return Err(Error::Unsupported(reason));
    }
    let settings = Settings::new(options.suites.clone(), &options.filter, options.budget, timer_resolution_ms());
    let settings = Settings { precision: adapter.precision(), ..settings };
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
    for cases in &groups {
        let done = record.results.len();
        let mut proceed = || progress(Progress { done, total, label: &cases[0].name });
        if proceed().is_continue()
            && let ControlFlow::Continue(results) = run_cases(adapter, cases, &record.settings, proceed).await
        {
            record.results.extend(results);
        } else {
            record.stopped = true;
            break;
        }
    }
    record.settings.tuned = adapter.gpu().map(|device| device.tuned().iter().count());
    Ok(record)
}

/// Now in UTC.
fn now() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    humantime::format_rfc3339_seconds(std::time::UNIX_EPOCH + since).to_string()
}

/// A case that is ready and has run once, or why it has not.
type Begun = Result<(PreparedCase, f64, Check)>;

/// Times cases in turn.
async fn run_cases(
    adapter: &Adapter,
    cases: &[Case<'_>],
    settings: &Settings,
    proceed: impl FnMut() -> ControlFlow<()>,
) -> ControlFlow<(), Vec<CaseResult>> {
    let mut begun: Vec<Begun> = vec![];
    for case in cases {
        begun.push(begin(adapter, case).await);
    }
    let mut measured = match measure(&mut begun, settings, proceed).await {
        Ok(ControlFlow::Break(())) => return ControlFlow::Break(()),
        Ok(ControlFlow::Continue(measured)) => Ok(measured.into_iter()),
        Err(error) => Err(error.to_string()),
    };
    let results = cases.iter().zip(begun).map(|(case, begun)| {
        let failed = |error: &dyn ToString| Outcome::Failed { error: error.to_string() };
        // A network that has no cost has no plan either, and failed.
        let known = (case.macs().unwrap_or_default(), 0);
        let ((macs, bytes), outcome) = match (begun, &mut measured) {
            (Err(error), _) => (known, failed(&error)),
            (Ok((ready, ..)), Ok(measured)) => {
                let measurement = measured.next().expect("one for each that was begun");
                ((ready.macs, ready.bytes), Outcome::Measured(measurement))
            }
            (_, Err(error)) => (known, failed(error)),
        };
        let Case { suite, name, mode, batch, .. } = case.clone();
        CaseResult { suite, name, mode, batch, macs, bytes, outcome }
    });
    ControlFlow::Continue(results.collect())
}

async fn begin(adapter: &Adapter, case: &Case<'_>) -> Begun {
    let mut ready = PreparedCase::new(adapter, case).await?;
    let (first_ms, check) = ready.first().await?;
    Ok((ready, first_ms, check))
}

/// The figures of those that could be begun.
async fn measure(
    begun: &mut [Begun],
    settings: &Settings,
    proceed: impl FnMut() -> ControlFlow<()>,
) -> Result<ControlFlow<(), Vec<Measurement>>> {
    let mut begun: Vec<_> = begun.iter_mut().flatten().collect();
    if begun.is_empty() {
        return Ok(ControlFlow::Continue(vec![]));
    }
    let count = begun.len();
    let timed = async |which: usize, repeats: usize| begun[which].0.time(repeats).await;
    let samples = match sample(settings, count, timed, proceed).await? {
        ControlFlow::Continue(samples) => samples,
        ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
    };
    let mut measured = vec![];
    for ((ready, first_ms, first), Samples { repeats, samples_ms }) in begun.into_iter().zip(samples) {
        let median_ms = rounded(median(&samples_ms).unwrap_or_default());
        measured.push(Measurement {
            kernels: ready.kernels.clone(),
            precision: ready.precision,
            check: worse(first.clone(), ready.check().await?),
            setup_ms: ready.setup_ms,
            first_ms: *first_ms,
            repeats,
            median_ms,
            ci95_ms: median_interval(&samples_ms, settings.confidence).unwrap_or([median_ms; 2]),
            gmacs_per_s: rate(ready.macs, median_ms),
            gbytes_per_s: rate(ready.bytes, median_ms),
            drift: drift(&samples_ms),
            samples_ms,
        });
    }
    Ok(ControlFlow::Continue(measured))
}

/// The check that says more against a case.
fn worse(a: Check, b: Check) -> Check {
    let excess = |check: &Check| check.largest_error.map_or(f64::INFINITY, |error| error - check.tolerance);
    if (!b.ok, excess(&b)) > (!a.ok, excess(&a)) { b } else { a }
}

/// Thousand millions per second; none where the clock saw no time pass.
fn rate(count: u64, median_ms: f64) -> f64 {
    if median_ms > 0.0 { count as f64 / (median_ms * 1e6) } else { 0.0 }
}
