//! Data sets: images in memory, with their classes.
//!
//! [`Source::find`] recognises a data set by what is there: folders of images (`train/<class>/*`, and `test/<class>/*` or
//! `val/<class>/*` for validation), a tar archive of such folders, CIFAR-10's binary files, or files in MNIST's IDX format.
//! [`Source::load`] then decodes everything once, at the size that a network wants, so that training never waits for a decoder.

mod archive;
mod augment;
mod batches;
mod cifar;
mod data_set;
mod decode;
mod detect;
mod folder;
mod idx;
mod source;

pub use augment::Augment;
pub use batches::{Batch, Batches};
pub use data_set::{DataSet, Examples};
pub use decode::Shaping;
pub use source::Source;
