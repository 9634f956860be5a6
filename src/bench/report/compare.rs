//! Before and after: what changed between two records beyond noise.

use serde::Serialize;

use super::adapters::{self, describe};
use super::ranking::Cost;
use super::read::{Case, Outcome, Source};

/// Medians within this fraction of each other count as equal, however narrow their intervals are: an interval knows
/// nothing of what changes between two runs of the benchmark, such as clock rates and neighbours. Sampling itself stops at
/// the same fraction.
pub const BAND: f64 = 0.05;

/// Fewer samples than this have no 95 % confidence interval.
const FEWEST_SAMPLES: usize = 6;

/// Two records, case by case.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The name of this document's schema.
    pub schema: &'static str,
    /// [`BAND`].
    pub band: f64,
    /// The earlier record.
    pub old: Subject,
    /// The later one.
    pub new: Subject,
    /// What may explain differences, besides doconv itself: `adapter`, `driver` and so on.
    pub differences: Vec<&'static str>,
    /// Those of the old record in their order, then those only in the new one.
    pub cases: Vec<Pair>,
}

/// A record that is compared.
#[derive(Clone, Debug, Serialize)]
pub struct Subject {
    /// The file.
    pub file: String,
    /// Its adapter in one line.
    pub adapter: String,
    /// When the run began.
    pub date: String,
    /// The version of doconv.
    pub version: String,
    /// The commit, where that is known.
    pub commit: Option<String>,
}

/// One case before and after.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// The suite's name.
    pub suite: String,
    /// The layer's or the network's name.
    pub name: String,
    /// How DO-Conv layers were run.
    pub mode: String,
    /// Images at once.
    pub batch: u64,
    /// In the old record, if it is there.
    pub old: Option<Side>,
    /// In the new record, if it is there.
    pub new: Option<Side>,
    /// The new median by the old one, where both are right; of peaks, the times for the same work.
    pub ratio: Option<f64>,
    /// What that means.
    pub verdict: Verdict,
}

/// What one record says of a case.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Side {
    /// It ran.
    Measured {
        /// Milliseconds.
        median_ms: f64,
        /// The confidence interval.
        ci95_ms: [f64; 2],
        /// Whether the result is right.
        ok: bool,
    },
    /// It failed.
    Failed {
        /// Why.
        error: String,
    },
}

/// What became of a case from one record to the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The confidence intervals do not overlap, and the new median is below the old one by more than [`BAND`].
    Faster,
    /// The confidence intervals do not overlap, and the old median is below the new one by more than [`BAND`].
    Slower,
    /// Neither.
    WithinNoise,
    /// The new result is wrong.
    Wrong,
    /// The new run failed.
    Failed,
    /// The new result is right, and the old one was wrong or failed.
    Repaired,
    /// There are too few samples for an interval, or the clock saw no time pass.
    Unknown,
    /// It is not in the new record, or other work under the same name.
    OnlyOld,
    /// It is not in the old record, or other work under the same name.
    OnlyNew,
}

impl Verdict {
    const ALL: [Verdict; 9] = [
        Verdict::Faster,
        Verdict::Slower,
        Verdict::WithinNoise,
        Verdict::Wrong,
        Verdict::Failed,
        Verdict::Repaired,
        Verdict::Unknown,
        Verdict::OnlyOld,
        Verdict::OnlyNew,
    ];
    const ALWAYS_SAID: [Verdict; 3] = [Verdict::Faster, Verdict::Slower, Verdict::WithinNoise];

    /// In words, as tables have it.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Faster => "faster",
            Verdict::Slower => "slower",
            Verdict::WithinNoise => "within noise",
            Verdict::Wrong => "wrong",
            Verdict::Failed => "failed",
            Verdict::Repaired => "right again",
            Verdict::Unknown => "cannot be told",
            Verdict::OnlyOld => "only in old",
            Verdict::OnlyNew => "only in new",
        }
    }
}

