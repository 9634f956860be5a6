//! How fast layers could be on an adapter, by what it computes and moves at best (Williams, Waterman and Patterson,
//! *Roofline*, 2009, with the time that a dispatch takes as a third bound).

use super::adapters::{Group, same};
use super::ranking::PEAK;
use super::read::{Case, Source};

/// What an adapter can do at best, as it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Peaks {
    /// Thousand millions of f32 multiply-accumulates per second.
    pub f32_rate: f64,
    /// The same of f16, where there is that.
    pub f16_rate: Option<f64>,
    /// Thousand millions of bytes per second.
    pub bandwidth: f64,
    /// Milliseconds of a dispatch that does nothing.
    pub dispatch_ms: Option<f64>,
}

/// What a layer cannot be faster than.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Arithmetic,
    Memory,
    Dispatch,
}

/// A layer beneath the roof.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point<'a> {
    pub case: &'a Case,
    /// Multiply-accumulates per byte.
    pub intensity: f64,
    /// Thousand millions of multiply-accumulates per second.
    pub rate: f64,
    pub bound: Bound,
    /// The shortest time that the bounds allow by the time it takes. Above one where data stay in caches, and where Winograd's
    /// filtering spares products.
    pub share: f64,
}

/// An adapter's roof and the layers beneath.
#[derive(Debug)]
pub(super) struct Roofline<'a> {
    pub group: Group,
    /// The records that peaks and layers are from.
    pub peak_source: usize,
    pub layer_source: usize,
    pub peaks: Peaks,
    pub points: Vec<Point<'a>>,
}

impl Peaks {
    /// What of the suite `peak` is right. Nothing without arithmetic and bandwidth.
    fn of(source: &Source) -> Option<Self> {
        let cost = |name: &str, work: fn(&Case) -> u64| {
            let mut cases = source.record.results.iter().filter(|case| case.suite == PEAK && case.name == name);
            cases.find_map(|case| Some((work(case) as f64, case.median_ms()?)))
        };
        // Per millisecond are millions per second of thousands.
        let rate = |name: &str, work: fn(&Case) -> u64| {
            cost(name, work).map(|(work, ms)| work / (ms * 1e6)).filter(|rate| *rate > 0.0 && rate.is_finite())
        };
        Some(Self {
            f32_rate: rate("f32", |case| case.macs)?,
            f16_rate: rate("f16", |case| case.macs),
            bandwidth: rate("copy", |case| case.bytes)?,
            dispatch_ms: cost("dispatch", |_| 0).map(|(_, ms)| ms),
        })
    }

    /// What is reached at best with so many multiply-accumulates per byte.
    pub fn roof(&self, intensity: f64) -> f64 {
        self.f32_rate.min(self.bandwidth * intensity)
    }

    fn point<'a>(&self, case: &'a Case) -> Option<Point<'a>> {
        let (macs, bytes) = (case.macs as f64, case.bytes as f64);
        // A network is many dispatches, of which each has an intensity of its own.
        if case.suite != "layers" || macs == 0.0 || bytes == 0.0 {
            return None;
        }
        let median_ms = case.median_ms()?;
        let bounds = [
            (Bound::Arithmetic, macs / self.f32_rate / 1e6),
            (Bound::Memory, bytes / self.bandwidth / 1e6),
            (Bound::Dispatch, self.dispatch_ms.unwrap_or(0.0)),
        ];
        let (bound, shortest) = bounds.into_iter().max_by(|(_, a), (_, b)| a.total_cmp(b))?;
        let rate = macs / (median_ms * 1e6);
        Some(Point { case, intensity: macs / bytes, rate, bound, share: shortest / median_ms })
    }
}

impl Case {
    /// The median of a right result that took time.
    fn median_ms(&self) -> Option<f64> {
        self.cost()?;
        match &self.outcome {
            super::read::Outcome::Measured(figures) => Some(figures.median_ms),
            super::read::Outcome::Failed(_) => None,
        }
    }
}

