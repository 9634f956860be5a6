//! Writing networks down, one node after the other.

use doconv::Network;
use doconv::network::{BatchNorm, FORMAT_VERSION, Input, Node, Op, Shape};

/// A network in the making. Values go by their names; shapes are known as soon as a node is there.
#[derive(Clone)]
pub struct Graph {
    network: Network,
    shapes: Vec<(String, Shape)>,
}

impl Graph {
    /// A network with one input, called `input`.
    pub fn new(input: [usize; 3]) -> Self {
        let network = Network {
            version: FORMAT_VERSION,
            name: "problem".into(),
            inputs: vec![],
            nodes: vec![],
            outputs: vec![],
            preprocess: None,
            labels: vec![],
        };
        let mut graph = Self { network, shapes: vec![] };
        graph.input("input", input);
        graph
    }

    /// A further input.
    pub fn input(&mut self, name: &str, shape: [usize; 3]) -> String {
        let [c, h, w] = shape;
        self.items(name, [1, c, h, w])
    }

    /// A further input of several maps per element of the batch.
    pub fn items(&mut self, name: &str, shape: Shape) -> String {
        let [items, c, h, w] = shape;
        self.network.inputs.push(Input { items, ..Input::new(name, [c, h, w]) });
        self.shapes.push((name.into(), shape));
        name.into()
    }

    /// A network whose one input, called `input`, has several maps per element of the batch.
    pub fn of_items(shape: Shape) -> Self {
        let mut graph = Self::new([1, 1, 1]);
        graph.network.inputs.clear();
        graph.shapes.clear();
        graph.items("input", shape);
        graph
    }

    /// Adds a node and gives its name, or `None` where the operator cannot take these inputs.
    pub fn try_add(&mut self, op: Op, inputs: &[&str]) -> Option<String> {
        let name = format!("{}{}", op.name(), self.network.nodes.len());
        let inputs = inputs.iter().map(|&input| input.to_string()).collect::<Vec<_>>();
        let shapes: Vec<Shape> = inputs.iter().map(|input| self.shape(input)).collect();
        let node = Node { name: name.clone(), inputs, op };
        let shape = node.output_shape(&shapes, 1).ok()?;
        self.network.nodes.push(node);
        self.shapes.push((name.clone(), shape));
        Some(name)
    }

    /// Adds a node that is known to fit.
    pub fn add(&mut self, op: Op, inputs: &[&str]) -> String {
        let description = format!("{op:?} on {inputs:?}");
        self.try_add(op, inputs).unwrap_or_else(|| panic!("{description} does not fit"))
    }

    /// Adds a batch norm for a value's channels.
    pub fn batch_norm(&mut self, input: &str) -> String {
        let channels = self.shape(input)[1];
        self.add(Op::BatchNorm(BatchNorm { channels, eps: 1e-3 }), &[input])
    }

    /// A value's shape for a batch of one.
    pub fn shape(&self, name: &str) -> Shape {
        self.shapes.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("no value {name}")).1
    }

    /// The names of all values so far, inputs first.
    pub fn names(&self) -> Vec<String> {
        self.shapes.iter().map(|(name, _)| name.clone()).collect()
    }

    /// The network with these outputs.
    pub fn finish(mut self, outputs: &[&str]) -> Network {
        self.network.outputs = outputs.iter().map(|&output| output.to_string()).collect();
        self.network
    }
}
