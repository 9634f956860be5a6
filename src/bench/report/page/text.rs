//! Short texts that the parts of the page share.

use crate::bench::report::number_format::digits;

/// `1 case`, `2 cases`.
pub(super) fn count(number: usize, one: &str, more: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { more })
}

/// What there is of these, with something in between.
pub(super) fn join(parts: &[&str], between: &str) -> String {
    parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(between)
}

pub(super) fn interval([low, high]: [f64; 2]) -> String {
    format!("{} to {}", digits(low), digits(high))
}
