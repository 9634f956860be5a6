//! ONNX files: read as models, and written from models by [`Model::to_onnx`](crate::Model::to_onnx).
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use doconv::formats::onnx::File;
//!
//! let imported = File::open("resnet18.onnx")?.import(&BTreeMap::new())?;
//! println!("{} nodes", imported.model.network().nodes.len());
//! # Ok::<(), doconv::Error>(())
//! ```

mod array;
mod axis_rules;
mod batch;
mod constant;
mod doconv;
mod export;
mod extents;
mod file;
mod import;
mod imported;
mod metadata;
mod node;
mod operators;
pub(crate) mod proto;
mod supported_operators;
mod value;

pub use array::{Array, Data};
pub use file::File;
pub use imported::{Imported, Port};
pub use metadata::{LABELS_KEY, PREPROCESS_KEY};
