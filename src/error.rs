//! Everything that can go wrong, with the thing and the values named.

use std::path::PathBuf;
use std::sync::Arc;

use crate::Precision;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the thing that is wrong, the values found, and what was expected.
///
/// The [`Display`](std::fmt::Display) form is one line, meant to be shown to a user as it is.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: Arc<std::io::Error>,
    },
    /// Something that should be a data set is none, or not one to train with.
    #[error("{}: {reason}", path.display())]
    Data {
        /// Which file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Bytes that should be an image are not, or not one this crate can decode.
    #[error("{name}: {reason}")]
    Image {
        /// The file, or `image` where it has no name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file is no valid safetensors file, or holds tensors of a kind this crate cannot read.
    #[error("{name}: not a valid safetensors file: {reason}")]
    TensorFile {
        /// The file, or what stands for it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A safetensors file is no valid model file: its description is missing, broken or contradicts the weights.
    #[error("{name}: not a valid model file: {reason}")]
    ModelFile {
        /// The file, or `model` where it has no name.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An ONNX file is broken, or holds what this crate cannot turn into a network.
    #[error("{name}: cannot be read as ONNX: {reason}")]
    Onnx {
        /// The file, or what stands for it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A safetensors file is no valid layer file: an attribute or a tensor is missing, unknown or wrong.
    #[error("{name}: not a valid layer file: {reason}")]
    LayerFile {
        /// The file, or what stands for it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of weights is broken, or asks for more than weights.
    #[error("{name}: not a readable checkpoint: {reason}")]
    Checkpoint {
        /// The file, or what stands for it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Weights do not fit the architecture that was named.
    #[error("{name}: no weights of {arch}: {reason}{}", fits(fitting))]
    Architecture {
        /// The file, or what stands for it.
        name: String,
        /// The architecture that was named.
        arch: String,
        /// The tensor that does not fit, and why.
        reason: String,
        /// The architectures that the weights do fit.
        fitting: Vec<&'static str>,
    },
    /// No architecture has this name.
    #[error("no architecture is called `{name}`; there is: {}", known.join(", "))]
    UnknownArchitecture {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A file of tuned choices is broken.
    #[error("no file of tuned choices: {reason}")]
    Tuning {
        /// What is wrong with it.
        reason: String,
    },
    /// A network description contradicts itself.
    #[error("network node `{node}`: {reason}")]
    Network {
        /// The node, input or output at fault.
        node: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A parameter is missing, surplus, mis-shaped or not finite.
    #[error("tensor `{tensor}`: {reason}")]
    Weight {
        /// The parameter's full name.
        tensor: String,
        /// What is wrong with it.
        reason: String,
    },
    /// So many values do not make an array of this shape.
    #[error("a tensor of shape {shape:?} cannot hold {values} values")]
    Shape {
        /// The shape that was asked for.
        shape: Vec<usize>,
        /// How many values there are.
        values: usize,
    },
    /// An array given to a network does not fit its input.
    #[error("input `{input}`: {reason}")]
    Input {
        /// The network's name for this input.
        input: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A network gives NaN or infinity for an image, so that there is no best class.
    #[error("the network gives {value} for {image}, so there is no best class; {way_out}")]
    NoBestClass {
        /// The image: its name, or its place among several.
        image: String,
        /// NaN, or an infinity of which there is no softmax.
        value: f32,
        /// What the user can do about it.
        way_out: &'static str,
    },
    /// No adapter answers to the name that was asked for.
    #[error("no adapter matches `{wanted}`; there is: {}", available.join(", "))]
    NoAdapter {
        /// The name, index or part of a name that was asked for.
        wanted: String,
        /// What could have been asked for.
        available: Vec<String>,
    },
    /// An adapter does not compute in this precision.
    #[error("{adapter}: precision `{}` needs a GPU with `shader-f16`; use precision `f32`", wanted.name())]
    Precision {
        /// The adapter.
        adapter: String,
        /// What was asked for.
        wanted: Precision,
    },
    /// Training has come to NaN or infinity.
    #[error("training diverges in epoch {epoch}, {what}: use a lower learning rate than {rate}")]
    Diverged {
        /// Counted from 1.
        epoch: u64,
        /// The loss or the parameter at fault.
        what: String,
        /// The highest learning rate of the schedule.
        rate: f32,
    },
    /// A file is no benchmark record, or one that this version does not read.
    #[error("{name}: no benchmark record: {reason}")]
    BenchRecord {
        /// The file, or what stands for it.
        name: String,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// Something needs more than the adapter offers.
    #[error("{what} needs {needed}, but this adapter's {limit_name} is {limit}; {way_out}")]
    Limit {
        /// The tensor, kernel or batch that is too large.
        what: String,
        /// How much it needs, in the limit's own unit.
        needed: u64,
        /// How much there is.
        limit: u64,
        /// WebGPU's name of the limit.
        limit_name: &'static str,
        /// What the user can do about it.
        way_out: &'static str,
    },
    /// The GPU went away. A session can be opened again on a new device.
    #[error("the GPU device was lost: {reason}; open the adapter again to go on")]
    DeviceLost {
        /// What the driver said.
        reason: String,
    },
    /// The adapter, or the machine for the CPU path, has no memory left.
    #[error("out of memory while {doing}; use a smaller batch, or a network with smaller feature maps")]
    OutOfMemory {
        /// What was being done.
        doing: String,
    },
    /// The driver or the shader compiler refused something: a defect of this crate or of the driver.
    #[error("GPU error while {doing}: {reason}")]
    Gpu {
        /// What was being done.
        doing: String,
        /// What wgpu said.
        reason: String,
    },
    /// The request cannot be carried out as it was made.
    #[error("{0}")]
    Unsupported(String),
}

/// The end of a message that says which architectures weights fit.
fn fits(fitting: &[&str]) -> String {
    if fitting.is_empty() { String::new() } else { format!("; they fit {}", fitting.join(", ")) }
}

impl Error {
    pub(crate) fn io(path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::Io { path: path.into(), source: Arc::new(source) }
    }

    pub(crate) fn node(node: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Network { node: node.into(), reason: reason.into() }
    }

    pub(crate) fn weight(tensor: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Weight { tensor: tensor.into(), reason: reason.into() }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;

    use super::*;

    #[test]
    fn errors_are_cloned_with_their_source() {
        let error = crate::Model::open("/nowhere/model.safetensors").unwrap_err();
        let copy = error.clone();
        assert_eq!(copy.to_string(), error.to_string());
        assert!(copy.source().is_some(), "{copy:?}");
        let Error::Io { path, source } = copy else { panic!("{error:?}") };
        assert_eq!((path.to_str(), source.kind()), (Some("/nowhere/model.safetensors"), std::io::ErrorKind::NotFound));
    }

    #[test]
    fn what_callers_handle_differently_has_a_variant() {
        let error = crate::network::zoo::build("resnet21").unwrap_err();
        assert!(matches!(&error, Error::UnknownArchitecture { name, known } if name == "resnet21" && known.len() > 20));
        let error = crate::Adapter::cpu().with_precision(Precision::F16).unwrap_err();
        assert!(matches!(error, Error::Precision { wanted: Precision::F16, .. }), "{error:?}");
        let error = crate::Tensor::new([2, 3], vec![0.0; 5]).unwrap_err();
        assert!(matches!(&error, Error::Shape { shape, values: 5 } if shape == &[2, 3]), "{error:?}");
    }
}
