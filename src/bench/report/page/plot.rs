//! A roofline on logarithmic axes. Straight lines stay straight there, and places in percent fit every width.

use serde::Serialize;

use super::text::{count, join};
use crate::bench::report::number_format::{date, digits, large, percent};
use crate::bench::report::read::Source;
use crate::bench::report::roofline::{Bound, Point, Roofline};

#[derive(Serialize)]
pub(super) struct PlotView {
    label: String,
    group: &'static str,
    peaks: String,
    origin: String,
    /// Multiply-accumulates per byte.
    x_ticks: Vec<Tick>,
    /// Thousand millions of multiply-accumulates per second.
    y_ticks: Vec<Tick>,
    roof: Vec<Line>,
    f16_roof: Vec<Line>,
    points: Vec<PointView>,
    /// The picture in words.
    alternative: String,
}

#[derive(Serialize)]
struct Tick {
    place: String,
    text: String,
}

#[derive(Serialize)]
struct Line {
    x1: String,
    y1: String,
    x2: String,
    y2: String,
}

#[derive(Serialize)]
struct PointView {
    number: usize,
    name: String,
    x: String,
    y: String,
    intensity: String,
    rate: String,
    roof: String,
    share: String,
    bound: &'static str,
}

/// A logarithmic axis.
struct Axis {
    from: f64,
    to: f64,
}

impl Axis {
    /// From the decade or half decade below the smallest value to that above the largest.
    fn around(values: impl Iterator<Item = f64>) -> Self {
        let positive = |value: &f64| *value > 0.0 && value.is_finite();
        let (low, high) = values
            .filter(positive)
            .map(f64::log10)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { from: 0.0, to: 1.0 };
        }
        let from = (2.0 * low - 0.2).floor() / 2.0;
        Self { from, to: ((2.0 * high + 0.2).ceil() / 2.0).max(from + 1.0) }
    }

    /// The share of the axis at which a value lies.
    fn share(&self, value: f64) -> f64 {
        (value.log10() - self.from) / (self.to - self.from)
    }

    /// The decades on it, at most eight.
    fn ticks(&self, place: impl Fn(f64) -> String) -> Vec<Tick> {
        let decades = self.from.ceil() as i32..=self.to.floor() as i32;
        let step = decades.clone().count().div_ceil(8).max(1);
        let tick = |power: i32| {
            let value = 10f64.powi(power);
            Tick { place: place(value), text: if value >= 1.0 { format!("{value:.0}") } else { format!("{value}") } }
        };
        decades.step_by(step).map(tick).collect()
    }
}

pub(super) fn view(roofline: &Roofline<'_>, sources: &[Source], labels: &[String]) -> PlotView {
    let Roofline { group, peak_source, layer_source, peaks, points } = roofline;
    let ridge = peaks.f32_rate / peaks.bandwidth;
    let x_axis = Axis::around(points.iter().map(|point| point.intensity).chain([ridge / 10.0, ridge * 10.0]));
    let ends = [10f64.powf(x_axis.from), 10f64.powf(x_axis.to)];
    let top = peaks.f16_rate.unwrap_or(0.0).max(peaks.f32_rate);
    let lowest = points.iter().map(|point| point.rate).fold(peaks.roof(ends[0]), f64::min);
    let y_axis = Axis::around([top, lowest].into_iter().chain(points.iter().map(|point| point.rate)));
    let x = |value: f64| percent(x_axis.share(value));
    let y = |value: f64| percent(1.0 - y_axis.share(value));
    let roof = |rate: f64| {
        let ridge = (rate / peaks.bandwidth).clamp(ends[0], ends[1]);
        let line = |from: f64, to: f64| Line {
            x1: x(from),
            y1: y(rate.min(peaks.bandwidth * from)),
            x2: x(to),
            y2: y(rate.min(peaks.bandwidth * to)),
        };
        vec![line(ends[0], ridge), line(ridge, ends[1])]
    };
    let point = |(index, point): (usize, &Point)| PointView {
        number: index + 1,
        name: point.case.name.clone(),
        x: x(point.intensity),
        y: y(point.rate),
        intensity: digits(point.intensity),
        rate: digits(point.rate),
        roof: digits(peaks.roof(point.intensity)),
        share: format!("{:.0} %", 100.0 * point.share),
        bound: match point.bound {
            Bound::Arithmetic => "arithmetic",
            Bound::Memory => "memory",
            Bound::Dispatch => "dispatch",
        },
    };
    let rate = |what: &str, rate: f64| format!("{what} {}", large(2e9 * rate, "FLOP/s"));
    let f16 = peaks.f16_rate.map(|f16| rate("f16", f16)).unwrap_or_default();
    let dispatch = peaks.dispatch_ms.map(|ms| format!("dispatch {} µs", digits(1e3 * ms))).unwrap_or_default();
    let bandwidth = format!("memory {}", large(1e9 * peaks.bandwidth, "B/s"));
    let peaks_text = join(&[&rate("f32", peaks.f32_rate), &f16, &bandwidth, &dispatch], " · ");
    let origin = |source: &usize| format!("{} ({})", sources[*source].name, date(&sources[*source].record.date));
    PlotView {
        label: labels[*peak_source].clone(),
        group: group.title(),
        origin: if peak_source == layer_source || points.is_empty() {
            String::new()
        } else {
            format!("Peaks from {}, layers from {}.", origin(peak_source), origin(layer_source))
        },
        alternative: format!(
            "Roofline of {}: {peaks_text}; {}.",
            labels[*peak_source],
            count(points.len(), "layer", "layers")
        ),
        peaks: peaks_text,
        x_ticks: x_axis.ticks(x),
        y_ticks: y_axis.ticks(y),
        roof: roof(peaks.f32_rate),
        f16_roof: peaks.f16_rate.map(roof).unwrap_or_default(),
        points: points.iter().enumerate().map(point).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values_and_are_logarithmic() {
        let axis = Axis::around([0.5, 90.0].into_iter());
        assert_eq!((axis.from, axis.to), (-0.5, 2.5));
        assert!((axis.share(10.0) - 0.5).abs() < 1e-12);
        let ticks = axis.ticks(|value| percent(axis.share(value)));
        assert_eq!(ticks.iter().map(|tick| tick.text.as_str()).collect::<Vec<_>>(), ["1", "10", "100"]);
        assert_eq!(ticks[0].place, "16.67");
    }

    #[test]
    fn axes_of_anything_have_an_extent_and_few_ticks() {
        for values in [vec![], vec![f64::NAN, 0.0, f64::INFINITY], vec![3.0], vec![1e-300, 1e300]] {
            let axis = Axis::around(values.into_iter());
            assert!(axis.to - axis.from >= 1.0 && axis.to.is_finite());
            assert!((1..=9).contains(&axis.ticks(|value| percent(axis.share(value))).len()));
        }
    }
}
