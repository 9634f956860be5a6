//! The record in `benchmarks/`, with which every run is compared: one line per shader, so that a change can be read as a diff.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::families::{Family, Report};
use crate::statistics::{COLUMNS, Statistics};
use crate::table;

/// What files hold.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// What the numbers of a shader are.
    columns: Vec<String>,
    gpus: BTreeMap<Family, Gpu>,
    shaders: BTreeMap<String, BTreeMap<Family, Statistics>>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Gpu {
    name: String,
    driver: String,
}

fn path() -> PathBuf {
    xtask::root().join("benchmarks/shader-stats.json")
}

/// The record of a run.
pub fn to_json(reports: &BTreeMap<Family, Report>) -> Result<String> {
    let names: std::collections::BTreeSet<&String> = reports.values().flat_map(|it| it.shaders.keys()).collect();
    let mut lines = vec!["{".to_string(), format!("  \"columns\": {},", serde_json::to_string(&COLUMNS)?)];
    lines.push("  \"gpus\": {".into());
    let gpu = |(family, report): (&Family, &Report)| -> Result<String> {
        let gpu = Gpu { name: report.gpu.clone(), driver: report.driver.clone() };
        Ok(format!("    {}: {}", serde_json::to_string(family)?, serde_json::to_string(&gpu)?))
    };
    lines.push(reports.iter().map(gpu).collect::<Result<Vec<_>>>()?.join(",\n"));
    lines.extend(["  },".into(), "  \"shaders\": {".into()]);
    let shader = |name: &&String| -> Result<String> {
        let of_families: BTreeMap<&Family, &Statistics> =
            reports.iter().filter_map(|(family, report)| Some((family, report.shaders.get(*name)?))).collect();
        Ok(format!("    {}: {}", serde_json::to_string(name)?, serde_json::to_string(&of_families)?))
    };
    lines.push(names.iter().map(shader).collect::<Result<Vec<_>>>()?.join(",\n"));
    lines.extend(["  }".into(), "}".into()]);
    Ok(lines.join("\n"))
}

/// Makes this run the record.
pub fn write(reports: &BTreeMap<Family, Report>) -> Result<()> {
    let path = path();
    std::fs::write(&path, to_json(reports)? + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("    wrote {}", path.display());
    fail_on_spills(reports)
}

/// Says what is other than in the record, and fails if a shader spills, is worse, or is not in it.
pub fn compare(reports: &BTreeMap<Family, Report>, is_part: bool) -> Result<()> {
    fail_on_spills(reports)?;
    let path = path();
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let record: Record = serde_json::from_str(&text).with_context(|| format!("{}", path.display()))?;
    let mut failures = vec![];
    for (&family, report) in reports {
        let Some(recorded) = record.gpus.get(&family) else { bail!("the record has no {}", family.name()) };
        if recorded.driver != report.driver {
            let drivers = format!("the record is of {}, this is {}", recorded.driver, report.driver);
            eprintln!("    {}: only spills are checked, because {drivers}", family.name());
            continue;
        }
        let changes = changes(family, report, &record, is_part);
        print!("{}", table::of_changes(family, &changes));
        failures.extend(changes.iter().filter(|change| change.fails()).map(|change| change.name.clone()));
    }
    let Some(first) = failures.first() else { return Ok(()) };
    bail!(
        "worse than the record or not in it: {first}{}; `cargo xtask shader-stats --write` updates {}",
        and_more(failures.len()),
        path.display()
    )
}

/// What is said of all but the first.
fn and_more(count: usize) -> String {
    if count > 1 { format!(" … and {} more", count - 1) } else { String::new() }
}

/// What became of a shader.
#[derive(Debug, PartialEq)]
pub struct Change {
    pub name: String,
    /// None for a shader that the record does not have.
    pub old: Option<Statistics>,
    /// None for one that is no longer used.
    pub new: Option<Statistics>,
}

impl Change {
    fn fails(&self) -> bool {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => new.is_worse_than(old),
            (old, _) => old.is_none(),
        }
    }

    /// One word about it.
    pub fn verdict(&self) -> &'static str {
        match (&self.old, &self.new) {
            (None, _) => "new",
            (_, None) => "gone",
            (Some(old), Some(new)) if new.is_worse_than(old) => "worse",
            (Some(old), Some(new)) if old.is_worse_than(new) => "better",
            _ => "changed",
        }
    }
}

