//! What an ONNX file has no field for, as JSON in the model's `metadata_props`.

/// The class names: an array of strings, as [`Network::labels`](crate::Network::labels).
pub const LABELS_KEY: &str = "doconv.labels";

/// How a photograph becomes the first input: [`Preprocess`](crate::network::Preprocess) as model files write it.
pub const PREPROCESS_KEY: &str = "doconv.preprocess";
