//! State dicts: weights by name, without a description of the network.

use std::collections::BTreeSet;
use std::path::Path;

use super::naming::{self, Convention};
use super::{read_dtypes, read_tensors};
use crate::network::{DoConv, Network, Op, Pairing, zoo};
use crate::{Error, Model, Result, Weights};

/// Weights by name as a framework saved them, under PyTorch's names and in its axis orders whoever wrote them.
///
/// Safetensors files are read, and with the feature `checkpoints` PyTorch's `.pth` and `.pt`, and `.npz`. Files are told
/// apart by their content, and PyTorch's, TensorFlow's and Gluon's names and axis orders by the names of the tensors. A
/// leading `module.` and PyTorch's batch counters are dropped.
#[derive(Clone, Debug)]
pub struct StateDict {
    name: String,
    weights: Weights,
    convention: Convention,
    dtypes: BTreeSet<String>,
}

impl StateDict {
    /// Reads a file from memory; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::TensorFile`] or [`Error::Checkpoint`] if the file is broken, or a pickle asks for anything but tensors.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        let (weights, dtypes) = read(name, bytes)?;
        let fail = |error: Error| Error::Checkpoint { name: name.into(), reason: error.to_string() };
        let (weights, convention) = naming::to_torch(weights).map_err(fail)?;
        if weights.is_empty() {
            return Err(fail(Error::Unsupported("it holds no tensors".into())));
        }
        Ok(Self { name: name.into(), weights, convention, dtypes })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, and those of [`StateDict::from_bytes`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        Self::from_bytes(&path.display().to_string(), &bytes)
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The types of the file's numbers, such as `F32`.
    pub fn dtypes(&self) -> &BTreeSet<String> {
        &self.dtypes
    }

    /// The architectures that these weights fit; see [`zoo::fitting`].
    pub fn fitting(&self) -> Vec<&'static str> {
        zoo::fitting(&self.weights)
    }

    /// The network of this name with these weights. A layer that has W and D here is a DO-Conv layer with the depth
    /// multiplier of its W and the pairing of the framework that wrote it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an unknown name; [`Error::Architecture`] if the weights do not fit, with the
    /// architectures that they do fit.
    pub fn into_model(mut self, arch: &str) -> Result<Model> {
        let mut network = zoo::build_for(arch, &self.weights)?;
        mark_composed(&mut network, &self.weights, self.convention.pairing());
        if self.convention == Convention::TensorFlow {
            naming::reorder_flattened(&network, &mut self.weights)?;
        }
        if let Some((tensor, reason)) = network.misfit(&self.weights) {
            let reason = Error::weight(tensor, reason).to_string();
            return Err(Error::Architecture {
                name: self.name.clone(),
                arch: arch.into(),
                reason,
                fitting: self.fitting(),
            });
        }
        Model::new(network, self.weights)
            .map_err(|error| Error::Checkpoint { name: self.name.clone(), reason: error.to_string() })
    }
}

impl Model {
    /// Puts a description and a PyTorch state dict together, as [`Model::new`] does after dropping what training
    /// leaves behind: a leading `module.` of names, and `num_batches_tracked`.
    ///
    /// A layer that has a W is a DO-Conv layer with PyTorch's pairing, whatever the description says.
    ///
    /// # Errors
    /// Those of [`Model::new`], and [`Error::Weight`] if two tensors have the same name without `module.`.
    pub fn from_state_dict(mut network: Network, weights: Weights) -> Result<Self> {
        let weights = naming::plain_names(weights, str::to_string)?;
        mark_composed(&mut network, &weights, Pairing::Torch);
        Self::new(network, weights)
    }
}

/// Marks the layers that hold a W.
fn mark_composed(network: &mut Network, weights: &Weights, pairing: Pairing) {
    for node in &mut network.nodes {
        let Op::Conv2d(conv) = &mut node.op else { continue };
        let w = weights.get(&format!("{}.W", node.name)).map(crate::Tensor::shape);
        if let Some(&[_, _, d_mul]) = w
            && conv.taps() > 1
        {
            conv.doconv = Some(DoConv { d_mul, pairing });
        }
    }
}

fn read(name: &str, bytes: &[u8]) -> Result<(Weights, BTreeSet<String>)> {
    let fail = |reason: String| Error::Checkpoint { name: name.into(), reason };
    #[cfg(feature = "checkpoints")]
    {
        use super::decompression_limit::DecompressionLimit;
        use super::{npy, pytorch, zip_archive};
        let mut budget = DecompressionLimit::new(bytes.len());
        if zip_archive::is_zip(bytes) {
            let mut archive = zip_archive::open(bytes).map_err(fail)?;
            let names = zip_archive::names(&archive).map_err(fail)?;
            if names.iter().any(|name| pytorch::is_pickle(name)) {
                return pytorch::read(bytes, &mut budget).map_err(fail);
            }
            if names.iter().any(|name| name.ends_with(".npy")) {
                let weights = npy::read_npz(&mut archive, &mut budget).map_err(fail)?;
                return Ok((weights, BTreeSet::from(["NumPy float".to_string()])));
            }
            return Err(fail(
                "a zip archive, but with neither `data.pkl` (PyTorch) nor `.npy` files (NumPy) in it".into(),
            ));
        }
        if pytorch::begins_like_a_pickle(bytes) {
            return pytorch::read(bytes, &mut budget).map_err(fail);
        }
    }
    #[cfg(not(feature = "checkpoints"))]
    if bytes.starts_with(b"PK") {
        return Err(fail("this build reads safetensors files only (it lacks the feature `checkpoints`)".into()));
    }
    if bytes.starts_with(b"\x89HDF") {
        return Err(fail("HDF5 files are not read; save the weights with numpy.savez under their names".into()));
    }
    let (weights, _) = read_tensors(name, bytes)?;
    Ok((weights, read_dtypes(name, bytes)?))
}
