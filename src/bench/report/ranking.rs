//! Who is fastest at what, among those that may be compared.

use super::adapters::Group;
use super::read::{Case, Outcome, Source};

/// The suite in which every adapter is given as much work as it needs to show what it can do.
pub(super) const PEAK: &str = "peak";

/// What the figures of a case are per.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// One run: all adapters do the same.
    Run,
    /// A multiply-accumulate of a run that has so many.
    Mac(u64),
    /// A byte of a run that moves so many.
    Byte(u64),
}

/// Milliseconds that something takes, with the confidence interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cost {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Cost {
    /// Whether the intervals have something in common, so that the two cannot be told apart.
    pub fn overlaps(&self, other: &Cost) -> bool {
        self.low <= other.high && other.low <= self.high
    }
}

impl Case {
    pub(super) fn work(&self) -> Work {
        match (self.suite.as_str(), self.name.as_str()) {
            (PEAK, "copy") if self.bytes > 0 => Work::Byte(self.bytes),
            // It moves a few bytes, but its time is what counts.
            (PEAK, "dispatch") => Work::Run,
            (PEAK, _) if self.macs > 0 => Work::Mac(self.macs),
            _ => Work::Run,
        }
    }

    /// What is compared, in milliseconds per run, multiply-accumulate or byte. Nothing where the result is wrong or missing,
    /// and where the clock saw no time pass.
    pub(super) fn cost(&self) -> Option<Cost> {
        let Outcome::Measured(figures) = &self.outcome else { return None };
        let work = match self.work() {
            Work::Run => 1.0,
            Work::Mac(count) | Work::Byte(count) => count as f64,
        };
        let [low, high] = figures.ci95_ms;
        let cost = Cost { median: figures.median_ms / work, low: low / work, high: high / work };
        (figures.check.ok && cost.median > 0.0).then_some(cost)
    }

    /// Whether both are the same case.
    pub(super) fn is_same_as(&self, other: &Case) -> bool {
        let called_alike =
            (&self.suite, &self.name, &self.mode, self.batch) == (&other.suite, &other.name, &other.mode, other.batch);
        // What failed may not know its cost.
        let failed = || [self, other].iter().any(|case| matches!(case.outcome, Outcome::Failed(_)));
        called_alike && (self.suite == PEAK || self.macs == other.macs || failed())
    }
}

/// What became of one case in one record.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The record's index.
    pub source: usize,
    pub case: &'a Case,
    pub standing: Standing,
}

/// Where a record stands among those of its group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Standing {
    /// Wrong, failed, or nobody to compare with.
    None,
    /// The smallest median.
    Fastest,
    /// So many times the smallest median; the intervals overlap.
    Level(f64),
    /// So many times the smallest median.
    Behind(f64),
}

/// One case in all records of a group that have it, in the records' order.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub case: &'a Case,
    pub entries: Vec<Entry<'a>>,
}

/// The cases of a suite in the records of a group.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub group: Group,
    pub rows: Vec<Row<'a>>,
}

/// The names of all suites: those known here in their order, then others as they come.
pub(super) fn suites(sources: &[Source]) -> Vec<&str> {
    let mut names = vec!["layers", "networks", "fold", PEAK];
    let cases = || sources.iter().flat_map(|source| &source.record.results);
    for case in cases() {
        if !names.contains(&case.suite.as_str()) {
            names.push(&case.suite);
        }
    }
    names.retain(|name| cases().any(|case| case.suite == *name));
    names
}

/// A suite's table for every group that ran it.
pub(super) fn tables<'a>(sources: &'a [Source], suite: &str) -> Vec<Table<'a>> {
    let table = |group| {
        let mut rows: Vec<Row> = vec![];
        for (at, source) in sources.iter().enumerate().filter(|(_, s)| Group::of(&s.record.adapter) == group) {
            for case in source.record.results.iter().filter(|case| case.suite == suite) {
                let entry = Entry { source: at, case, standing: Standing::None };
                match rows.iter_mut().find(|row| row.entries.iter().all(|entry| entry.case.is_same_as(case))) {
                    Some(row) => row.entries.push(entry),
                    None => rows.push(Row { case, entries: vec![entry] }),
                }
            }
        }
        for row in &mut rows {
            rank(row);
        }
        Table { group, rows }
    };
    Group::ALL.into_iter().map(table).filter(|table| !table.rows.is_empty()).collect()
}

