//! ONNX files: read as models, and written from models by [`Model::to_onnx`].
//!
//! ```no_run
//! use std::collections::BTreeMap;
//!
//! use doconv::formats::onnx::File;
//!
//! let imported = File::open("resnet18.onnx")?.import(&BTreeMap::new())?;
//! println!("{} nodes", imported.model.network().nodes.len());
//! # Ok::<(), doconv::Error>(())
//! ```

mod array;
mod batch;
mod constant;
mod doconv;
mod export;
mod file;
mod import;
mod metadata;
mod node;
mod operators;
pub(crate) mod proto;
mod rules;

use std::collections::BTreeMap;

pub use array::{Array, Data};
pub use file::File;
pub use metadata::{LABELS_KEY, PREPROCESS_KEY};

use crate::{Model, Result};

/// A model read from an ONNX file, and the names and extents that its arrays have there.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The network with its weights.
    pub model: Model,
    /// The network's inputs, in its order. Inputs of the file that are part of the model now are not among them.
    pub inputs: Vec<Port>,
    /// The network's outputs, in its order.
    pub outputs: Vec<Port>,
}

/// An input or output as the ONNX file has it. The network's map holds the same numbers in the same order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its name in the file.
    pub name: String,
    /// Its extents; the first is 1 if it is the batch.
    pub dims: Vec<usize>,
    /// Whether the first axis is the batch, and free.
    pub batched: bool,
}

impl Port {
    /// The extents for a batch.
    pub fn dims_of(&self, batch: usize) -> Vec<usize> {
        let mut dims = self.dims.clone();
        if self.batched {
            dims[0] = batch;
        }
        dims
    }
}

impl File {
    /// Turns the graph into a network.
    ///
    /// Axis 0 of the inputs is the batch, whatever extent the file gives it, unless an operator mixes values along it or
    /// treats batches differently, such as `Reshape` to `[1, -1]`. Extents that are free otherwise are those of the
    /// arrays in `given`, and so are values of inputs that must be known to describe the network, such as kernels or
    /// shapes; both go by the names of the inputs.
    ///
    /// Functions are written out; arithmetic on constants is done; kernels that are the product of W and D become
    /// DO-Conv layers.
    ///
    /// # Errors
    /// [`Error::Onnx`](crate::Error::Onnx) naming everything that is not supported, or what must be given.
    pub fn import(&self, given: &BTreeMap<String, Array>) -> Result<Imported> {
        import::import(self, given)
    }
}
