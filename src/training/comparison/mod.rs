//! DO-Conv beside the plain network: the same seeds, the same function to begin with, the same batches.

mod page;

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::{Epoch, Settings};
use crate::{Dtype, Model, Result};

/// What a network is trained as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Ordinary convolutions.
    Plain,
    /// W and D.
    DoConv,
}

impl Kind {
    /// Both, the plain one first.
    pub const ALL: [Kind; 2] = [Kind::Plain, Kind::DoConv];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Plain => "plain",
            Kind::DoConv => "DO-Conv",
        }
    }
}

/// One network from the beginning to the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// As what it was trained.
    pub kind: Kind,
    /// Of its weights, and of the order and variation of the images.
    pub seed: u64,
    /// What came of every epoch.
    pub epochs: Vec<Epoch>,
}

impl Run {
    /// The share of images for validation that was right in the end.
    fn accuracy(&self) -> Option<f64> {
        self.epochs.last()?.validation_accuracy
    }
}

/// Runs of both kinds, and what is common to them. As JSON it is the record of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The network's name.
    pub network: String,
    /// Where the data is, in words.
    pub data: String,
    /// Images to learn from, for validation, and classes.
    pub counts: [usize; 3],
    /// The [`DataSet::checksum`](super::data::DataSet::checksum); 0 in older records.
    #[serde(default)]
    pub checksum: u32,
    /// What [`Comparison::checksum_of`] says of the model that seed 0 begins with; 0 in older records.
    #[serde(default)]
    pub first: u32,
    /// Depth multiplier of D, where it is not the usual one.
    #[serde(default)]
    pub d_mul: Option<usize>,
    /// What computed.
    pub adapter: String,
    /// How they were trained; the seed is each run's own.
    pub settings: Settings,
    /// In the order in which they ended.
    pub runs: Vec<Run>,
    /// The seed of the run with DO-Conv layers whose network lies beside the record, the best one; none in older records.
    #[serde(default)]
    pub kept: Option<u64>,
}

/// What several runs of a kind gave, in 0…1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// How many.
    pub runs: usize,
    /// Mean.
    pub mean: f64,
    /// The least and the most.
    pub range: [f64; 2],
    /// Standard deviation, as an estimate for all seeds; 0 of a single run.
    pub deviation: f64,
}

impl Comparison {
    /// A checksum (CRC-32) of a model, its network and its weights.
    ///
    /// # Errors
    /// Those of [`Model::to_bytes`].
    pub fn checksum_of(model: &Model) -> Result<u32> {
        let mut crc = flate2::Crc::new();
        crc.update(&model.to_bytes(Dtype::F32)?);
        Ok(crc.sum())
    }

    /// Whether a record is of the same network, data and settings, so that its runs count here.
    pub fn is_like(&self, other: &Self) -> bool {
        let common = |it: &Self| {
            let settings = Settings { seed: 0, ..it.settings.clone() };
            (it.network.clone(), it.counts, it.checksum, it.first, it.d_mul, it.adapter.clone(), settings)
        };
        common(self) == common(other)
    }

    /// Whether there is such a run.
    pub fn has(&self, kind: Kind, seed: u64) -> bool {
        self.runs.iter().any(|run| (run.kind, run.seed) == (kind, seed))
    }

    /// Whether a run is one with DO-Conv layers that is right more often than that whose network is kept.
    pub fn improves(&self, run: &Run) -> bool {
        let mut others = self.runs.iter().filter(|other| other.kind == Kind::DoConv);
        let kept = others.find(|other| Some(other.seed) == self.kept);
        run.kind == Kind::DoConv && kept.is_none_or(|kept| kept.accuracy() < run.accuracy())
    }

