//! Tables for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::families::{Family, Report};
use crate::record::Change;
use crate::statistics::{COLUMNS, Statistics};

/// All shaders, a table per family.
pub fn of(reports: &BTreeMap<Family, Report>) -> String {
    let mut text = String::new();
    for (family, report) in reports {
        let _ = writeln!(text, "{}: {}, {}", family.name(), report.gpu, report.driver);
        let _ = writeln!(text, "{}  shader", COLUMNS.join("  "));
        for (name, statistics) in &report.shaders {
            let _ = writeln!(text, "{}  {name}", row(statistics));
        }
    }
    text
}

fn row(statistics: &Statistics) -> String {
    let values: [u32; 10] = statistics.clone().into();
    let cells = values.iter().zip(COLUMNS).map(|(value, column)| format!("{value:>0$}", column.len()));
    cells.collect::<Vec<_>>().join("  ")
}

/// What became of shaders, a line each: only the numbers that are other than they were.
pub fn of_changes(family: Family, changes: &[Change]) -> String {
    let mut text = String::new();
    for change in changes {
        let numbers = match (&change.old, &change.new) {
            (Some(old), Some(new)) => differences(old, new),
            (None, Some(new)) => differences(&Statistics::default(), new),
            _ => String::new(),
        };
        let _ = writeln!(text, "{:8} {:7} {}: {numbers}", family.name(), change.verdict(), change.name);
    }
    text
}

fn differences(old: &Statistics, new: &Statistics) -> String {
    let (old, new): ([u32; 10], [u32; 10]) = (old.clone().into(), new.clone().into());
    let differ = COLUMNS.iter().zip(old.into_iter().zip(new)).filter(|(_, (old, new))| old != new);
    differ.map(|(column, (old, new))| format!("{column} {old} → {new}")).collect::<Vec<_>>().join(", ")
}
