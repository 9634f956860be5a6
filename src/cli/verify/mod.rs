//! `doconv verify`: whether every kernel computes what it should on this adapter.

mod supervisor;
mod worker;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use doconv::formats;
use doconv::verification::{Extent, Failure, KernelRow, Summary};
use serde::Serialize;

use super::adapter::AdapterName;
use super::interrupt::Interrupt;
use super::{model, output, progress, table};
use supervisor::{Report, Settings, supervise};

/// Check every kernel of this device against the reference
///
/// Runs every shader family in all that it is specialised by, with the kernels for GPUs and those for software adapters, in every
/// precision that the adapter has, on small networks with random weights, and compares every number with an f64 reference by
/// what rounding may do. Nothing is taken from the cache, and nothing stands in for what is wrong. A driver that crashes, loses
/// the device or gives no answer is a failed case, not the end. With `--adapter cpu`, the operators of the CPU path.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  doconv verify                                 the default adapter
  doconv verify --adapter nvidia                another, by a part of its name
  doconv verify --output verify.json            the table, and all of it to attach to a bug report
  doconv verify --quick                         every shader family, but not all that it is specialised by

The table has a line for every shader family: how many specialised shaders and cases were run, the
largest error in multiples of what rounding may do (above 1 is wrong), and a verdict. A case runs
several families, and counts for each. JSON: {\"adapter\":{…},\"cases\":M,\"checked\":N,\"stopped\":false,
\"failed\":[{\"kernel\":…,\"case\":…,\"error\":…}],\"kernels\":[…]}. The exit status is 1 if any case failed.
Ctrl-C and SIGTERM stop it; what was checked until then is reported.")]
pub struct Arguments {
    #[command(flatten)]
    adapter: AdapterName,
    /// Run every shader family once in each precision, and little more
    #[arg(long)]
    quick: bool,
    /// File to write the JSON document to
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Seconds that a case may take before its process is ended
    #[arg(long, value_name = "SECONDS", default_value = "120", value_parser = clap::value_parser!(u64).range(1..))]
    patience: u64,
    /// Print one JSON document instead of the table
    #[arg(long)]
    json: bool,
    /// Check the cases from one on up to another, and tell about each in a line: what this program starts itself with
    #[arg(long, value_name = "CASE", hide = true, num_args = 2)]
    worker: Option<Vec<usize>>,
    /// Do not compile the first of them ahead
    #[arg(long, hide = true)]
    one_by_one: bool,
}

#[derive(Serialize)]
struct Document<'a> {
    adapter: &'a serde_json::Value,
    cases: usize,
    checked: usize,
    stopped: bool,
    failed: &'a [Failure],
    kernels: Vec<KernelJson<'a>>,
    elapsed_s: f64,
}

#[derive(Serialize)]
struct KernelJson<'a> {
    kernel: &'a str,
    shaders: usize,
    cases: usize,
    failed: usize,
    worst: f64,
}

impl<'a> Document<'a> {
    fn new(report: &'a Report, stopped: bool, elapsed_s: f64) -> Self {
        let Report { found, summary, total } = report;
        let kernel = |(kernel, row): (&'a String, &'a KernelRow)| {
            let KernelRow { cases, failed, worst, .. } = *row;
            KernelJson { kernel, shaders: row.shaders.len(), cases, failed, worst }
        };
        let kernels = summary.kernels().iter().map(kernel).collect();
        let (adapter, checked, failed) = (&found.adapter, summary.checked(), summary.failed());
        Self { adapter, cases: *total, checked, stopped, failed, kernels, elapsed_s }
    }
}

