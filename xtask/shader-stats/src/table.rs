//! Tables.
use std::collections::BTreeMap;
use crate::families::{Family, Report};

pub fn of(report: &BTreeMap<Family, Report>) -> String {
    let mut text = String::new();
    for (family, report) in report {
        text += &format!("{} ({}, {})\n", family.name(), report.gpu, report.driver);
        for (name, s) in &report.shaders {
            text += &format!("{:4} {:4} {:4} {:6} {:6} {:3} {:6} {:3}% {:3} {}  {name}\n", s.vgprs, s.sgprs, s.spills, s.scratch, s.workgroup_memory, s.waves, s.instructions, s.multiply_add_percent, s.loads_in_flight, s.subgroup);
        }
    }
    text
}
