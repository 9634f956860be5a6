//! From the nodes of a file to those of a [`Network`].
//!
//! A value is either known when the model is loaded, or computed at run time by a node of the network. Values of the
//! latter kind keep the extents that ONNX gives them beside those of the network's map, which holds the same numbers in
//! the same order. So reshaping costs nothing until an operator wants the extents at certain axes.
//!
//! Axis 0 of the inputs is taken for the batch first: every value computed at run time then has the batch as its axis
//! 0, of extent 1. Where an operator does anything else with that axis, or depends on its extent, the graph is read anew
//! with axis 0 as an axis like all others, of the extent that the file declares or the given arrays have.

mod inputs;
mod needed;
mod network;
mod values;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::array::Array;
use super::node::Node;
use super::proto::TensorProto;
use super::supported_operators::{is_known, is_known_for_constants, qualified_name};
use super::value::{Run, Stop, Value, describe};
use super::{File, Imported, Port};
use crate::network::{Input, Node as NetworkNode, Shape};
use crate::{Result, Tensor};
use needed::needed;

/// One attempt at importing a file.
pub(super) struct Importer<'a> {
    file: &'a File,
    /// Whether axis 0 is the batch.
    pub batched: bool,
    /// The extent that the file gives to the batch; none if it leaves it free.
    pub declared_batch: Option<usize>,
    /// Whether arrays were given that have some extent there.
    pub given_batch: bool,
    values: HashMap<String, Value>,
    /// Values that are the same for every element of the batch, as nodes of the network.
    repeated: HashMap<String, Run>,
    /// The node that gives a value.
    producers: HashMap<String, Node>,
    nodes: Vec<(NetworkNode, Vec<(String, Tensor)>)>,
    index: HashMap<String, usize>,
    names: HashSet<String>,
    reshaped: HashMap<(String, Shape), String>,
    inputs: Vec<(Input, Port)>,
    computed: usize,
    problems: Vec<String>,
}

impl File {
    /// Turns the graph into a network.
    ///
    /// Axis 0 of the inputs is the batch, whatever extent the file gives it, unless an operator mixes values along it or
    /// treats batches differently, such as `Reshape` to `[1, -1]`.
    /// Extents that are free otherwise are those of the arrays in `given`, and so are values of inputs that must be
    /// known to describe the network, such as kernels or shapes; both go by the names of the inputs.
    ///
    /// Functions are written out; arithmetic on constants is done; kernels that are the product of W and D become
    /// DO-Conv layers.
    ///
    /// # Errors
    /// [`Error::Onnx`](crate::Error::Onnx) naming everything that is not supported, or what must be given.
    pub fn import(&self, given: &BTreeMap<String, Array>) -> Result<Imported> {
        import(self, given)
    }
}

fn import(file: &File, given: &BTreeMap<String, Array>) -> Result<Imported> {
    let fail = |reason: String| super::file::error(&file.name, &reason);
    let needed = needed(file).map_err(fail)?;
    let unknown: Vec<String> = needed
        .iter()
        .filter(|node| !is_known(node) && !is_known_for_constants(node.op()))
        .map(|node| format!("{} ({})", describe(node), qualified_name(node)))
        .collect();
    if !unknown.is_empty() {
        return Err(fail(format!("these operators are not supported: {}", unknown.join("; "))));
    }
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut batched = true;
    // Why the first axis is no batch.
    let mut mixes = String::new();
    loop {
        let mut importer = Importer::new(file, batched);
        match importer.graph(&needed, given, &known) {
            Ok(imported) => return Ok(imported),
            Err(Stop::Batch(reason)) if batched => (batched, mixes) = (false, reason),
            Err(Stop::Free { input, axis, symbol }) => {
                let symbol = if symbol.is_empty() { symbol } else { format!(" (`{symbol}`)") };
                let reason = if axis == 0 { &mixes } else { "only a batch as the first axis can be" };
                return Err(fail(format!(
                    "axis {axis}{symbol} of its input `{input}` is free, but {reason}; give its array (`doconv run`), or \
                     fix the axis in the file (onnx.tools.update_model_dims)"
                )));
            }
            Err(Stop::Known(inputs)) => {
                let missing: Vec<&str> =
                    inputs.iter().filter(|name| !given.contains_key(*name)).map(String::as_str).collect();
                if !missing.is_empty() || inputs.is_subset(&known) {
                    let names = if missing.is_empty() { inputs.iter().map(String::as_str).collect() } else { missing };
                    return Err(fail(format!(
                        "its input `{}` must be known when the model is loaded; give its array by name in a \
                         .safetensors file, or make it an initializer",
                        names.join("`, `")
                    )));
                }
                known.extend(inputs);
                batched = true;
            }
            Err(Stop::Batch(reason) | Stop::Never(reason)) => return Err(fail(reason)),
        }
    }
}

impl<'a> Importer<'a> {
    fn new(file: &'a File, batched: bool) -> Self {
        Self {
            file,
            batched,
            declared_batch: None,
            given_batch: false,
            values: HashMap::new(),
            repeated: HashMap::new(),
            producers: HashMap::new(),
            nodes: vec![],
            index: HashMap::new(),
            names: HashSet::new(),
            reshaped: HashMap::new(),
            inputs: vec![],
            computed: 0,
            problems: vec![],
        }
    }

    fn graph(
        &mut self,
        needed: &[Node],
        given: &BTreeMap<String, Array>,
        known: &BTreeSet<String>,
    ) -> Result<Imported, Stop> {
        let used: HashSet<&str> = needed
            .iter()
            .flat_map(|node| node.proto.input.iter().map(String::as_str))
            .chain(self.file.graph.output.iter().map(|output| output.name()))
            .collect();
        let inner = needed.iter().any(|node| node.proto.attribute.iter().any(|attribute| attribute.g.is_some()));
        for tensor in &self.file.graph.initializer {
            if used.contains(tensor.name()) || inner {
                let array = Array::of(tensor)?;
                self.values.insert(tensor.name().into(), Value::Known(Arc::new(array)));
            }
        }
        if let Some(sparse) = self.file.graph.sparse_initializer.first() {
            let name = sparse.values.as_ref().map_or("", TensorProto::name);
            return Err(format!("tensor `{name}` is sparse, which is not supported").into());
        }
        self.add_inputs(given, known)?;
        for node in needed {
            self.node(node)?;
        }
        let outputs = self.outputs();
        if !self.problems.is_empty() {
            return Err(Stop::Never(self.problems.join("; ")));
        }
        self.finish(outputs?)
    }
}

/// Whether extents and their product are far from overflowing, also where some are 0.
fn sane(dims: &[usize]) -> bool {
    let count = dims.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent.max(1)));
    count.is_some_and(|count| count <= 1 << 30)
}