fn rank(row: &mut Row<'_>) {
    // What is known of the work comes from one that did it.
    if let Some(done) = row.entries.iter().find(|entry| matches!(entry.case.outcome, Outcome::Measured(_))) {
        row.case = done.case;
    }
    let costs: Vec<Option<Cost>> = row.entries.iter().map(|entry| entry.case.cost()).collect();
    let right = || costs.iter().enumerate().filter_map(|(at, cost)| Some((at, (*cost)?)));
    let Some((fastest, best)) = right().min_by(|(_, a), (_, b)| a.median.total_cmp(&b.median)) else { return };
    if right().count() < 2 {
        return;
    }
    for (entry, cost) in row.entries.iter_mut().zip(&costs) {
        let Some(cost) = cost else { continue };
        let times = cost.median / best.median;
        entry.standing = if cost.overlaps(&best) { Standing::Level(times) } else { Standing::Behind(times) };
    }
    row.entries[fastest].standing = Standing::Fastest;
}

/// How a record fares in a table on the whole.
#[derive(Debug, PartialEq)]
pub(super) struct Overall {
    pub source: usize,
    /// In how many of the compared cases nobody is faster beyond the intervals.
    pub fastest: usize,
    /// Geometric mean over the compared cases of how many times the fastest median it takes.
    pub times: f64,
}

