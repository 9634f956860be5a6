//! Everything that can go wrong, with the thing and the values named.

use std::path::PathBuf;

/// What every fallible function of this crate returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error that names the thing that is wrong, the values found, and what was expected.
///
/// The [`Display`](std::fmt::Display) form is one line, meant to be shown to a user as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
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
    pub(crate) fn node(node: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Network { node: node.into(), reason: reason.into() }
    }

    pub(crate) fn weight(tensor: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::Weight { tensor: tensor.into(), reason: reason.into() }
    }
}
