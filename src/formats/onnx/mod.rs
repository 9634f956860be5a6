//! ONNX files.

pub(crate) mod proto;