    /// Accuracies at the end.
    pub fn spread(&self, kind: Kind) -> Option<Spread> {
        let all: Vec<f64> = self.runs.iter().filter(|run| run.kind == kind).filter_map(Run::accuracy).collect();
        let count = all.len() as f64;
        let mean = all.iter().sum::<f64>() / count;
        let range = [f64::min, f64::max].map(|of| all.iter().copied().reduce(of).unwrap_or(mean));
        let squares: f64 = all.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1.0).max(1.0)).sqrt();
        (!all.is_empty()).then_some(Spread { runs: all.len(), mean, range, deviation })
    }

    /// By how much DO-Conv is right more often, seed by seed.
    pub fn gains(&self) -> Vec<(u64, f64)> {
        let accuracy = |kind: Kind, seed: u64| {
            self.runs.iter().find(|run| (run.kind, run.seed) == (kind, seed)).and_then(Run::accuracy)
        };
        let plain = self.runs.iter().filter(|run| run.kind == Kind::Plain);
        let gain = |run: &Run| Some((run.seed, accuracy(Kind::DoConv, run.seed)? - run.accuracy()?));
        plain.filter_map(gain).collect()
    }

    /// A table in Markdown.
    pub fn markdown(&self) -> String {
        let [train, validation, classes] = self.counts;
        let epochs = match self.settings.epochs {
            1 => "1 epoch".into(),
            epochs => format!("{epochs} epochs"),
        };
        let mut text = format!(
            "`{}` on {}: {train} images to learn from, {validation} for validation, {classes} classes, {epochs}, on \
             {}. Share of the images for validation that is right after the last epoch, in per cent.\n\n\
             | | runs | mean | least | most | standard deviation |\n|---|---:|---:|---:|---:|---:|\n",
            self.network, self.data, self.adapter
        );
        for kind in Kind::ALL {
            if let Some(Spread { runs, mean, range: [least, most], deviation }) = self.spread(kind) {
                let [mean, least, most, deviation] = [mean, least, most, deviation].map(|share| 100.0 * share);
                let name = kind.name();
                // Writing to a string cannot fail.
                let _ = writeln!(text, "| {name} | {runs} | {mean:.2} | {least:.2} | {most:.2} | {deviation:.2} |");
            }
        }
        let gains = self.gains();
        if !gains.is_empty() {
            let mean = 100.0 * gains.iter().map(|(_, gain)| gain).sum::<f64>() / gains.len() as f64;
            let better = gains.iter().filter(|(_, gain)| *gain > 0.0).count();
            let _ = writeln!(
                text,
                "\nWith DO-Conv {mean:+.2} points on average; of {} seeds {better} are better with it.",
                gains.len()
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn comparison() -> Comparison {
        let epoch = |epoch: u64, accuracy: f64| Epoch {
            epoch,
            train_loss: 2.0 / epoch as f64,
            train_accuracy: accuracy,
            validation_loss: Some(2.1 / epoch as f64),
            validation_accuracy: Some(accuracy),
            rate: 0.1,
            images_per_s: 100.0,
        };
        let run = |kind, seed, last: f64| Run { kind, seed, epochs: vec![epoch(1, 0.5 * last), epoch(2, last)] };
        Comparison {
            network: "small".into(),
            data: "<pictures> & more".into(),
            counts: [100, 20, 3],
            checksum: 1,
            first: 2,
            d_mul: None,
            adapter: "cpu".into(),
            settings: Settings { epochs: 2, ..Settings::default() },
            runs: vec![
                run(Kind::Plain, 0, 0.80),
                run(Kind::DoConv, 0, 0.85),
                run(Kind::Plain, 1, 0.90),
                run(Kind::DoConv, 1, 0.89),
                run(Kind::Plain, 2, 0.70),
            ],
            kept: Some(0),
        }
    }

    #[test]
    fn spreads_and_gains_are_of_the_last_epoch() {
        let comparison = comparison();
        let spread = comparison.spread(Kind::Plain).unwrap();
        assert_eq!((spread.runs, spread.range), (3, [0.7, 0.9]));
        assert!((spread.mean - 0.8).abs() < 1e-12 && (spread.deviation - 0.1).abs() < 1e-12, "{spread:?}");
        let gains = comparison.gains();
        assert_eq!(gains.iter().map(|(seed, _)| *seed).collect::<Vec<_>>(), [0, 1]);
        assert!((gains[0].1 - 0.05).abs() < 1e-12 && (gains[1].1 + 0.01).abs() < 1e-12, "{gains:?}");
        let text = comparison.markdown();
        assert!(text.contains("| plain | 3 | 80.00 | 70.00 | 90.00 | 10.00 |"), "{text}");
        assert!(text.contains("With DO-Conv +2.00 points on average; of 2 seeds 1 are better"), "{text}");
        let like = |kind, of: usize| Run { kind, seed: 3, ..comparison.runs[of].clone() };
        let runs = [like(Kind::DoConv, 2), like(Kind::DoConv, 1), like(Kind::Plain, 2), like(Kind::DoConv, 4)];
        assert_eq!(runs.each_ref().map(|run| comparison.improves(run)), [true, false, false, false]);
        // A network that was never kept is no reason not to keep another.
        let nothing = Comparison { kept: None, ..comparison.clone() };
        assert_eq!(runs.each_ref().map(|run| nothing.improves(run)), [true, true, false, true]);
        assert!(comparison.has(Kind::Plain, 2) && !comparison.has(Kind::DoConv, 2));
    }

    #[test]
    fn records_are_read_again_and_told_apart() {
        let comparison = comparison();
        let json = serde_json::to_string(&comparison).unwrap();
        let read: Comparison = serde_json::from_str(&json).unwrap();
        assert_eq!(read, comparison);
        let mut other = comparison.clone();
        other.settings.seed = 9;
        assert!(other.is_like(&comparison));
        let different: [fn(&mut Comparison); 4] =
            [|it| it.settings.rate = 1.0, |it| it.checksum = 3, |it| it.first = 3, |it| it.d_mul = Some(9)];
        for change in different {
            let mut other = comparison.clone();
            change(&mut other);
            assert!(!other.is_like(&comparison), "{other:?}");
        }
    }
}
