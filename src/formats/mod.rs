//! Files: tensors by name, models that carry their own description, single layers, and other programs' checkpoints.
//!
//! The crate's own files are safetensors. A *model file* has one metadata entry more, [`NETWORK_KEY`], which holds the
//! [`Network`](crate::Network) as JSON; see [`Model::open`](crate::Model::open) and [`Model::save`](crate::Model::save).
//!
//! A [`StateDict`] holds weights without a description, as PyTorch, TensorFlow and Gluon save them; with the name of an
//! [architecture](crate::network::zoo) it becomes a model.

mod atomic_write;
#[cfg(feature = "checkpoints")]
mod decompression_limit;
mod layer_file;
mod model_file;
mod naming;
#[cfg(feature = "checkpoints")]
mod npy;
pub mod onnx;
#[cfg(feature = "checkpoints")]
mod pickle;
#[cfg(feature = "checkpoints")]
mod pytorch;
mod state_dict;
mod tensor_file;
mod transpose;
#[cfg(feature = "checkpoints")]
mod zip_archive;

pub use atomic_write::write_file;
pub use layer_file::{LAYER_KEY, LayerFile};
pub use model_file::{NETWORK_KEY, is_model_file};
#[cfg(feature = "checkpoints")]
pub use npy::read_npy;
pub use state_dict::StateDict;
pub use tensor_file::{Dtype, Metadata, read_arrays, read_dtypes, read_tensors, write_tensors};