pub fn main(arguments: Arguments) -> Result<()> {
    let extent = if arguments.quick { Extent::Quick } else { Extent::Full };
    if let Some([first, end]) = arguments.worker.as_deref() {
        return worker::work(&arguments.adapter, extent, [*first, *end], arguments.one_by_one);
    }
    if let Some(path) = &arguments.output {
        model::check_writable(path)?;
    }
    let mut of_worker = vec!["verify".to_owned()];
    if let Some(name) = arguments.adapter.name() {
        of_worker.extend(["--adapter".into(), name.into()]);
    }
    if arguments.quick {
        of_worker.push("--quick".into());
    }
    let (bar, start) = (progress::cases(), Instant::now());
    let told = bar.clone();
    let interrupt = Interrupt::listen(move || {
        told.suspend(|| output::note("stopping: what was checked is reported; Ctrl-C again ends at once"));
    })?;
    let patience = Duration::from_secs(arguments.patience);
    let settings = Settings { arguments: &of_worker, patience, interrupt: &interrupt };
    let report = supervise(&settings, |done, total, case| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
        bar.set_message(case.to_owned());
    });
    bar.finish_and_clear();
    let report = report?;
    let Report { found, summary, total } = &report;
    let checked = summary.checked();
    let stopped = interrupt.came() && checked < *total;
    let stopped_at = || interrupt.ended(format!("stopped: {checked} of {total} cases were checked"));
    if stopped && checked == 0 {
        // Nor is an older document overwritten by an empty one.
        bail!(stopped_at());
    }
    let elapsed_s = (start.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    let document = Document::new(&report, stopped, elapsed_s);
    if let Some(path) = &arguments.output {
        formats::write_file(path, &serde_json::to_vec(&document)?)?;
    }
    if arguments.json {
        output::print_json(&document)?;
    } else {
        let verdict = match summary.failed() {
            [] if stopped => "all right so far",
            [] => "all right",
            _ => "FAILED",
        };
        let cases = table::count(checked as u64);
        let table = as_table(summary);
        output::print(&format!("{table}{cases} cases on {} in {elapsed_s} s: {verdict}\n", found.described))?;
    }
    match summary.failed() {
        [] if stopped => bail!(stopped_at()),
        [] => Ok(()),
        failed if stopped => {
            bail!("{} of {checked} cases failed: {}; stopped: there are {total}", failed.len(), names(failed))
        }
        failed => bail!("{} of {checked} cases failed: {}", failed.len(), names(failed)),
    }
}

/// Failures that are shown in full beneath the table.
const MOST_SHOWN: usize = 20;

fn as_table(summary: &Summary) -> String {
    let header = ["kernel", "shaders", "cases", "worst error", "verdict"].map(String::from).to_vec();
    let row = |(kernel, row): (&String, &KernelRow)| {
        let verdict = match row.failed {
            0 => "ok".into(),
            failed => format!("FAILED in {failed} of {}", row.cases),
        };
        let shaders = if row.shaders.is_empty() { "-".into() } else { row.shaders.len().to_string() };
        vec![kernel.clone(), shaders, row.cases.to_string(), format!("{:.3}", row.worst), verdict]
    };
    let rows: Vec<_> = std::iter::once(header).chain(summary.kernels().iter().map(row)).collect();
    let mut text = table::align(&rows, &[1, 2, 3]);
    for Failure { kernel, case, error } in summary.failed().iter().take(MOST_SHOWN) {
        text += &output::printable(&format!("FAILED {case} ({kernel}): {error}"));
        text.push('\n');
    }
    if let Some(more) = summary.failed().len().checked_sub(MOST_SHOWN).filter(|&more| more > 0) {
        text += &format!("… and {more} more: --json has all of them\n");
    }
    text
}

/// The kernels of failed cases, each once, a few of them.
fn names(failed: &[Failure]) -> String {
    let mut names: Vec<&str> = vec![];
    for Failure { kernel, .. } in failed {
        if !kernel.is_empty() && !names.contains(&kernel.as_str()) {
            names.push(kernel);
        }
    }
    let more = names.len().saturating_sub(3);
    let shown = names.into_iter().take(3).collect::<Vec<_>>().join(", ");
    if more > 0 { format!("{shown}, … and {more} more") } else { shown }
}
