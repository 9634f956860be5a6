//! Models as ONNX files.
//!
//! The operators are those of opset 17, and of a later one only where the network needs what came with it: 18 for
//! `Resize` to a size (before, the size of the batch had to be given too), 19 for circular padding, dilated mean pools
//! and `half_pixel_symmetric`. So runtimes that are behind can read what they can compute.
//!
//! The batch is the symbolic axis `N`. A network with an input of several items per element of the batch came from
//! arrays whose first axis is no batch, and goes back to such: for it, the first axis is fixed.

mod convolution;
mod elementwise;
mod graph;
mod layout_ops;
mod operators;
mod pool;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::path::Path;

use prost::Message;

use self::graph::{Graph, Items, value_info};
use super::metadata::{LABELS_KEY, PREPROCESS_KEY};
use super::proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto, ValueInfoProto};
use crate::formats::{Dtype, write_file};
use crate::network::{Inferred, Shape};
use crate::{Error, Model, Result};

/// Protocol buffers, and so ONNX files with weights inside, end here.
const MAX_BYTES: usize = i32::MAX as usize;

impl Model {
    /// The bytes of an ONNX file of the folded network.
    ///
    /// DO-Conv layers that hold W and D are folded first, and the marks that [`Model::expand`] looks for are not kept.
    /// Batch norms stay unless [`Model::fold_batch_norms`] took them. Parameters are initialisers under their own
    /// names, stored as `dtype`; with [`Dtype::F16`] each is followed by a `Cast`, so that the arithmetic is that of
    /// f32 as everywhere in this crate. Results of fully connected layers have two axes, maps four. Labels and
    /// preprocessing are JSON in the file's metadata.
    ///
    /// ```
    /// # #[cfg(feature = "bundled-model")] {
    /// let bytes = doconv::Model::bundled()?.to_onnx(doconv::Dtype::F32)?;
    /// assert!(bytes.len() > 18_000_000);
    /// # }
    /// # Ok::<(), doconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Weight`] naming the tensor if a value does not fit `dtype`, or if a folded kernel overflows;
    /// [`Error::Unsupported`] if the file would be larger than 2 GiB.
    pub fn to_onnx(&self, dtype: Dtype) -> Result<Vec<u8>> {
        let model = if self.is_composed() { &self.fold()? } else { self };
        let per_value = if dtype == Dtype::F16 { 2 } else { 4 };
        let values: usize = model.weights().values().map(|tensor| tensor.data().len()).sum();
        // Before everything is copied, and again when the rest is known too.
        check_size(values.saturating_mul(per_value))?;
        let proto = Exporter::new(model, dtype)?.export()?;
        check_size(proto.encoded_len())?;
        Ok(proto.encode_to_vec())
    }

    /// Writes [`Model::to_onnx`] to a file, whole or not at all.
    ///
    /// # Errors
    /// Those of [`Model::to_onnx`], and [`Error::Io`] if the file cannot be written.
    pub fn save_onnx(&self, path: impl AsRef<Path>, dtype: Dtype) -> Result<()> {
        write_file(path, &self.to_onnx(dtype)?)
    }
}

fn check_size(bytes: usize) -> Result<()> {
    if bytes > MAX_BYTES {
        return Err(Error::Unsupported(format!(
            "an ONNX file holds at most {MAX_BYTES} bytes, and this one would have {bytes}; store f16, or write a \
             model file (safetensors)"
        )));
    }
    Ok(())
}

/// A network's value in the graph.
#[derive(Clone, Debug)]
struct Value {
    name: String,
    /// Shape for a batch of one.
    shape: Shape,
    /// Whether the array has two axes rather than four.
    vector: bool,
}

/// A model on its way into a graph.
struct Exporter<'a> {
    model: &'a Model,
    inferred: Inferred,
    vectors: HashSet<&'a str>,
    /// Whether the first axis is fixed: the file is for a batch of one.
    fixed: bool,
    graph: Graph,
    inputs: Vec<Value>,
    /// The values of nodes; those of constants as soon as somebody needs them for every element of the batch.
    nodes: Vec<Option<Value>>,
    /// Parameters of constants that are in the graph, as vectors or as maps.
    constants: HashMap<(usize, bool), String>,
}

impl<'a> Exporter<'a> {
    fn new(model: &'a Model, dtype: Dtype) -> Result<Self> {
        let network = model.network();
        let inferred = network.infer(1)?;
        // Inputs keep their names, and so do the values of nodes, whatever else is called like them.
        let taken = network.nodes.iter().map(|node| node.name.as_str()).filter(|name| !name.is_empty());
        let mut graph = Graph::new(dtype, taken);
        let inputs = network.inputs.iter().zip(&inferred.inputs);
        let inputs = inputs.map(|(input, &shape)| Value { name: graph.fresh(&input.name), shape, vector: false });
        let inputs = inputs.collect();
        Ok(Self {
            model,
            vectors: network.vectors(),
            fixed: network.inputs.iter().any(|input| input.items > 1),
            nodes: vec![None; network.nodes.len()],
            constants: HashMap::new(),
            inferred,
            graph,
            inputs,
        })
    }

    fn export(mut self) -> Result<ModelProto> {
        let network = self.model.network();
        for index in 0..network.nodes.len() {
            self.node(index)?;
        }
        let inputs = self.inputs.iter().map(|value| self.info(value)).collect();
        let outputs = self.outputs()?;
        let opset = self.graph.opset();
        let graph = self.graph.finish(&network.name, inputs, outputs);

        let entry = |key: &str, value: String| StringStringEntryProto { key: Some(key.into()), value: Some(value) };
        let unwritable = |error| Error::Unsupported(format!("the network cannot be written as JSON: {error}"));
        let mut metadata = vec![];
        if let Some(preprocess) = &network.preprocess {
            metadata.push(entry(PREPROCESS_KEY, serde_json::to_string(preprocess).map_err(unwritable)?));
        }
        if !network.labels.is_empty() {
            metadata.push(entry(LABELS_KEY, serde_json::to_string(&network.labels).map_err(unwritable)?));
        }
        Ok(ModelProto {
            ir_version: Some(if opset < 19 { 8 } else { 9 }),
            producer_name: Some("doconv".into()),
            producer_version: Some(env!("CARGO_PKG_VERSION").into()),
            doc_string: Some(format!("{}, with every DO-Conv layer folded into an ordinary convolution", network.name)),
            opset_import: vec![OperatorSetIdProto { domain: Some(String::new()), version: Some(opset) }],
            graph: Some(graph),
            metadata_props: metadata,
            ..Default::default()
        })
    }

    /// The graph's outputs, whose names must differ: one that is listed twice is copied.
    fn outputs(&mut self) -> Result<Vec<ValueInfoProto>> {
        let mut outputs = vec![];
        let mut listed = HashSet::new();
        for source in self.inferred.outputs.clone() {
            let mut value = self.read(source)?;
            if !listed.insert(source) {
                value.name = self.graph.step("Identity", &[&value.name], &value.name, vec![]);
            }
            outputs.push(self.info(&value));
        }
        Ok(outputs)
    }

    fn info(&self, value: &Value) -> ValueInfoProto {
        let [items, c, h, w] = value.shape;
        let items = if self.fixed { Items::Fixed(items) } else { Items::PerBatch(items) };
        let rest = [c, h, w];
        value_info(&value.name, items, if value.vector { &rest[..1] } else { &rest })
    }
}
