//! `doconv bench`: how fast this machine is, and whether it is right.

mod report;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Subcommand, ValueEnum};
use doconv::bench::report::digits;
use doconv::bench::{CaseResult, Environment, Measurement, Options, Outcome, Record, Suite};
use doconv::{Model, blocking, formats};

use super::adapter::{AdapterArguments, describe};
use super::interrupt::Interrupt;
use super::mode::ModeName;
use super::{model, output, precision, progress, table};

/// Time layers, a network, folding, and the adapter itself
///
/// Times 13 convolutions of well-known networks, a whole network in its three modes, what composing W and D costs, and what
/// the adapter can do at most, and checks every result there. The time is that of running: inputs lie on the adapter, and
/// results are not read back. `report` shows records side by side, and compares two.
#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  doconv bench                                         everything on the default adapter
  doconv bench --suite layers --filter 3x3             the layers with 3×3 in their names
  doconv bench --suite networks --model mine.safetensors
  doconv bench --suite networks --arch resnet50 --batch 32
                                                       an architecture with random weights, 32 images at a time
  doconv bench --suite fold                            W and D: every mode, and folding by itself
  doconv bench --suite peak --adapter nvidia           arithmetic, memory and dispatches of an adapter
  doconv bench --precision f16-storage                 half the memory for maps and kernels, where the GPU has f16
  doconv bench --adapter cpu --output cpu.json         the table, and a record to keep
  doconv bench --json --budget 0.1                     a quick record on stdout
  doconv bench report *.json --output report.html      records side by side, as a page
  doconv bench report --compare old.json new.json      what changed beyond noise

Layers are called after kernel, stride, channels in and out, and the side of their input: 3x3s2-64-128@56; dw means
depthwise. A case is timed until the 95 % confidence interval of its median is within 5 % of the median, or the budget
is spent. GMAC/s are thousand millions of multiply-accumulates per second, GB/s those of the bytes that a run has to move.
Drift is how much longer runs took at the end, where that is more than 5 %. docs/benchmarks.md describes the record. The
exit status is 1 if a result is wrong or a case fails. Ctrl-C ends the benchmark: cases that are done are shown and
written, and the exit status is 130. Pressed again it ends the program at once. SIGTERM does the same, with 143."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// What to time
    #[arg(long, value_enum, default_value_t)]
    suite: SuiteName,
    /// Network to time: model file, ONNX file, `cifar10` for the bundled CIFAR-10 network, or with --arch a file of weights
    /// [default: with --arch that architecture with random weights, else the bundled ImageNet network]
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    #[command(flatten)]
    arch: model::Arch,
    /// Images that the networks run at a time
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    batch: u16,
    /// Time only cases with this in their names
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    filter: String,
    /// Time only cases in this mode
    #[arg(long, value_enum)]
    mode: Option<ModeName>,
    /// Time to spend on each case; set-up and check come on top, and no case has fewer than six samples
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds)]
    budget: Duration,
    /// File to write the record to, as JSON
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    adapter: AdapterArguments,
    /// Print the record, one JSON document, instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
enum Command {
    Report(report::Arguments),
}
/// A drift up to here is no news: medians are known no better.
const DRIFT_BOUND: f64 = 0.05;

/// What to time.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum SuiteName {
    /// Single convolutions with random weights
    Layers,
    /// A whole network in every mode
    Networks,
    /// DO-Conv layers in every mode, composing by itself, and a folded network beside one that was never composed
    Fold,
    /// What the adapter can do at most
    Peak,
    /// All of these
    #[default]
    All,
}

