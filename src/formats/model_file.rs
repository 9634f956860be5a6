//! Model files: weights and the description of the network in one safetensors file.

use std::path::Path;

use serde::Deserialize;

use super::naming::{WRAPPER, plain_names};
use super::tensor_file::read_metadata;
use super::{Dtype, Metadata, read_tensors, write_file, write_tensors};
use crate::network::FORMAT_VERSION;
use crate::{Error, Model, Network, Result};

/// The metadata entry of a model file that holds the network as JSON.
pub const NETWORK_KEY: &str = "doconv.network";

/// The one field that every version of the description has.
#[derive(Deserialize)]
struct Versioned {
    version: u64,
}

impl Model {
    /// Reads a model file from memory; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::TensorFile`] if it is no safetensors file, [`Error::ModelFile`] if it has no description, or one that
    /// is broken or does not fit the weights.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let fail = |reason: String| Error::ModelFile { name: name.into(), reason };
        let (weights, metadata) = read_tensors(name, bytes)?;
        let json = metadata.get(NETWORK_KEY).ok_or_else(|| {
            fail(format!(
                "a model file is a safetensors file with the network as JSON in the metadata entry `{NETWORK_KEY}`, \
                 which this one lacks; for a plain PyTorch state dict name the network with `--arch`"
            ))
        })?;
        let network = parse_network(json).map_err(fail)?;
        // Networks of others may have layers of that name.
        let is_a_layer = network.nodes.iter().any(|node| node.name.starts_with(WRAPPER));
        let weights = if is_a_layer { Ok(weights) } else { plain_names(weights, str::to_string) };
        weights.and_then(|weights| Self::new(network, weights)).map_err(|error| fail(error.to_string()))
    }

    /// Reads a model file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read, and those of [`Model::from_bytes`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// The bytes of a model file.
    ///
    /// # Errors
    /// [`Error::Weight`] naming the tensor if a value does not fit `dtype`.
    pub fn to_bytes(&self, dtype: Dtype) -> Result<Vec<u8>> {
        let json = serde_json::to_string(self.network())
            .map_err(|error| Error::Unsupported(format!("the network cannot be written as JSON: {error}")))?;
        let tensors = self.weights().iter().map(|(name, tensor)| (name.as_str(), tensor));
        write_tensors(tensors, &Metadata::from([(NETWORK_KEY.into(), json)]), dtype)
    }

    /// Writes a model file, whole or not at all.
    ///
    /// # Errors
    /// Those of [`Model::to_bytes`], and [`Error::Io`] if the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, dtype: Dtype) -> Result<()> {
        write_file(path, &self.to_bytes(dtype)?)
    }
}

/// Whether bytes are a safetensors file with the description of a network, whatever its state.
pub fn is_model_file(bytes: &[u8]) -> bool {
    read_metadata(bytes).is_ok_and(|metadata| metadata.contains_key(NETWORK_KEY))
}

/// Parses the description; an unknown version is reported as such, whatever else it contains.
fn parse_network(json: &str) -> Result<Network, String> {
    let broken = |error: serde_json::Error| format!("its `{NETWORK_KEY}` is no valid description: {error}");
    let Versioned { version } = serde_json::from_str(json).map_err(broken)?;
    if version != u64::from(FORMAT_VERSION) {
        return Err(format!(
            "its description has version {version}, and this build reads version {FORMAT_VERSION}; \
             a newer build may read it"
        ));
    }
    serde_json::from_str(json).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{Conv2d, Input, Node, Op};
    use crate::{Tensor, Weights};

    fn model() -> Model {
        let network = Network {
            version: FORMAT_VERSION,
            name: "tiny".into(),
            inputs: vec![Input::new("x", [1, 4, 4])],
            nodes: vec![Node { name: "c".into(), inputs: vec!["x".into()], op: Op::Conv2d(Conv2d::new(1, 2, [1, 1])) }],
            outputs: vec!["c".into()],
            preprocess: None,
            labels: vec![],
        };
        let kernel = Tensor::new([2, 1, 1, 1], vec![1.0, 0.1]).unwrap();
        Model::new(network, Weights::from([("c.weight".into(), kernel)])).unwrap()
    }

    #[test]
    fn files_keep_the_model() {
        let model = model();
        let read = Model::from_bytes("m", &model.to_bytes(Dtype::F32).unwrap()).unwrap();
        assert_eq!((read.network(), read.weights()), (model.network(), model.weights()));
        let half = Model::from_bytes("m", &model.to_bytes(Dtype::F16).unwrap()).unwrap();
        assert_eq!(half.weights()["c.weight"].data(), [1.0, half::f16::from_f32(0.1).to_f32()]);
    }

    #[test]
    fn layers_may_be_called_like_a_wrapper() {
        let (mut network, mut weights) = (model().network().clone(), model().weights().clone());
        network.nodes[0].name = "module.c".into();
        network.outputs = vec!["module.c".into()];
        weights = weights.into_iter().map(|(name, tensor)| (format!("module.{name}"), tensor)).collect();
        let model = Model::new(network, weights).unwrap();
        let read = Model::from_bytes("m", &model.to_bytes(Dtype::F32).unwrap()).unwrap();
        assert_eq!((read.network(), read.weights()), (model.network(), model.weights()));
    }

    #[test]
    fn what_training_leaves_behind_is_dropped() {
        let model = model();
        let mut weights: Weights =
            model.weights().iter().map(|(name, tensor)| (format!("module.{name}"), tensor.clone())).collect();
        weights.insert("module.bn.num_batches_tracked".into(), Tensor::zeros([]));
        let read = Model::from_state_dict(model.network().clone(), weights.clone()).unwrap();
        assert_eq!(read.weights(), model.weights());
        weights.extend(model.weights().clone());
        let error = Model::from_state_dict(model.network().clone(), weights).unwrap_err().to_string();
        assert!(error.starts_with("tensor `c.weight`: is there twice"), "{error}");
    }

    #[test]
    fn an_unknown_version_is_reported_before_unknown_fields() {
        let error = parse_network(r#"{"version": 7, "layers": {}}"#).unwrap_err();
        assert!(error.starts_with("its description has version 7, and this build reads version 1"), "{error}");
        let error = parse_network(r#"{"version": 1, "layers": {}}"#).unwrap_err();
        assert!(error.contains("unknown field `layers`"), "{error}");
    }
}