/// The records of a table, the best first, by the cases that all of them got right; and how many these are.
pub(super) fn overall(table: &Table<'_>) -> (usize, Vec<Overall>) {
    let mut sources: Vec<usize> = table.rows.iter().flat_map(|row| &row.entries).map(|entry| entry.source).collect();
    sources.sort_unstable();
    sources.dedup();
    let times = |entry: &Entry| match entry.standing {
        Standing::None => None,
        Standing::Fastest => Some(1.0),
        Standing::Level(times) | Standing::Behind(times) => Some(times),
    };
    let complete = |row: &&Row| row.entries.len() == sources.len() && row.entries.iter().all(|e| times(e).is_some());
    let rows: Vec<&Row> = table.rows.iter().filter(complete).collect();
    let of = |&source: &usize| {
        let own: Vec<&Entry> =
            rows.iter().flat_map(|row| &row.entries).filter(|entry| entry.source == source).collect();
        let logarithms: f64 = own.iter().filter_map(|entry| times(entry)).map(f64::ln).sum();
        let fastest = own.iter().filter(|e| matches!(e.standing, Standing::Fastest | Standing::Level(_))).count();
        Overall { source, fastest, times: (logarithms / own.len() as f64).exp() }
    };
    if rows.is_empty() {
        return (0, vec![]);
    }
    let mut all: Vec<Overall> = sources.iter().map(of).collect();
    all.sort_by(|a, b| a.times.total_cmp(&b.times));
    (rows.len(), all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::report::fixtures::{case, peak, record, source, sources};

    fn standings(table: &Table) -> Vec<Vec<Standing>> {
        table.rows.iter().map(|row| row.entries.iter().map(|entry| entry.standing).collect()).collect()
    }

    #[test]
    fn the_smallest_median_is_the_fastest_and_overlapping_ones_are_level() {
        let records = sources(&[("A", "discrete", 2.0), ("B", "other", 1.0), ("C", "integrated", 1.0625)]);
        let [table] = &tables(&records, "layers")[..] else { panic!("one group") };
        let expected = vec![Standing::Behind(2.0), Standing::Fastest, Standing::Level(1.0625)];
        assert_eq!(standings(table), [expected.clone(), expected]);
        let (compared, overall) = overall(table);
        assert_eq!(
            (compared, overall.iter().map(|o| (o.source, o.fastest)).collect::<Vec<_>>()),
            (2, vec![(1, 2), (2, 2), (0, 0)])
        );
        assert!((overall[2].times - 2.0).abs() < 1e-12, "{overall:?}");
    }

    #[test]
    fn software_and_the_cpu_path_never_compete_with_hardware() {
        let all = [("GPU", "discrete", 2.0), ("llvmpipe", "software", 0.1), ("cpu", "cpu", 0.2), ("?", "new", 0.3)];
        let records = sources(&all);
        let tables = tables(&records, "layers");
        assert_eq!(tables.iter().map(|table| table.group).collect::<Vec<_>>(), Group::ALL);
        for (at, table) in tables.iter().enumerate() {
            assert!(table.rows.iter().all(|row| row.entries.iter().all(|entry| entry.source == [0, 2, 1, 3][at])));
            assert_eq!(standings(table), vec![vec![Standing::None]; 2], "nobody to compare with");
            assert_eq!(overall(table), (0, vec![]));
        }
    }

    #[test]
    fn wrong_failed_and_timeless_results_are_not_ranked() {
        let mut records =
            sources(&[("A", "discrete", 0.1), ("B", "other", 1.0), ("C", "other", 3.0), ("D", "other", 0.2)]);
        let measured = |source: &mut Source, change: fn(&mut crate::bench::report::Figures)| {
            let Outcome::Measured(figures) = &mut source.record.results[0].outcome else { panic!("it was measured") };
            change(figures);
        };
        measured(&mut records[0], |figures| figures.check.ok = false);
        measured(&mut records[3], |figures| (figures.median_ms, figures.ci95_ms) = (0.0, [0.0; 2]));
        let table = &tables(&records, "layers")[0];
        let expected = [Standing::None, Standing::Fastest, Standing::Behind(3.0), Standing::None];
        assert_eq!(standings(table)[0], expected);
        assert_eq!(standings(table)[1][0], Standing::Fastest, "its other result is right");
        assert_eq!(overall(table).0, 1, "only the second case was done by all");
        records[1].record.results[0].outcome = Outcome::Failed("no".into());
        records[1].record.results[0].macs = 0;
        let table = &tables(&records, "layers")[0];
        assert_eq!(standings(table)[0], [Standing::None; 4], "one is nobody to compare with");
    }

    #[test]
    fn other_work_under_the_same_name_is_another_case() {
        let mut records = sources(&[("A", "discrete", 1.0), ("B", "discrete", 2.0)]);
        records[1].record.results[0].macs += 1;
        let table = &tables(&records, "layers")[0];
        assert_eq!(table.rows.iter().map(|row| row.entries.len()).collect::<Vec<_>>(), [1, 2, 1]);
        records[1].record.results[1].mode = "kernel".into();
        assert_eq!(tables(&records, "layers")[0].rows.len(), 4);
    }

    #[test]
    fn peaks_are_compared_by_rate() {
        let with = |name: &str, macs, bytes| {
            let mut record = record(name, "discrete");
            record["results"] =
                vec![peak("f32", 1.0, macs, 0), peak("copy", 1.0, 0, bytes), peak("dispatch", 0.1, 0, 0)].into();
            source(name, &record)
        };
        let records = [with("small", 1000, 64), with("large", 3000, 64)];
        let table = &tables(&records, PEAK)[0];
        let level = vec![Standing::Fastest, Standing::Level(1.0)];
        assert_eq!(standings(table), [vec![Standing::Behind(3.0), Standing::Fastest], level.clone(), level]);
    }

    #[test]
    fn unknown_suites_come_last() {
        let mut record = record("A", "discrete");
        let results = ["zzz", "peak", "attention", "layers", "zzz"].map(|suite| case(suite, suite, 1.0));
        record["results"] = results.to_vec().into();
        assert_eq!(suites(&[source("r", &record)]), ["layers", "peak", "zzz", "attention"]);
    }
}
