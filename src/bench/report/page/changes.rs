//! What changed between two records, as a table.

use serde::Serialize;

use super::text::{interval, join};
use crate::bench::report::compare::{BAND, Comparison, Pair, Side, Subject, Verdict};
use crate::bench::report::number_format::{date, digits};

#[derive(Serialize)]
pub(super) struct ComparisonView {
    old: String,
    new: String,
    band: String,
    differences: String,
    summary: String,
    rows: Vec<PairView>,
}

#[derive(Serialize)]
struct PairView {
    name: String,
    about: String,
    old: SideView,
    new: SideView,
    ratio: String,
    verdict: &'static str,
    /// The verdict's CSS class.
    class: &'static str,
}

/// Empty texts for what is not there.
#[derive(Default, Serialize)]
struct SideView {
    median: String,
    interval: String,
    wrong: bool,
    error: String,
}

pub(super) fn view(comparison: &Comparison) -> ComparisonView {
    ComparisonView {
        old: subject(&comparison.old),
        new: subject(&comparison.new),
        band: format!("{} %", 100.0 * BAND),
        differences: comparison.differences.join(", "),
        summary: comparison.summary(),
        rows: comparison.cases.iter().map(pair).collect(),
    }
}

fn subject(subject: &Subject) -> String {
    let commit = subject.commit.as_ref().map(|commit| format!("commit {commit}")).unwrap_or_default();
    join(&[&subject.file, &subject.adapter, &date(&subject.date), &commit], " · ")
}

fn pair(pair: &Pair) -> PairView {
    let batch = if pair.batch == 1 { String::new() } else { format!("batch {}", pair.batch) };
    PairView {
        name: pair.name.clone(),
        about: join(&[&pair.suite, &pair.mode, &batch], " · "),
        old: pair.old.as_ref().map(side).unwrap_or_default(),
        new: pair.new.as_ref().map(side).unwrap_or_default(),
        ratio: pair.ratio.map(digits).unwrap_or_default(),
        verdict: pair.verdict.words(),
        class: match pair.verdict {
            Verdict::Faster | Verdict::Repaired => "better",
            Verdict::Slower | Verdict::Wrong | Verdict::Failed => "worse",
            _ => "quiet",
        },
    }
}

fn side(side: &Side) -> SideView {
    match side {
        Side::Failed { error } => SideView { error: error.clone(), ..SideView::default() },
        Side::Measured { median_ms, ci95_ms, ok } => {
            SideView { median: digits(*median_ms), interval: interval(*ci95_ms), wrong: !ok, error: String::new() }
        }
    }
}
