//! What was found, kernel by kernel.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

/// A case that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// The shader families that it has run, or on the CPU path the operators.
    pub kernel: String,
    /// What was computed, and by which policy.
    pub case: String,
    /// What is wrong.
    pub error: String,
}

/// What was found of a shader family, or on the CPU path of an operator.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KernelRow {
    /// Cases that it took part in.
    pub cases: usize,
    /// Those among them that failed, because of it or of others in them.
    pub failed: usize,
    /// Shaders of the family; on the CPU path there are none.
    pub shaders: BTreeSet<String>,
    /// The largest error of those that gave results, in multiples of what rounding may do.
    pub worst: f64,
}

/// Everything that was found on an adapter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    checked: usize,
    failed: Vec<Failure>,
    kernels: BTreeMap<String, KernelRow>,
}

impl Summary {
    /// Adds a case with its kernels and shaders, its error and what is wrong with it.
    pub fn add(&mut self, case: &str, kernels: &[String], shaders: &[String], error: f64, failure: Option<String>) {
        self.checked += 1;
        for kernel in kernels {
            let row = self.kernels.entry(kernel.clone()).or_default();
            row.cases += 1;
            row.failed += usize::from(failure.is_some());
            row.worst = if error.is_finite() { row.worst.max(error) } else { row.worst };
            // A shader begins with the name of its family.
            let own = shaders.iter().filter(|shader| shader.split(' ').next() == Some(kernel));
            row.shaders.extend(own.cloned());
        }
        if let Some(error) = failure {
            self.failed.push(Failure { kernel: kernels.join(" + "), case: case.into(), error });
        }
    }

    /// How many cases were checked.
    pub fn checked(&self) -> usize {
        self.checked
    }

    /// Those that failed.
    pub fn failed(&self) -> &[Failure] {
        &self.failed
    }

    /// By name.
    pub fn kernels(&self) -> &BTreeMap<String, KernelRow> {
        &self.kernels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_is_counted_for_every_kernel_of_the_case() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let mut summary = Summary::default();
        summary.add("one", &names(&["a", "ab"]), &names(&["a 8x8", "ab 8x8", "a 4x4"]), 0.5, None);
        summary.add("two", &names(&["a"]), &names(&["a 8x8"]), f64::INFINITY, Some("lost".into()));
        summary.add("three", &names(&["a"]), &names(&["a 8x8"]), 3.0, Some("off".into()));
        let row =
            |name: &str| (summary.kernels()[name].cases, summary.kernels()[name].failed, summary.kernels()[name].worst);
        assert_eq!((row("a"), row("ab")), ((3, 2, 3.0), (1, 0, 0.5)));
        assert_eq!((summary.kernels()["a"].shaders.len(), summary.kernels()["ab"].shaders.len()), (2, 1));
        assert_eq!((summary.checked(), summary.failed()[0].error.as_str()), (3, "lost"));
    }
}
