//! A data set that was found, with its images still encoded.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A data set that was found, but not yet decoded.
#[derive(Debug)]
pub struct Source {
    pub(super) path: PathBuf,
    pub(super) kind: Kind,
    pub(super) classes: Vec<String>,
    pub(super) train: Vec<Item>,
    /// What comes as test or validation images.
    pub(super) test: Vec<Item>,
    pub(super) notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Folder,
    Tar,
    Cifar10,
    Idx,
}

/// One image.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) class: usize,
    pub(super) image: Encoded,
}

#[derive(Debug)]
pub(super) enum Encoded {
    File(PathBuf),
    /// Its name, and the file.
    Bytes(String, Vec<u8>),
    /// Channels, height and width, and as many values.
    Raw([usize; 3], Vec<u8>),
}

impl Source {
    pub(super) fn new(path: &Path, kind: Kind, classes: Vec<String>) -> Self {
        Self { path: path.into(), kind, classes, train: vec![], test: vec![], notes: vec![] }
    }

    pub(super) fn check(self) -> Result<Self> {
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
}

/// Behind an error.
pub(super) fn listed(notes: &[String]) -> String {
    notes.iter().map(|note| format!("; {note}")).collect()
}