/// A roofline for every adapter of which a record has peaks. Peaks and layers may be in different records of the adapter; of
/// several the latest counts.
pub(super) fn rooflines(sources: &[Source]) -> Vec<Roofline<'_>> {
    let mut rooflines: Vec<Roofline> = vec![];
    for (at, source) in sources.iter().enumerate() {
        let earlier = sources[..at].iter().any(|other| same(&other.record, &source.record));
        if earlier {
            continue;
        }
        let mut own: Vec<usize> =
            (at..sources.len()).filter(|&other| same(&sources[other].record, &source.record)).collect();
        own.sort_by(|&a, &b| sources[b].record.date.cmp(&sources[a].record.date));
        let Some((peak_source, peaks)) = own.iter().find_map(|&own| Some((own, Peaks::of(&sources[own])?))) else {
            continue;
        };
        let points = |own: usize| -> Vec<Point> {
            sources[own].record.results.iter().filter_map(|case| peaks.point(case)).collect()
        };
        // The layers that were timed together with the peaks are the better ones.
        own.retain(|&other| other != peak_source);
        own.insert(0, peak_source);
        let with_layers = own.into_iter().map(|own| (own, points(own))).find(|(_, points)| !points.is_empty());
        let (layer_source, points) = with_layers.unwrap_or((peak_source, vec![]));
        let group = Group::of(&source.record.adapter);
        rooflines.push(Roofline { group, peak_source, layer_source, peaks, points });
    }
    rooflines
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::bench::report::fixtures::{case, peak, record, source};

    /// 1000 GMAC/s, 100 GB/s, 10 µs.
    fn peaks() -> Vec<Value> {
        vec![peak("f32", 2.0, 2_000_000_000, 0), peak("copy", 1.0, 0, 100_000_000), peak("dispatch", 0.01, 0, 0)]
    }

    fn layer(name: &str, median_ms: f64, macs: u64, bytes: u64) -> Value {
        let mut layer = case("layers", name, median_ms);
        (layer["macs"], layer["bytes"]) = (macs.into(), bytes.into());
        layer
    }

    fn of(name: &str, results: Vec<Value>) -> Source {
        let mut record = record("GPU", "discrete");
        record["results"] = results.into();
        source(name, &record)
    }

    #[test]
    fn layers_lie_under_the_roof_that_bounds_them() {
        let layers = vec![
            layer("dense", 0.5, 200_000_000, 1_000_000),
            layer("thin", 0.1, 1_000_000, 5_000_000),
            layer("tiny", 0.04, 1000, 1000),
        ];
        let sources = [of("r", [peaks(), layers].concat())];
        let [roofline] = &rooflines(&sources)[..] else { panic!("one adapter") };
        let Peaks { f32_rate, f16_rate, bandwidth, dispatch_ms } = roofline.peaks;
        assert_eq!((f32_rate, f16_rate, bandwidth, dispatch_ms), (1000.0, None, 100.0, Some(0.01)));
        assert_eq!((roofline.peaks.roof(1.0), roofline.peaks.roof(1e3)), (100.0, 1000.0));
        let [dense, thin, tiny] = &roofline.points[..] else { panic!("three layers") };
        assert_eq!((dense.bound, dense.intensity, dense.rate), (Bound::Arithmetic, 200.0, 400.0));
        assert_eq!((thin.bound, thin.intensity, tiny.bound), (Bound::Memory, 0.2, Bound::Dispatch));
        for (point, share) in [(dense, 0.4), (thin, 0.5), (tiny, 0.25)] {
            assert!((point.share - share).abs() < 1e-12, "{point:?}");
        }
    }

    #[test]
    fn wrong_results_are_neither_roof_nor_point() {
        let mut wrong_layer = layer("dense", 0.001, 200_000_000, 1_000_000);
        wrong_layer["check"]["ok"] = false.into();
        let right = of("r", [peaks(), vec![wrong_layer]].concat());
        assert!(rooflines(&[right])[0].points.is_empty());
        for at in 0..2 {
            let mut peaks = peaks();
            peaks[at]["check"]["ok"] = false.into();
            assert!(rooflines(&[of("r", peaks)]).is_empty(), "{at}");
        }
        let mut peaks = peaks();
        peaks[2]["check"]["ok"] = false.into();
        assert_eq!(rooflines(&[of("r", peaks)])[0].peaks.dispatch_ms, None);
    }

    #[test]
    fn peaks_and_layers_may_come_from_two_records_of_one_adapter() {
        let mut layers = of("layers", vec![layer("dense", 0.5, 200_000_000, 1_000_000)]);
        let other = {
            let mut other = layers.clone();
            other.record.adapter.name = "other".into();
            other
        };
        let sources = [other.clone(), layers.clone(), of("peaks", peaks())];
        let [roofline] = &rooflines(&sources)[..] else { panic!("one adapter") };
        assert_eq!((roofline.peak_source, roofline.layer_source, roofline.points.len()), (2, 1, 1));
        layers.record.environment.browser = Some("a browser".into());
        let sources = [layers, of("peaks", peaks())];
        assert!(rooflines(&sources)[0].points.is_empty(), "not the same surroundings");
        let mut newer = of("newer", vec![peak("f32", 1.0, 2_000_000_000, 0), peak("copy", 1.0, 0, 100_000_000)]);
        newer.record.date = "2027-01-01T00:00:00Z".into();
        assert_eq!(rooflines(&[of("peaks", peaks()), newer])[0].peaks.f32_rate, 2000.0);
        assert!(rooflines(&[other]).is_empty());
    }
}