/// Compares two records, case by case.
///
/// ```
/// use doconv::bench::report::{Verdict, compare, read};
///
/// let record = |median: f64| {
///     let interval = [0.98 * median, 1.02 * median];
///     let text = format!(
///         r#"{{ "schema": "doconv-bench-1", "adapter": {{ "name": "GPU", "type": "discrete" }}, "results": [
///             {{ "suite": "layers", "name": "conv", "mode": "folded", "check": {{ "ok": true }},
///                "median_ms": {median}, "ci95_ms": {interval:?}, "samples_ms": {:?} }}] }}"#,
///         [median; 6],
///     );
///     read("made-up.json", text.as_bytes())
/// };
/// let comparison = compare(&record(2.0)?, &record(1.0)?);
/// assert_eq!((comparison.cases[0].ratio, comparison.cases[0].verdict), (Some(0.5), Verdict::Faster));
/// # Ok::<(), doconv::Error>(())
/// ```
pub fn compare(old: &Source, new: &Source) -> Comparison {
    let mut missing: Vec<&Case> = new.record.results.iter().collect();
    let mut cases = vec![];
    for case in &old.record.results {
        let partner = missing.iter().position(|other| other.is_same_as(case)).map(|at| missing.remove(at));
        cases.push(pair(Some(case), partner, case));
    }
    cases.extend(missing.into_iter().map(|case| pair(None, Some(case), case)));
    let differences = adapters::differences(&old.record, &new.record);
    Comparison {
        schema: "doconv-bench-comparison-1",
        band: BAND,
        old: subject(old),
        new: subject(new),
        differences,
        cases,
    }
}

impl Comparison {
    /// How many cases had this fate.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|pair| pair.verdict == verdict).count()
    }

    /// How many cases had which fate: `2 faster, 0 slower, 11 within noise`.
    pub fn summary(&self) -> String {
        let told = |verdict: &&Verdict| Verdict::ALWAYS_SAID.contains(verdict) || self.count(**verdict) > 0;
        let words = |verdict: &Verdict| format!("{} {}", self.count(*verdict), verdict.words());
        Verdict::ALL.iter().filter(told).map(words).collect::<Vec<_>>().join(", ")
    }
}

fn subject(Source { name, record }: &Source) -> Subject {
    Subject {
        file: name.clone(),
        adapter: describe(record),
        date: record.date.clone(),
        version: record.version.clone(),
        commit: record.commit.clone(),
    }
}

fn pair(old: Option<&Case>, new: Option<&Case>, case: &Case) -> Pair {
    let costs = old.and_then(Case::cost).zip(new.and_then(Case::cost));
    Pair {
        suite: case.suite.clone(),
        name: case.name.clone(),
        mode: case.mode.clone(),
        batch: case.batch,
        old: old.map(side),
        new: new.map(side),
        ratio: costs.map(|(old, new)| new.median / old.median),
        verdict: verdict(old, new),
    }
}

fn side(case: &Case) -> Side {
    match &case.outcome {
        Outcome::Measured(figures) => {
            Side::Measured { median_ms: figures.median_ms, ci95_ms: figures.ci95_ms, ok: figures.check.ok }
        }
        Outcome::Failed(error) => Side::Failed { error: error.clone() },
    }
}

fn verdict(old: Option<&Case>, new: Option<&Case>) -> Verdict {
    let (Some(old), Some(new)) = (old, new) else {
        return if old.is_some() { Verdict::OnlyOld } else { Verdict::OnlyNew };
    };
    match (&old.outcome, &new.outcome) {
        (_, Outcome::Failed(_)) => Verdict::Failed,
        (_, Outcome::Measured(new)) if !new.check.ok => Verdict::Wrong,
        (Outcome::Failed(_), _) => Verdict::Repaired,
        (Outcome::Measured(old), _) if !old.check.ok => Verdict::Repaired,
        (Outcome::Measured(a), Outcome::Measured(b)) if a.samples.min(b.samples) < FEWEST_SAMPLES => Verdict::Unknown,
        _ => old.cost().zip(new.cost()).map_or(Verdict::Unknown, |(old, new)| difference(&old, &new)),
    }
}

