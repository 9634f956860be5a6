//! Decodes the images of a data set at the size that a network takes.

use rayon::prelude::*;

use super::data_set::{DataSet, Examples};
use super::source::{Encoded, Item, Source, listed};
use crate::image::{Image, luma, resized};
use crate::network::{Filter, Preprocess};
use crate::{Error, Result};

/// How images become what a network wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Shaping {
    /// One, for levels of grey, or three.
    pub channels: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Which part of an image, and how it is resized, where its size is another.
    pub preprocess: Preprocess,
}

impl Source {
    /// Decodes everything. `hold_back` takes so many images, the last ones, from those to learn from, for validation; without
    /// it, that is what comes as test images, or else a tenth. `tick` is called after every image, by several threads.
    ///
    /// Images that cannot be decoded are left out, and [`DataSet::notes`] says so.
    ///
    /// # Errors
    /// [`Error::Data`] where too little is left; [`Error::OutOfMemory`].
    pub fn load(self, shaping: &Shaping, hold_back: Option<usize>, tick: impl Fn() + Sync) -> Result<DataSet> {
        let Self { path, classes, mut train, mut test, mut notes, .. } = self;
        let fail = |reason: String| Error::Data { path: path.clone(), reason };
        let held = match hold_back {
            Some(held) if held >= train.len() => {
                return Err(fail(format!("{held} images cannot be held back of {}", train.len())));
            }
            Some(held) => held,
            None if test.is_empty() => (train.len() / 10).max(1),
            None => 0,
        };
        if held > 0 {
            test = train.split_off(train.len() - held);
            if hold_back.is_none() {
                notes.push(format!("there are no test images: {held} of all are held back for validation"));
            }
        }
        let [train, validation] = [train, test].map(|items| decode(items, shaping, &mut notes, &tick));
        let (train, validation) = (train?, validation?);
        let mut counts = vec![0usize; classes.len()];
        train.labels.iter().for_each(|&label| counts[label] += 1);
        if let Some(empty) = counts.iter().position(|&count| count == 0) {
            // What was left out or held back may be why.
            let why = listed(&notes);
            return Err(fail(match train.labels.is_empty() {
                true => format!("there are no images to learn from{why}"),
                false => format!("class `{}` has no image left to learn from{why}", classes[empty]),
            }));
        }
        let shape = [shaping.channels, shaping.size[0], shaping.size[1]];
        Ok(DataSet { classes, shape, train, validation, notes })
    }
}

/// Decodes side by side; what cannot be decoded is noted.
fn decode(items: Vec<Item>, shaping: &Shaping, notes: &mut Vec<String>, tick: &(impl Fn() + Sync)) -> Result<Examples> {
    let length = shaping.channels * shaping.size[0] * shaping.size[1];
    let out_of_memory = || Error::OutOfMemory { doing: "decoding the images".into() };
    let mut examples = Examples::default();
    examples.pixels.try_reserve_exact(items.len().saturating_mul(length)).map_err(|_| out_of_memory())?;
    let mut broken = vec![];
    // Some at a time, so that no second copy of all is held.
    let mut items = items.into_iter();
    loop {
        let some: Vec<Item> = items.by_ref().take(4096).collect();
        if some.is_empty() {
            break;
        }
        let decoded: Vec<(usize, Result<Vec<u8>>)> = some
            .into_par_iter()
            .map(|item| {
                let pixels = shaping.apply(item.image);
                tick();
                (item.class, pixels)
            })
            .collect();
        for (class, pixels) in decoded {
            match pixels {
                Ok(pixels) => {
                    examples.pixels.extend_from_slice(&pixels);
                    examples.labels.push(class);
                }
                Err(error) => broken.push(error.to_string()),
            }
        }
    }
    if let Some(first) = broken.first() {
        notes.push(format!("{} images cannot be read and are left out, such as {first}", broken.len()));
    }
    Ok(examples)
}

impl Shaping {
    /// For a network with this input and preprocessing; without preprocessing, the whole image is resized.
    pub fn new([channels, height, width]: [usize; 3], preprocess: Option<&Preprocess>) -> Result<Self> {
        if channels != 1 && channels != 3 {
            let reason = format!("training with images: the network wants {channels} channels, images have 1 or 3");
            return Err(Error::Unsupported(reason));
        }
        let whole = || Preprocess { crop_fraction: 1.0, filter: Filter::Bilinear, mean: [0.0; 3], std: [255.0; 3] };
        let preprocess = preprocess.cloned().unwrap_or_else(whole);
        Ok(Self { channels, size: [height, width], preprocess })
    }

    fn apply(&self, image: Encoded) -> Result<Vec<u8>> {
        let [height, width] = self.size;
        let image = match image {
            // What has the right shape already never goes through an image.
            Encoded::Raw(shape, pixels) if shape == [self.channels, height, width] => return Ok(pixels),
            Encoded::Raw([channels, height, width], pixels) => {
                let area = height * width;
                let channel = |at: usize, c: usize| pixels[c.min(channels - 1) * area + at];
                let rgb = (0..area).flat_map(|at| [0, 1, 2].map(|c| channel(at, c))).collect();
                Image::from_rgb(width, height, rgb)?
            }
            Encoded::File(path) => Image::open(path)?,
            Encoded::Bytes(name, bytes) => Image::decode(&name, &bytes)?,
        };
        // Of others it is the central square, as later when the network is used.
        let whole =
            height == width && self.preprocess.crop_fraction == 1.0 && [image.height(), image.width()] == self.size;
        let rgb = if whole { image.rgb().to_vec() } else { resized(&image, &self.preprocess, height, width) };
        let pixels = rgb.as_chunks::<3>().0;
        Ok(match self.channels {
            1 => pixels.iter().map(|&pixel| luma(pixel)).collect(),
            _ => (0..3).flat_map(|channel| pixels.iter().map(move |pixel| pixel[channel])).collect(),
        })
    }
}
