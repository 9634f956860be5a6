//! Recognises the kind of a data set.

use std::path::Path;

use super::source::Source;
use super::{archive, cifar, folder, idx};
use crate::{Error, Result};

impl Source {
    /// Finds out what is at a path: a folder, or a tar archive.
    ///
    /// # Errors
    /// [`Error::Data`] naming what is wrong with it, and [`Error::Io`].
    pub fn find(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let io = |source| Error::io(path, source);
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
}
