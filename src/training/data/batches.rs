//! Batches, always the same for a seed.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

use oorandom::Rand64;

use super::{Augment, DataSet};
use crate::network::Preprocess;
use crate::training::{shuffle, targets};
use crate::{Error, Result};

/// What a step of a trainer wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// `[N, channels, height, width]`, normalised.
    pub images: Vec<f32>,
    /// `[N, classes]`.
    pub targets: Vec<f32>,
}

/// The images of a data set in random order, anew for every epoch. What a batch has follows from the seed, the epoch and its
/// place in that, so that training can go on anywhere.
#[derive(Clone, Debug)]
pub struct Batches {
    /// Where images come from.
    pub data: Arc<DataSet>,
    /// How values in 0…255 are normalised.
    pub preprocess: Preprocess,
    /// Images of a batch; the last one of an epoch is filled up with the first images of the epoch.
    pub batch: usize,
    /// How images are varied.
    pub augment: Augment,
    /// How much of the probability of an image's class is shared among all.
    pub smoothing: f32,
    /// Makes it all reproducible.
    pub seed: u64,
}

impl Batches {
    /// Batches of an epoch.
    pub fn count(&self) -> usize {
        self.data.train.labels.len().div_ceil(self.batch)
    }

    /// A batch.
    ///
    /// # Errors
    /// Those of [`targets`].
    pub fn get(&self, epoch: u64, step: usize) -> Result<Batch> {
        self.of_order(&self.order(epoch), epoch, step)
    }

    /// In which order an epoch takes the images.
    fn order(&self, epoch: u64) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.data.train.labels.len() as u32).collect();
        let mut random = random([self.seed, epoch, u64::MAX]);
        shuffle(&mut order, &mut random);
        order
    }

    fn of_order(&self, order: &[u32], epoch: u64, step: usize) -> Result<Batch> {
        let (data, length) = (&self.data, self.data.example_len());
        let mut images = vec![0.0; self.batch * length];
        let mut labels = vec![];
        for (place, output) in images.chunks_exact_mut(length).enumerate() {
            let index = order[(step * self.batch + place) % order.len()] as usize;
            let mut random = random([self.seed, epoch, (step * self.batch + place) as u64]);
            let variation = self.augment.draw(data.shape, &mut random);
            let pixels = &data.train.pixels[index * length..][..length];
            variation.write(pixels, data.shape, |channel, level| self.normalise(channel, level), output);
            labels.push(data.train.labels[index]);
        }
        let targets = targets(&labels, data.classes.len(), self.smoothing)?;
        Ok(Batch { images, targets })
    }

    fn normalise(&self, channel: usize, level: u8) -> f32 {
        (f32::from(level) - self.preprocess.mean[channel]) / self.preprocess.std[channel]
    }

    /// The images for validation from `first` on, as they are, normalised, and their labels.
    pub fn validation(&self, first: usize, count: usize) -> (Vec<f32>, &[usize]) {
        let (data, length) = (&self.data, self.data.example_len());
        let end = (first + count).min(data.validation.labels.len());
        let area = data.shape[1] * data.shape[2];
        let pixels = data.validation.pixels[first * length..end * length].iter().enumerate();
        let images = pixels.map(|(at, &level)| self.normalise(at % length / area, level)).collect();
        (images, &data.validation.labels[first..end])
    }

    /// Makes batches on another thread, from a place on and without end, some ahead of who takes them.
    ///
    /// # Errors
    /// [`Error::Io`] if there is no other thread.
    pub(crate) fn ahead(&self, mut epoch: u64, mut step: usize) -> Result<Receiver<Result<Batch>>> {
        /// Enough for a step to find its batch ready.
        const AHEAD: usize = 3;
        let (sender, receiver) = sync_channel(AHEAD);
        let batches = self.clone();
        let work = move || {
            loop {
                let order = batches.order(epoch);
                while step < batches.count() {
                    // Nobody listens any more.
                    if sender.send(batches.of_order(&order, epoch, step)).is_err() {
                        return;
                    }
                    step += 1;
                }
                (epoch, step) = (epoch + 1, 0);
            }
        };
        let spawned = std::thread::Builder::new().name("batches".into()).spawn(work);
        spawned.map_err(|source| Error::io("a thread for batches", source))?;
        Ok(receiver)
    }
}

/// A generator for every combination of numbers: each is mixed in as splitmix64 does it.
fn random(numbers: [u64; 3]) -> Rand64 {
    let mix = |state: u64, number: u64| {
        let mut z = (state ^ number).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let [low, high] = [0, 1].map(|start| numbers.into_iter().fold(start, mix));
    Rand64::new(u128::from(high) << 64 | u128::from(low))
}

#[cfg(test)]
mod tests {
    use super::super::Examples;
    use super::*;
    use crate::network::Filter;

    fn batches(images: u8, batch: usize, augment: Augment) -> Batches {
        let labels: Vec<usize> = (0..images).map(|index| usize::from(index % 2)).collect();
        let train = Examples { pixels: (0..images).collect(), labels: labels.clone() };
        let validation = Examples { pixels: (100..100 + images).collect(), labels };
        let classes = vec!["even".into(), "odd".into()];
        let data = Arc::new(DataSet { classes, shape: [1, 1, 1], train, validation, notes: vec![] });
        let preprocess = Preprocess { crop_fraction: 1.0, filter: Filter::Bilinear, mean: [1.0; 3], std: [2.0; 3] };
        Batches { data, preprocess, batch, augment, smoothing: 0.0, seed: 5 }
    }

    fn epoch(batches: &Batches, epoch: u64) -> Vec<f32> {
        (0..batches.count()).flat_map(|step| batches.get(epoch, step).unwrap().images).collect()
    }

    #[test]
    fn an_epoch_has_every_image_and_is_filled_up() {
        let batches = batches(10, 4, Augment::None);
        let drawn = epoch(&batches, 0);
        assert_eq!(drawn.len(), 12);
        assert_eq!(drawn[10..], drawn[..2]);
        let mut sorted = drawn[..10].to_vec();
        sorted.sort_by(f32::total_cmp);
        assert_eq!(sorted, (0..10).map(|level| (level as f32 - 1.0) / 2.0).collect::<Vec<_>>());
        assert_ne!(drawn[..10], sorted);
        assert_ne!(epoch(&batches, 1), drawn);
        assert_eq!(epoch(&batches, 0), drawn);
        let Batch { images, targets } = batches.get(0, 1).unwrap();
        for (image, target) in images.iter().zip(targets.chunks(2)) {
            let odd = (image * 2.0 + 1.0) as usize % 2;
            assert_eq!(target[odd], 1.0);
        }
    }

    #[test]
    fn what_is_made_ahead_is_the_same_from_any_place() {
        let batches = batches(9, 2, Augment::Standard);
        let receiver = batches.ahead(3, 2).unwrap();
        for (epoch, step) in [(3, 2), (3, 3), (3, 4), (4, 0), (4, 1)] {
            assert_eq!(receiver.recv().unwrap().unwrap(), batches.get(epoch, step).unwrap());
        }
    }

    #[test]
    fn validation_comes_as_it_is() {
        let batches = batches(5, 2, Augment::Standard);
        assert_eq!(batches.validation(0, 2), (vec![49.5, 50.0], &[0, 1][..]));
        assert_eq!(batches.validation(4, 2), (vec![51.5], &[0][..]));
    }
}
