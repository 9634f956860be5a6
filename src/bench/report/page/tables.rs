//! A suite's cases, with the records of each group side by side.

use serde::Serialize;

use super::text::{count, interval, join};
use crate::bench::report::number_format::{digits, large, percent};
use crate::bench::report::ranking::{self, Entry, PEAK, Row, Standing, Table, Work};
use crate::bench::report::read::{Case, Figures, Outcome, Source};

#[derive(Serialize)]
pub(super) struct SuiteView {
    title: String,
    remark: &'static str,
    tables: Vec<TableView>,
}

#[derive(Serialize)]
struct TableView {
    title: &'static str,
    remark: &'static str,
    /// Whether several records stand beside each other; the one otherwise.
    several: bool,
    only: String,
    overall: Vec<OverallView>,
    compared: String,
    cases: Vec<CaseView>,
}

#[derive(Serialize)]
struct OverallView {
    label: String,
    fastest: usize,
    times: String,
}

#[derive(Serialize)]
struct CaseView {
    name: String,
    about: String,
    entries: Vec<EntryView>,
}

/// Empty texts for what is not there.
#[derive(Serialize)]
struct EntryView {
    label: String,
    kernels: String,
    /// Why there are no figures.
    error: String,
    median: String,
    interval: String,
    speed: String,
    /// What is wrong with the result.
    wrong: String,
    standing: String,
    fastest: bool,
    bar: Option<Bar>,
}

/// Places along a bar's axis, in percent.
#[derive(Serialize)]
struct Bar {
    value: String,
    low: String,
    high: String,
}

pub(super) fn view(sources: &[Source], labels: &[String], suite: &str) -> SuiteView {
    let (title, remark) = match suite {
        "layers" => ("Single layers", ""),
        "networks" => ("Whole networks", ""),
        "fold" => ("DO-Conv layers, folded and composed", ""),
        PEAK => (
            "What the adapters can do",
            "Arithmetic and copying are rates: the longer the bar, the better. A dispatch is a time.",
        ),
        other => (other, "A suite that this version of doconv does not know."),
    };
    let tables = ranking::tables(sources, suite);
    SuiteView { title: title.into(), remark, tables: tables.iter().map(|one| table(one, labels)).collect() }
}

fn table(table: &Table<'_>, labels: &[String]) -> TableView {
    let mut entries = table.rows.iter().flat_map(|row| &row.entries);
    let first = entries.next().map(|entry| entry.source);
    let several = entries.any(|entry| Some(entry.source) != first);
    let longest = |rows: &[Row]| {
        let ends = rows.iter().flat_map(|row| &row.entries).filter_map(|entry| Some(axis(entry.case)?[2]));
        ends.fold(0.0, f64::max)
    };
    let all = longest(&table.rows);
    // Records side by side have a scale for each case, a record by itself has one for all. Peaks have nothing in common.
    let scale = |row: &Row| match (several, row.case.suite.as_str()) {
        (true, _) => longest(std::slice::from_ref(row)),
        (false, PEAK) => f64::NAN,
        (false, _) => all,
    };
    let (compared, overall) = ranking::overall(table);
    let overall = overall.into_iter().map(|one| OverallView {
        label: labels[one.source].clone(),
        fastest: one.fastest,
        times: digits(one.times),
    });
    TableView {
        title: table.group.title(),
        remark: table.group.remark(),
        several,
        only: first
            .map(|source| labels[source].clone())
            .filter(|label| !several && label != table.group.title())
            .unwrap_or_default(),
        overall: overall.collect(),
        compared: count(compared, "case", "cases"),
        cases: table.rows.iter().map(|row| case(row, labels, scale(row))).collect(),
    }
}

fn case(row: &Row<'_>, labels: &[String], scale: f64) -> CaseView {
    let Case { name, mode, batch, macs, suite, .. } = row.case;
    let batch = if *batch == 1 { String::new() } else { format!("batch {batch}") };
    // Of peaks every adapter is given as much as it needs.
    let macs = if *macs == 0 || suite == PEAK { String::new() } else { large(*macs as f64, "MAC") };
    let mode = if suite == PEAK { "" } else { mode.as_str() };
    CaseView {
        name: name.clone(),
        about: join(&[mode, &batch, &macs], " · "),
        entries: row.entries.iter().map(|one| entry(one, &labels[one.source], scale)).collect(),
    }
}

fn entry(Entry { case, standing, .. }: &Entry<'_>, label: &str, scale: f64) -> EntryView {
    let words = match standing {
        Standing::None => "right".into(),
        Standing::Fastest => "fastest".into(),
        Standing::Level(_) => "level".into(),
        Standing::Behind(times) => format!("{} ×", digits(*times)),
    };
    let empty = EntryView {
        label: label.into(),
        kernels: String::new(),
        error: String::new(),
        median: String::new(),
        interval: String::new(),
        speed: String::new(),
        wrong: String::new(),
        standing: words,
        fastest: matches!(standing, Standing::Fastest | Standing::Level(_)),
        bar: None,
    };
    let figures = match &case.outcome {
        Outcome::Failed(error) => return EntryView { error: error.clone(), ..empty },
        Outcome::Measured(figures) => figures,
    };
    let bar = axis(case).filter(|_| scale > 0.0).map(|places| {
        let [low, value, high] = places.map(|place| percent(place / scale));
        Bar { value, low, high }
    });
    let [median, interval, speed] = texts(case, figures);
    EntryView {
        kernels: figures.kernels.join(", "),
        median,
        interval,
        speed,
        wrong: if figures.check.ok { String::new() } else { wrong(figures) },
        bar,
        ..empty
    }
}

/// The ends of the confidence interval and the median in between, in milliseconds, or of peaks as a rate.
fn axis(case: &Case) -> Option<[f64; 3]> {
    let cost = case.cost()?;
    Some(match case.work() {
        Work::Run => [cost.low, cost.median, cost.high],
        // A lower end of zero is an infinite rate.
        Work::Mac(_) | Work::Byte(_) => [cost.high, cost.median, cost.low.max(cost.median / 2.0)].map(f64::recip),
    })
}

/// The median, its interval and the rate; of peaks, for which times mean nothing, the rate alone.
fn texts(case: &Case, figures: &Figures) -> [String; 3] {
    let rate = |work: u64, ms: f64| work as f64 / (ms * 1e6);
    let rates = |work: u64, unit: &str| {
        let [low, high] = figures.ci95_ms;
        let median = format!("{} {unit}", digits(rate(work, figures.median_ms)));
        [median, interval([rate(work, high), rate(work, low)]), String::new()]
    };
    let time = || {
        let speed = rate(case.macs, figures.median_ms);
        let speed = if speed > 0.0 && speed.is_finite() { format!("{} GMAC/s", digits(speed)) } else { String::new() };
        [format!("{} ms", digits(figures.median_ms)), interval(figures.ci95_ms), speed]
    };
    match case.work() {
        Work::Mac(count) if figures.ci95_ms[0] > 0.0 => rates(count, "GMAC/s"),
        Work::Byte(count) if figures.ci95_ms[0] > 0.0 => rates(count, "GB/s"),
        _ => time(),
    }
}

fn wrong(Figures { check, .. }: &Figures) -> String {
    let off = match check.largest_error {
        Some(error) => format!("off by {} where {} is allowed", digits(error.abs()), digits(check.tolerance.abs())),
        None => "NaN or infinity, or another shape".into(),
    };
    let compared =
        if check.reference.is_empty() { String::new() } else { format!("compared with: {}", check.reference) };
    join(&[&off, &compared], "; ")
}
