//! ONNX files.

mod export;
mod metadata;
pub(crate) mod proto;

pub use metadata::{LABELS_KEY, PREPROCESS_KEY};
