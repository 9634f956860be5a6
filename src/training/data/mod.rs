//! Data sets: images in memory, with their classes.
//!
//! [`Source::find`] recognises a data set by what is there: folders of images (`train/<class>/*`, and `test/<class>/*` or
//! `val/<class>/*` for validation), a tar archive of such folders, CIFAR-10's binary files, or files in MNIST's IDX format.
//! [`Source::load`] then decodes everything once, at the size that a network wants, so that training never waits for a decoder.

mod archive;
mod augment;
mod batches;
mod cifar;
mod folder;
mod idx;

pub use augment::Augment;
pub use batches::{Batch, Batches};

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::image::{Image, luma, resized};
use crate::network::{Filter, Preprocess};
use crate::{Error, Result};

/// Images and their classes, in memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// Every image `[channels, height, width]`, one behind the other, in 0…255.
    pub pixels: Vec<u8>,
    /// Every image's class.
    pub labels: Vec<usize>,
}

/// What a network learns from, and what it is tried on.
#[derive(Clone, Debug, PartialEq)]
pub struct DataSet {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Channels, height and width of every image.
    pub shape: [usize; 3],
    /// What is learned from.
    pub train: Examples,
    /// What only shows how well that goes.
    pub validation: Examples,
    /// What was left out and why, in words.
    pub notes: Vec<String>,
}

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

/// A data set that was found, but not yet decoded.
#[derive(Debug)]
pub struct Source {
    path: PathBuf,
    kind: Kind,
    classes: Vec<String>,
    train: Vec<Item>,
    /// What comes as test or validation images.
    test: Vec<Item>,
    notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Folder,
    Tar,
    Cifar10,
    Idx,
}

/// One image.
#[derive(Debug)]
struct Item {
    class: usize,
    image: Encoded,
}

#[derive(Debug)]
enum Encoded {
    File(PathBuf),
    /// Its name, and the file.
    Bytes(String, Vec<u8>),
    /// Channels, height and width, and as many values.
    Raw([usize; 3], Vec<u8>),
}

impl Source {
    /// Finds out what is at a path: a folder, or a tar archive.
    ///
    /// # Errors
    /// [`Error::Data`] naming what is wrong with it, and [`Error::Io`].
    pub fn find(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::Io { path: path.into(), source };
        let source = if std::fs::metadata(path).map_err(io)?.is_dir() {
            match (idx::find(path)?, cifar::find(path)?) {
                (Some(source), _) | (None, Some(source)) => source,
                (None, None) => folder::find(path)?,
            }
        } else {
            archive::find(path)?
        };
        source.check()
    }

    fn new(path: &Path, kind: Kind, classes: Vec<String>) -> Self {
        Self { path: path.into(), kind, classes, train: vec![], test: vec![], notes: vec![] }
    }

    fn check(self) -> Result<Self> {
        // What was left out may be why.
        let fail = |reason: String| Err(Error::Data { path: self.path.clone(), reason: reason + &listed(&self.notes) });
        match &self.classes[..] {
            [] => fail(
                "no data set is recognised here: neither folders of images (train/<class>/*.jpg) nor CIFAR-10's \
                 data_batch_*.bin nor MNIST's train-images-idx3-ubyte with train-labels-idx1-ubyte"
                    .into(),
            ),
            [only] if self.kind == Kind::Tar && only.starts_with("cifar-10-batches") => {
                fail("CIFAR-10's binaries are read from a folder; unpack the archive, and name that".into())
            }
            [only] => fail(format!("all images are of one class, `{only}`; a classifier needs two or more")),
            _ => Ok(self),
        }
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Folder => "image folders",
            Kind::Tar => "a tar archive of image folders",
            Kind::Cifar10 => "CIFAR-10 binaries",
            Kind::Idx => "IDX files",
        }
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// How many images it has to learn from, and as test or validation images, broken ones included.
    pub fn images(&self) -> [usize; 2] {
        [self.train.len(), self.test.len()]
    }

    /// What is left out so far and why, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Height and width of all images, where the format says that they are alike.
    pub fn size(&self) -> Option<[usize; 2]> {
        match &self.train.first()?.image {
            Encoded::Raw([_, height, width], _) => Some([*height, *width]),
            _ => None,
        }
    }

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

/// Behind an error.
fn listed(notes: &[String]) -> String {
    notes.iter().map(|note| format!("; {note}")).collect()
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
    /// What a network that wants such an input, with these rules for photographs, is shown: the whole image where it has none.
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

impl DataSet {
    /// Values of an image.
    pub fn example_len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Images to learn from, for validation, and classes.
    pub fn counts(&self) -> [usize; 3] {
        [self.train.labels.len(), self.validation.labels.len(), self.classes.len()]
    }

    /// A checksum (CRC-32) of everything that is learned from and tried on: classes, labels and pixels.
    pub fn checksum(&self) -> u32 {
        let mut crc = flate2::Crc::new();
        let mut numbers = |numbers: &[usize]| numbers.iter().for_each(|&it| crc.update(&(it as u64).to_le_bytes()));
        numbers(&self.counts());
        numbers(&self.shape);
        numbers(&self.train.labels);
        numbers(&self.validation.labels);
        for class in &self.classes {
            crc.update(class.as_bytes());
            crc.update(&[0]);
        }
        crc.update(&self.train.pixels);
        crc.update(&self.validation.pixels);
        crc.sum()
    }
}
