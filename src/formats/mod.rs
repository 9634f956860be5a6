//! Files: tensors by name, and models that carry their own description.
//!
//! Both are safetensors files. [`onnx`] reads models of the other kind that there is. A *model file* has one metadata entry more, [`NETWORK_KEY`], which holds the
//! [`Network`](crate::Network) as JSON; see [`Model::open`](crate::Model::open) and [`Model::save`](crate::Model::save).

mod model_file;
pub mod onnx;
mod tensor_file;
mod write;

pub use model_file::NETWORK_KEY;
pub use tensor_file::{Dtype, Metadata, read_arrays, read_tensors, write_tensors};
pub use write::write_file;
