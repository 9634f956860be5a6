//! Numbers for people.

/// A positive number with three digits that count.
pub fn digits(value: f64) -> String {
    if value == 0.0 {
        return "0".into();
    }
    let decimals = (2.0 - value.log10().floor()).clamp(0.0, 6.0);
    format!("{value:.*}", decimals as usize)
}

/// A large number of something, with the unit's prefix: `116 MMAC`.
pub(super) fn large(value: f64, unit: &str) -> String {
    const PREFIXES: [(f64, &str); 4] = [(1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")];
    let (size, prefix) = PREFIXES.into_iter().find(|(size, _)| value >= *size).unwrap_or((1.0, ""));
    format!("{} {prefix}{unit}", digits(value / size))
}

/// A moment as records have it, `2026-11-25T10:18:00Z`, for people: `2026-11-25 10:18 UTC`. Anything else stays as it is.
pub fn date(text: &str) -> String {
    match (text.split_once('T'), humantime::parse_rfc3339(text)) {
        (Some((day, time)), Ok(_)) => format!("{day} {} UTC", time.get(..5).unwrap_or(time)),
        _ => text.into(),
    }
}

/// A place along an axis for the template, in percent.
pub(super) fn percent(share: f64) -> String {
    let share = if share.is_nan() { 0.0 } else { share.clamp(0.0, 1.0) };
    format!("{:.2}", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        assert_eq!(
            [0.0123456, 1.0, 12.345, 123.45, 1234.5, 0.0].map(digits),
            ["0.0123", "1.00", "12.3", "123", "1234", "0"]
        );
        let rate = |value| large(value, "B/s");
        assert_eq!([115_605_504.0, 2.5e12, 999.0, 1500.0].map(rate), ["116 MB/s", "2.50 TB/s", "999 B/s", "1.50 kB/s"]);
    }

    #[test]
    fn moments_are_to_the_minute() {
        assert_eq!(date("2026-11-25T10:18:09Z"), "2026-11-25 10:18 UTC");
        assert_eq!(["", "yesterday", "éTéé"].map(date), ["", "yesterday", "éTéé"]);
    }

    #[test]
    fn places_are_on_the_axis() {
        assert_eq!([0.125, -1.0, 7.0, f64::NAN].map(percent), ["12.50", "0.00", "100.00", "0.00"]);
    }
}