fn changes(family: Family, report: &Report, record: &Record, is_part: bool) -> Vec<Change> {
    let old = |name: &str| record.shaders.get(name).and_then(|shader| shader.get(&family)).cloned();
    let now = report.shaders.iter().map(|(name, new)| (name, Some(new.clone())));
    let is_gone = |name: &&String| !is_part && !report.shaders.contains_key(*name);
    let gone = record.shaders.keys().filter(is_gone).map(|name| (name, None));
    let change = |(name, new): (&String, Option<Statistics>)| {
        let old = old(name);
        (old != new).then(|| Change { name: name.clone(), old, new })
    };
    now.chain(gone).filter_map(change).collect()
}

fn fail_on_spills(reports: &BTreeMap<Family, Report>) -> Result<()> {
    let spilling = reports.iter().flat_map(|(family, report)| {
        let shaders = report.shaders.iter().filter(|(_, statistics)| statistics.needs_memory());
        shaders.map(move |(name, it)| {
            format!("{name} on {} spills {} into {} bytes", family.name(), it.spills, it.scratch)
        })
    });
    let spilling: Vec<String> = spilling.collect();
    let Some(first) = spilling.first() else { return Ok(()) };
    bail!("registers do not suffice: {first}{}; the heuristics may choose only what fits", and_more(spilling.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statistics(vgprs: u32, waves: u32) -> Statistics {
        Statistics { vgprs, waves, ..Statistics::default() }
    }

    fn report(shaders: &[(&str, Statistics)]) -> Report {
        let shaders = shaders.iter().map(|(name, statistics)| (name.to_string(), statistics.clone())).collect();
        Report { gpu: "a GPU".into(), driver: "a driver".into(), shaders }
    }

    fn record(report: Report) -> Record {
        let json = to_json(&BTreeMap::from([(Family::Navi21, report)])).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn the_record_keeps_everything() {
        let report = report(&[("a f32", statistics(40, 12)), ("b f16", statistics(128, 4))]);
        let record = record(report.clone());
        assert_eq!(record.columns, COLUMNS);
        for (name, statistics) in &report.shaders {
            assert_eq!(&record.shaders[name][&Family::Navi21], statistics);
        }
        assert_eq!(changes(Family::Navi21, &report, &record, false), []);
    }

    #[test]
    fn what_is_worse_or_not_recorded_fails() {
        let old = record(report(&[("a", statistics(40, 12)), ("b", statistics(64, 8)), ("c", statistics(8, 20))]));
        let new = report(&[("a", statistics(44, 12)), ("b", statistics(48, 10)), ("d", statistics(8, 20))]);
        let found = changes(Family::Navi21, &new, &old, false);
        let verdicts: Vec<_> = found.iter().map(|it| (it.name.as_str(), it.verdict(), it.fails())).collect();
        assert_eq!(verdicts, [("a", "worse", true), ("b", "better", false), ("d", "new", true), ("c", "gone", false)]);
        assert_eq!(changes(Family::Navi21, &new, &old, true).len(), 3, "of a part nothing is gone");
    }

    #[test]
    fn a_shader_that_spills_fails() {
        let of = |spills, scratch| {
            let statistics = Statistics { spills, scratch, ..statistics(40, 12) };
            fail_on_spills(&BTreeMap::from([(Family::Navi21, report(&[("a", statistics)]))]))
        };
        assert!(of(0, 0).is_ok());
        assert!(of(1, 0).is_err() && of(0, 256).is_err());
    }
}