fn difference(old: &Cost, new: &Cost) -> Verdict {
    let (faster, slower) = (new.median * (1.0 + BAND) < old.median, old.median * (1.0 + BAND) < new.median);
    match (old.overlaps(new), faster, slower) {
        (false, true, _) => Verdict::Faster,
        (false, _, true) => Verdict::Slower,
        _ => Verdict::WithinNoise,
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use serde_json::{Value, json};

    use super::*;
    use crate::bench::report::fixtures::{case, peak, record, source};

    fn of(cases: &[Value]) -> Source {
        let mut record = record("GPU", "discrete");
        record["results"] = cases.into();
        source("r.json", &record)
    }

    fn verdicts(old: &[Value], new: &[Value]) -> Vec<Verdict> {
        compare(&of(old), &of(new)).cases.iter().map(|pair| pair.verdict).collect()
    }

    /// A case with this median and interval.
    fn timed(median: f64, low: f64, high: f64) -> Value {
        let mut case = case("layers", "conv", median);
        case["ci95_ms"] = vec![low, high].into();
        case
    }

    #[test]
    fn a_change_must_leave_both_the_intervals_and_the_band() {
        let one = |old, new| verdicts(&[old], &[new])[0];
        assert_eq!(one(timed(1.0, 0.99, 1.01), timed(0.94, 0.93, 0.95)), Verdict::Faster);
        assert_eq!(one(timed(0.94, 0.93, 0.95), timed(1.0, 0.99, 1.01)), Verdict::Slower);
        assert_eq!(one(timed(1.0, 0.999, 1.001), timed(0.96, 0.959, 0.961)), Verdict::WithinNoise, "the band");
        assert_eq!(one(timed(0.96, 0.959, 0.961), timed(1.0, 0.999, 1.001)), Verdict::WithinNoise, "the band");
        assert_eq!(one(timed(2.0, 1.0, 3.0), timed(1.0, 0.9, 1.0)), Verdict::WithinNoise, "the intervals touch");
        assert_eq!(one(timed(2.0, 1.1, 3.0), timed(1.0, 0.9, 1.0)), Verdict::Faster);
        assert_eq!(one(timed(0.0, 0.0, 0.0), timed(1.0, 0.9, 1.0)), Verdict::Unknown);
        let mut few = timed(9.0, 9.0, 9.0);
        few["samples_ms"] = vec![9.0; 5].into();
        assert_eq!(one(few, timed(1.0, 0.9, 1.0)), Verdict::Unknown);
    }

    #[test]
    fn wrong_and_failed_results_are_never_faster() {
        let right = case("layers", "conv", 1.0);
        let mut wrong = case("layers", "conv", 0.1);
        wrong["check"]["ok"] = false.into();
        let failed = json!({ "suite": "layers", "name": "conv", "mode": "folded", "macs": 0, "error": "lost" });
        let one = |old: &Value, new: &Value| compare(&of(from_ref(old)), &of(from_ref(new))).cases[0].clone();
        for (old, new, verdict) in [
            (&right, &wrong, Verdict::Wrong),
            (&right, &failed, Verdict::Failed),
            (&wrong, &right, Verdict::Repaired),
            (&failed, &right, Verdict::Repaired),
            (&wrong, &wrong, Verdict::Wrong),
            (&wrong, &failed, Verdict::Failed),
        ] {
            let pair = one(old, new);
            assert_eq!((pair.verdict, pair.ratio), (verdict, None), "{old} {new}");
        }
    }

    #[test]
    fn what_is_only_in_one_is_named_and_other_work_is_another_case() {
        let mut other = case("layers", "b", 1.0);
        other["macs"] = 3.into();
        let old = [case("layers", "a", 1.0), case("layers", "b", 1.0)];
        let new = [case("layers", "c", 1.0), other, case("layers", "a", 1.0)];
        let comparison = compare(&of(&old), &of(&new));
        let all: Vec<_> = comparison.cases.iter().map(|pair| (pair.name.as_str(), pair.verdict)).collect();
        let (left, right) = (Verdict::OnlyOld, Verdict::OnlyNew);
        assert_eq!(all, [("a", Verdict::WithinNoise), ("b", left), ("c", right), ("b", right)]);
        assert_eq!(comparison.count(right), 2);
    }

    #[test]
    fn peaks_are_compared_by_rate() {
        let comparison = compare(&of(&[peak("f32", 1.0, 1000, 0)]), &of(&[peak("f32", 2.0, 4000, 0)]));
        assert_eq!((comparison.cases[0].ratio, comparison.cases[0].verdict), (Some(0.5), Verdict::Faster));
    }

    #[test]
    fn the_document_says_what_it_is() {
        let mut new = of(&[case("layers", "conv", 2.0)]);
        new.record.adapter.name = "other".into();
        let json = serde_json::to_value(compare(&of(&[case("layers", "conv", 1.0)]), &new)).unwrap();
        assert_eq!((&json["schema"], &json["band"]), (&"doconv-bench-comparison-1".into(), &0.05.into()));
        assert_eq!((&json["cases"][0]["verdict"], &json["cases"][0]["ratio"]), (&"slower".into(), &2.0.into()));
        assert_eq!(json["cases"][0]["old"], json!({ "median_ms": 1.0, "ci95_ms": [0.95, 1.05], "ok": true }));
        assert_eq!(json["differences"], json!(["adapter"]));
    }
}
