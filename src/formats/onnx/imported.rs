//! What comes of reading an ONNX file.

use crate::Model;

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
