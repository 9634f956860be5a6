//! Files: tensors by name, models that carry their own description, and single layers.
//!
//! All are safetensors files. A *model file* has one metadata entry more, [`NETWORK_KEY`], which holds the
//! [`Network`](crate::Network) as JSON; see [`Model::open`](crate::Model::open) and [`Model::save`](crate::Model::save).

mod layer_file;
mod model_file;
mod tensor_file;
mod write;

pub use layer_file::{LAYER_KEY, LayerFile};
pub use model_file::NETWORK_KEY;
pub use tensor_file::{Dtype, Metadata, read_tensors, write_tensors};
pub use write::write_file;