impl SuiteName {
    fn suites(self) -> Vec<Suite> {
        match self {
            SuiteName::Layers => vec![Suite::Layers],
            SuiteName::Networks => vec![Suite::Networks],
            SuiteName::Fold => vec![Suite::Fold],
            SuiteName::Peak => vec![Suite::Peak],
            SuiteName::All => Suite::ALL.to_vec(),
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

pub fn main(arguments: Arguments) -> Result<()> {
    if let Some(Command::Report(arguments)) = arguments.command {
        return report::main(arguments);
    }
    if let Some(path) = &arguments.output {
        model::check_writable(path)?;
    }
    let suites = arguments.suite.suites();
    let wants_model = suites.iter().any(|suite| matches!(suite, Suite::Networks | Suite::Fold));
    if let Some(path) = arguments.model.as_ref().filter(|_| !wants_model) {
        let suite = suites[0].name();
        bail!("{}: the suite {suite} needs no model; leave out --model, or --suite {suite}", path.display());
    }
    let open = || match arguments.model.as_deref() {
        None => arguments.arch.random_or_bundled(),
        Some(path) => arguments.arch.open(path),
    };
    let model = wants_model.then(open).transpose()?;
    let adapter = arguments.adapter.open()?;
    if let Some(model) = model.as_ref().filter(|model| suites.contains(&Suite::Fold) && !is_doconv(model)) {
        eprintln!("{} has no DO-Conv layers: nothing of it can be folded", output::printable(&model.network().name));
    }
    let options = Options {
        suites,
        filter: arguments.filter,
        budget: arguments.budget,
        batch: arguments.batch.into(),
        mode: arguments.mode.map(Into::into),
    };
    let bar = progress::cases();
    let told = bar.clone();
    // Not before now: until there is something to keep, Ctrl-C just ends the program.
    let interrupt = Interrupt::listen(move || {
        told.suspend(|| output::note("stopping after the sample that runs; Ctrl-C again ends at once"));
    })?;
    let (mut begun, mut total) = (None, 0);
    let record = blocking::run_benchmark(&adapter, model.as_ref(), &options, Environment::here(), |progress| {
        if begun.replace(progress.done) != Some(progress.done) {
            log::info!("{} of {} cases are done, now {}", progress.done, progress.total, progress.label);
        }
        total = progress.total;
        bar.set_length(progress.total as u64);
        bar.set_position(progress.done as u64);
        bar.set_message(output::printable(progress.label));
        if interrupt.came() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    let record = record?;
    let done = record.results.len();
    if record.stopped && done == 0 {
        // Nor is an older record overwritten by an empty one.
        bail!(interrupt.ended("stopped before any case was done: there is no record".into()));
    }

    if let Some(path) = &arguments.output {
        formats::write_file(path, &serde_json::to_vec(&record)?)?;
    }
    if arguments.json {
        output::print_json(&record)?;
    } else {
        output::print(&as_table(&record))?;
    }
    verdict(&record)?;
    match record.stopped {
        true => bail!(interrupt.ended(format!("stopped: {done} of {total} cases are done"))),
        false => Ok(()),
    }
}

/// Whether a network has layers that are, or were, W and D.
fn is_doconv(model: &Model) -> bool {
    model.convolutions().any(|(_, conv)| conv.doconv.is_some() && conv.taps() > 1)
}

/// The record as a table.
fn as_table(record: &Record) -> String {
    let header = ["case", "mode", "median ms", "95 % interval", "GMAC/s", "GB/s", "check"].map(String::from).to_vec();
    let rows: Vec<_> = std::iter::once(header).chain(record.results.iter().map(row)).collect();
    let table = table::align(&rows, &[2, 3, 4, 5]);
    let precision = precision::words(record.settings.precision);
    format!("{table}one run{precision} on {}, without upload and read-back\n", describe(&record.adapter))
}

fn row(result: &CaseResult) -> Vec<String> {
    let figures = match &result.outcome {
        Outcome::Measured(Measurement {
            median_ms,
            ci95_ms: [low, high],
            gmacs_per_s,
            gbytes_per_s,
            check,
            drift,
            ..
        }) => {
            let interval = format!("{} to {}", digits(*low), digits(*high));
            let check = if check.ok { "ok" } else { "WRONG" };
            let drift = drift.filter(|drift| drift.abs() > DRIFT_BOUND);
            let drift = drift.map(|drift| format!(", drift {:+.0} %", 100.0 * drift)).unwrap_or_default();
            vec![digits(*median_ms), interval, digits(*gmacs_per_s), digits(*gbytes_per_s), format!("{check}{drift}")]
        }
        Outcome::Failed { error } => {
            [vec![String::new(); 4], vec![format!("failed: {}", output::printable(error))]].concat()
        }
    };
    [vec![output::printable(&result.name), result.mode.name().into()], figures].concat()
}

/// An error where a result is wrong or missing.
fn verdict(record: &Record) -> Result<()> {
    let names = |is: fn(&Outcome) -> bool| -> Vec<String> {
        let concerned = record.results.iter().filter(|result| is(&result.outcome));
        concerned.map(|result| format!("{} ({})", output::printable(&result.name), result.mode.name())).collect()
    };
    let wrong = names(|outcome| matches!(outcome, Outcome::Measured(Measurement { check, .. }) if !check.ok));
    let failed = names(|outcome| matches!(outcome, Outcome::Failed { .. }));
    let count = record.results.len();
    match (wrong.as_slice(), failed.as_slice()) {
        ([], []) => Ok(()),
        (wrong, []) => bail!("wrong results in {} of {count} cases: {}", wrong.len(), wrong.join(", ")),
        ([], failed) => bail!("{} of {count} cases failed: {}", failed.len(), failed.join(", ")),
        (wrong, failed) => bail!(
            "wrong results in {} of {count} cases: {}; failed: {}",
            wrong.len(),
            wrong.join(", "),
            failed.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use doconv::bench::Check;

    use super::*;

    #[test]
    fn what_is_wrong_or_missing_is_named() {
        let check = Check { ok: false, largest_error: Some(2.0), tolerance: 1.0, reference: "truth".into() };
        let measured = Outcome::Measured(Measurement {
            kernels: vec!["cpu".into()],
            precision: Default::default(),
            check: check.clone(),
            setup_ms: 1.0,
            first_ms: 1.0,
            repeats: 1,
            samples_ms: vec![1.0; 6],
            median_ms: 1.0,
            ci95_ms: [0.9, 1.1],
            gmacs_per_s: 2.0,
            gbytes_per_s: 0.5,
            drift: Some(-0.074),
        });
        let failed = Outcome::Failed { error: "out of memory".into() };
        let result = |name: &str, outcome: &Outcome| {
            let (suite, mode) = (Suite::Layers, doconv::Mode::Folded);
            CaseResult { suite, name: name.into(), mode, batch: 1, macs: 1, bytes: 1, outcome: outcome.clone() }
        };
        let cells = ["a", "folded", "1.00", "0.900 to 1.10", "2.00", "0.500", "WRONG, drift -7 %"];
        assert_eq!(row(&result("a", &measured)), cells);
        assert_eq!(row(&result("b", &failed)).last().unwrap(), "failed: out of memory");
    }

    #[test]
    fn budgets_are_seconds() {
        assert_eq!(seconds("0.25"), Ok(Duration::from_millis(250)));
        assert!(["-1", "NaN", "1e300", "soon"].map(seconds).iter().all(Result::is_err));
    }
}
