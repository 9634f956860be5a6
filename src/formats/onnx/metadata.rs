//! What an ONNX file has no field for, as JSON in the model's `metadata_props`.

use std::collections::HashMap;

use serde::de::DeserializeOwned;

/// The class names: an array of strings, as [`Network::labels`](crate::Network::labels).
pub const LABELS_KEY: &str = "doconv.labels";

/// The preprocessing of the first input: [`Preprocess`](crate::network::Preprocess) as model files write it.
pub const PREPROCESS_KEY: &str = "doconv.preprocess";

/// What the metadata holds under a key, or nothing where it has no such key.
pub(super) fn read<T: DeserializeOwned + Default>(metadata: &HashMap<String, String>, key: &str) -> Result<T, String> {
    let Some(json) = metadata.get(key) else { return Ok(T::default()) };
    serde_json::from_str(json).map_err(|error| format!("its metadata entry `{key}` cannot be read: {error}"))
}
