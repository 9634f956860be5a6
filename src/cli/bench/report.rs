//! `doconv bench report`: records of several adapters as a page, and what changed between two.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use doconv::bench::report::{self, Comparison, Pair, Side, Source, Verdict, digits};
use doconv::formats;

use crate::cli::{inputs, model, output, table};

/// Larger files are no records: the largest so far have some hundred kilobytes.
const LARGEST_FILE: u64 = 16_000_000;

/// Show records side by side, as a page
///
/// Makes one HTML page of benchmark records, whoever wrote them, this program or the web page: what was measured where,
/// every case with all adapters side by side, and where a record has the suite `peak`, how far each layer is from what the
/// adapter can do. The page is one file and loads nothing. Wrong results are struck out, and are never the fastest; software
/// adapters and the CPU path are not ranked among hardware.
#[derive(clap::Args)]
#[command(
    after_help = "\
Examples:
  doconv bench --output gpu.json                       a record
  doconv bench --adapter cpu --output cpu.json         another
  doconv bench report *.json --output report.html      both as a page
  doconv bench report --compare old.json new.json      what changed, as a table
  doconv bench report --compare old.json new.json --output changes.html
  doconv bench report --compare old.json new.json --json

A case is faster or slower where the two 95 % confidence intervals do not overlap and the medians
differ by more than 5 %; everything else is within noise. docs/benchmarks.md describes records and
comparisons.",
    override_usage = "\
doconv bench report FILE... --output FILE
       doconv bench report --compare OLD NEW [--json] [--output FILE] [FILE...]"
)]
pub struct Arguments {
    /// Records: JSON files of `doconv bench --output` or of the web page
    #[arg(value_name = "FILE", required_unless_present = "compare", requires = "output")]
    files: Vec<PathBuf>,
    /// File to write the page to, as HTML
    #[arg(long, value_name = "FILE", required_unless_present = "compare")]
    output: Option<PathBuf>,
    /// Print what changed between two records; with --output, the page says so too
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"])]
    compare: Option<Vec<PathBuf>>,
    /// Print the comparison as one JSON document instead of the table
    #[arg(long, requires = "compare")]
    json: bool,
}

pub fn main(arguments: Arguments) -> Result<()> {
    let compared = arguments.compare.unwrap_or_default();
    let mut paths = compared.clone();
    for argument in &arguments.files {
        paths.extend(inputs::files(argument)?);
    }
    if let Some(path) = &arguments.output {
        model::check_writable(path)?;
        let is_output = |input: &&PathBuf| {
            fs::canonicalize(input).is_ok_and(|input| fs::canonicalize(path).is_ok_and(|path| path == input))
        };
        if let Some(input) = paths.iter().find(is_output) {
            bail!("{}: is one of the records; name another file with --output", input.display());
        }
    }
    let sources = paths.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    let comparison = match &sources[..compared.len()] {
        [old, new] => Some(report::compare(old, new)),
        _ => None,
    };
    if let Some(path) = &arguments.output {
        // What is compared may be named among the files too.
        let first = |at: &usize| !paths[..*at].contains(&paths[*at]);
        let distinct: Vec<Source> = (0..paths.len()).filter(first).map(|at| sources[at].clone()).collect();
        formats::write_file(path, report::html(&distinct, comparison.as_ref())?.as_bytes())?;
    }
    let Some(comparison) = comparison else { return Ok(()) };
    if let Some(note) = note(&comparison) {
        output::note(&note);
    }
    if arguments.json { output::print_json(&comparison) } else { output::print(&changes(&comparison)) }
}

fn read(path: &Path) -> Result<Source> {
    let name = output::printable(&path.display().to_string());
    let mut bytes = vec![];
    File::open(path)
        .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
        .map_err(|error| anyhow!("{name}: {error}; {}", report::ORIGIN))?;
    if bytes.len() as u64 > LARGEST_FILE {
        bail!("{name}: no benchmark record: larger than {}; {}", output::bytes(LARGEST_FILE), report::ORIGIN);
    }
    Ok(report::read(&name, &bytes)?)
}

/// What besides doconv may explain a change.
fn note(Comparison { old, new, differences, .. }: &Comparison) -> Option<String> {
    let files = format!("{} and {}", old.file, new.file);
    let line = match differences.as_slice() {
        [] => return None,
        ["adapter", ..] => format!("{files} are of different adapters: {} and {}", old.adapter, new.adapter),
        differences => format!("{files} differ in {}, which may explain what changed", differences.join(", ")),
    };
    Some(output::printable(&format!("note: {line}")))
}

/// The comparison as a table.
fn changes(comparison: &Comparison) -> String {
    let header = ["case", "mode", "old ms", "new ms", "new/old", "verdict"].map(String::from).to_vec();
    let rows: Vec<_> = std::iter::once(header).chain(comparison.cases.iter().map(row)).collect();
    let table = table::align(&rows, &[2, 3, 4]);
    let only = |verdict: Verdict, file: &str| {
        let cases = comparison.cases.iter().filter(|pair| pair.verdict == verdict);
        let names: Vec<String> = cases.map(|pair| format!("{} ({})", pair.name, pair.mode)).collect();
        let line = output::printable(&format!("only in {file}: {}", names.join(", ")));
        if names.is_empty() { String::new() } else { line + "\n" }
    };
    let old = only(Verdict::OnlyOld, &comparison.old.file);
    let new = only(Verdict::OnlyNew, &comparison.new.file);
    format!("{table}{}\n{old}{new}", comparison.summary())
}

fn row(pair: &Pair) -> Vec<String> {
    let side = |side: &Option<Side>| match side {
        None => String::new(),
        Some(Side::Measured { median_ms, ok: true, .. }) => digits(*median_ms),
        Some(Side::Measured { median_ms, ok: false, .. }) => format!("{} wrong", digits(*median_ms)),
        Some(Side::Failed { .. }) => "failed".into(),
    };
    let ratio = pair.ratio.map(digits).unwrap_or_default();
    let verdict = match (&pair.new, pair.verdict) {
        (Some(Side::Failed { error }), Verdict::Failed) => format!("failed: {}", output::printable(error)),
        (_, Verdict::Wrong) => "WRONG".into(),
        (_, verdict) => verdict.words().into(),
    };
    vec![output::printable(&pair.name), output::printable(&pair.mode), side(&pair.old), side(&pair.new), ratio, verdict]
}
