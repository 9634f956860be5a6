//! The network in the making: its nodes, constants and outputs, their names, and where values lie in its four axes.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use super::super::array::{Array, Data};
use super::super::node::Node;
use super::super::value::{Run, Stop, Value};
use super::super::{Imported, Port, metadata};
use super::{Importer, sane};
use crate::network::{FORMAT_VERSION, Network, Node as NetworkNode, Op, Shape};
use crate::tensor::element_count;
use crate::{Model, Tensor, Weights};

impl Importer<'_> {
    /// A constant as a node of the network; where there is a batch, it must be one of a single element.
    pub fn constant(&mut self, node: &Node, array: &Array) -> Result<Run, Stop> {
        if self.batched && (self.declared_batch != Some(1) || array.dims().first().is_some_and(|&extent| extent != 1)) {
            return Err(self.mixes(node));
        }
        let shape = self.canonical(array.dims());
        let run = self.constant_map(node, array, shape)?;
        Ok(Run { dims: array.dims().to_vec(), ..run })
    }

    /// A constant as a map of a certain shape.
    pub fn constant_map(&mut self, node: &Node, array: &Array, shape: Shape) -> Result<Run, Stop> {
        if !array.is_float() {
            return Err("it mixes integers with values computed at run time".into());
        }
        if shape.contains(&0) {
            return Err("a constant is empty".into());
        }
        let tensor = Tensor::new(shape, array.to_f32())?;
        let name = format!("{}.constant", self.name(node));
        self.emit(&name, Op::Constant(shape), &[], vec![("value", tensor)])
    }

    /// Where values of these extents lie in the network's four axes.
    pub fn canonical(&self, dims: &[usize]) -> Shape {
        match *dims {
            [] => [1; 4],
            [n] if self.batched => [n, 1, 1, 1],
            [c] => [1, c, 1, 1],
            [n, c] => [n, c, 1, 1],
            [n, c, w] => [n, c, 1, w],
            [n, c, h, ref rest @ ..] => [n, c, h, rest.iter().product()],
        }
    }

    /// The network's axis that holds an axis of a value of up to four.
    pub fn map_axis(&self, rank: usize, axis: usize) -> usize {
        match rank {
            1 => usize::from(!self.batched),
            3 if axis == 2 => 3,
            _ => axis,
        }
    }

    /// The same values as a map of a certain shape.
    pub fn place(&mut self, run: &Run, shape: Shape) -> Result<Run, Stop> {
        if run.shape == shape {
            return Ok(run.clone());
        }
        if element_count(&shape) != element_count(&run.shape) {
            return Err(format!("{:?} cannot be arranged as {shape:?}", run.dims).into());
        }
        let key = (run.node.clone(), shape);
        let node = match self.reshaped.get(&key) {
            Some(node) => node.clone(),
            None => {
                let [items, c, h, w] = run.shape;
                let op = if shape == [items, c * h * w, 1, 1] { Op::Flatten } else { Op::Reshape(shape) };
                let placed = self.emit(&format!("{}.reshaped", run.node), op, &[run], vec![])?;
                self.reshaped.insert(key, placed.node.clone());
                placed.node
            }
        };
        Ok(Run { node, shape, ..run.clone() })
    }

    /// The same values where their axes usually lie.
    pub fn placed(&mut self, run: &Run) -> Result<Run, Stop> {
        let shape = self.canonical(&run.dims);
        self.place(run, shape)
    }

    /// A name for what a node of the file becomes.
    pub fn name(&self, node: &Node) -> String {
        let name = Some(node.proto.name()).filter(|name| !name.is_empty()).or(node.output(0));
        name.unwrap_or(node.op()).to_string()
    }

    /// A name for a layer: that of its weight without `.weight` where this is how PyTorch names parameters.
    pub fn layer_name(&self, node: &Node, index: usize) -> String {
        let from_weight = node.input(index).and_then(|name| self.parameter(name));
        from_weight.unwrap_or_else(|| self.name(node))
    }

    /// The layer that a weight belongs to by its name, also through nodes that only rearrange it.
    fn parameter(&self, name: &str) -> Option<String> {
        let root = self.root(name);
        let layer = [".weight", ".W"].iter().find_map(|part| root.strip_suffix(part))?;
        Some(layer.strip_prefix("module.").unwrap_or(layer).to_string()).filter(|layer| !layer.is_empty())
    }

    /// The initializer that a value is a rearrangement of, or the value itself.
    pub fn root(&self, name: &str) -> String {
        let mut name = name.to_string();
        while let Some(node) = self.producers.get(&name) {
            let moves = ["Identity", "Reshape", "Transpose", "Cast", "CastLike", "Squeeze", "Unsqueeze", "Flatten"];
            let Some(input) = node.input(0).filter(|_| moves.contains(&node.op())) else { break };
            name = input.to_string();
        }
        name
    }

    pub(super) fn unique(&mut self, name: &str) -> String {
        let mut unique = name.to_string();
        let mut count = 1;
        while !self.names.insert(unique.clone()) {
            unique = format!("{name}_{count}");
            count += 1;
        }
        unique
    }

    /// The operation that computes a value, if it is not an input.
    pub fn op(&self, run: &Run) -> Option<&Op> {
        self.index.get(&run.node).map(|&index| &self.nodes[index].0.op)
    }

    /// The value that the node of a value reads first.
    pub fn source_op(&self, run: &Run) -> Option<&Op> {
        let node = &self.nodes[*self.index.get(&run.node)?].0;
        self.index.get(node.inputs.first()?).map(|&index| &self.nodes[index].0.op)
    }

    /// Adds a node to the network; the result's extents are those of its map.
    pub fn emit(&mut self, name: &str, op: Op, inputs: &[&Run], weights: Vec<(&str, Tensor)>) -> Result<Run, Stop> {
        let shapes: Vec<Shape> = inputs.iter().map(|run| run.shape).collect();
        let sources = inputs.iter().map(|run| run.node.clone()).collect();
        let mut node = NetworkNode { name: String::new(), inputs: sources, op };
        let shape = node.output_shape(&shapes, 1)?;
        if !sane(&shape) || shape.contains(&0) {
            return Err(format!("a result of shape {shape:?} is empty or too large").into());
        }
        node.name = self.unique(name);
        let origins = inputs.iter().flat_map(|run| run.origins.iter().cloned()).collect();
        let run = Run { node: node.name.clone(), shape, dims: shape.to_vec(), origins: Arc::new(origins) };
        let weights = weights.into_iter().map(|(part, tensor)| (format!("{}.{part}", node.name), tensor)).collect();
        self.index.insert(node.name.clone(), self.nodes.len());
        self.nodes.push((node, weights));
        Ok(run)
    }

    /// The graph's outputs, each where its axes usually lie.
    pub(super) fn outputs(&mut self) -> Result<Vec<(String, Port)>, Stop> {
        let names: Vec<String> = self.file.graph.output.iter().map(|output| output.name().to_string()).collect();
        let mut outputs = vec![];
        for name in names {
            let run = match self.values.get(&name).cloned() {
                Some(Value::Run(run)) => run,
                Some(Value::Known(_) | Value::Varying(_)) if self.batched => {
                    return Err(Stop::Batch(format!("its output `{name}` does not depend on the inputs")));
                }
                Some(Value::Varying(_)) => return Err(Stop::Never(String::new())),
                Some(Value::Known(array)) => match array.data() {
                    Data::F32(_) | Data::F64(_) => {
                        let shape = self.canonical(array.dims());
                        if shape.contains(&0) {
                            return Err(format!("its output `{name}` is empty, which is not supported").into());
                        }
                        let tensor = Tensor::new(shape, array.to_f32())?;
                        let run = self.emit(&name, Op::Constant(shape), &[], vec![("value", tensor)])?;
                        Run { dims: array.dims().to_vec(), ..run }
                    }
                    _ => return Err(format!("its output `{name}` is no array of floats").into()),
                },
                Some(Value::Missing(name)) => return Err(Stop::Known(BTreeSet::from([name]))),
                Some(Value::Failed) | None => {
                    if self.problems.is_empty() {
                        self.problems.push(format!(
                            "its output `{name}` depends on a result that is not supported, such as the indices of a \
                             MaxPool or the mask of a Dropout"
                        ));
                    }
                    continue;
                }
            };
            let placed = self.placed(&run)?;
            outputs.push((placed.node, Port { name, dims: run.dims, batched: self.batched }));
        }
        Ok(outputs)
    }

    /// Puts the network together, without what no output needs.
    pub(super) fn finish(&mut self, outputs: Vec<(String, Port)>) -> Result<Imported, Stop> {
        let mut wanted: HashSet<String> = outputs.iter().map(|(node, _)| node.clone()).collect();
        let (mut nodes, mut weights) = (vec![], Weights::new());
        for (node, parameters) in std::mem::take(&mut self.nodes).into_iter().rev() {
            if wanted.contains(&node.name) {
                wanted.extend(node.inputs.iter().cloned());
                nodes.push(node);
                weights.extend(parameters);
            }
        }
        nodes.reverse();
        let (inputs, input_ports): (Vec<_>, Vec<_>) = std::mem::take(&mut self.inputs).into_iter().unzip();
        let (outputs, output_ports): (Vec<_>, Vec<_>) = outputs.into_iter().unzip();
        let path = std::path::Path::new(&self.file.name);
        let name = path.file_stem().map_or(self.file.name.clone(), |stem| stem.to_string_lossy().into_owned());
        let preprocess = metadata::read(&self.file.metadata, metadata::PREPROCESS_KEY)?;
        let labels = metadata::read(&self.file.metadata, metadata::LABELS_KEY)?;
        let network = Network { version: FORMAT_VERSION, name, inputs, nodes, outputs, preprocess, labels };
        let model = Model::new(network, weights).map_err(|error| Stop::Never(error.to_string()))?;
        Ok(Imported { model, inputs: input_ports, outputs: output_ports })
    }
}
