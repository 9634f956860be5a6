//! The shapes of all values of a network, and every check that a description can fail before any weight is looked at.

use std::collections::HashMap;

use super::shapes::checked_map;
use super::{FORMAT_VERSION, Network, Node, Shape};
use crate::{Error, Result};

/// A network's values, checked and with their shapes.
#[derive(Clone, Debug)]
pub struct Inferred {
    /// Shape of every input, in the network's order.
    pub inputs: Vec<Shape>,
    /// Shape of every node's value, in the network's order.
    pub nodes: Vec<Shape>,
    /// For every node, where each of its inputs comes from.
    pub edges: Vec<Vec<Source>>,
    /// Where every output comes from.
    pub outputs: Vec<Source>,
}

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The network input of this index.
    Input(usize),
    /// The node of this index.
    Node(usize),
}

impl Inferred {
    /// The shape of a value.
    pub fn shape(&self, source: Source) -> Shape {
        match source {
            Source::Input(index) => self.inputs[index],
            Source::Node(index) => self.nodes[index],
        }
    }
}

impl Network {
    /// Checks the whole description and computes the shape of every value for a batch.
    ///
    /// ```
    /// let network = doconv::network::zoo::build("efficientnet_lite0")?;
    /// let inferred = network.infer(2)?;
    /// assert_eq!(inferred.shape(inferred.outputs[0]), [2, 1000, 1, 1]);
    /// # Ok::<(), doconv::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Network`], naming the node: unknown version, duplicate, dangling or cyclic names, attributes that
    /// contradict each other or the shapes they meet.
    pub fn infer(&self, batch: usize) -> Result<Inferred> {
        self.check_header()?;
        let mut known: HashMap<&str, Source> = HashMap::new();
        let mut inferred = Inferred { inputs: vec![], nodes: vec![], edges: vec![], outputs: vec![] };

        for (index, input) in self.inputs.iter().enumerate() {
            let [c, h, w] = input.shape;
            let items = batch.saturating_mul(input.items);
            let shape = checked_map(&input.name, [items, c, h, w])?;
            if known.insert(&input.name, Source::Input(index)).is_some() {
                return Err(Error::node(&input.name, "two inputs have this name"));
            }
            inferred.inputs.push(shape);
        }
        for (index, node) in self.nodes.iter().enumerate() {
            let edges = node.inputs.iter().map(|name| self.resolve(&known, node, name)).collect::<Result<Vec<_>>>()?;
            let shapes: Vec<Shape> = edges.iter().map(|&source| inferred.shape(source)).collect();
            let shape = checked_map(&node.name, node.output_shape(&shapes, batch)?)?;
            if known.insert(&node.name, Source::Node(index)).is_some() {
                return Err(Error::node(&node.name, "this name is used twice"));
            }
            inferred.nodes.push(shape);
            inferred.edges.push(edges);
        }
        if self.outputs.is_empty() {
            return Err(Error::node(&self.name, "the network has no outputs"));
        }
        for name in &self.outputs {
            let source =
                known.get(name.as_str()).ok_or_else(|| Error::node(name, "an output names no node or input"))?;
            inferred.outputs.push(*source);
        }
        self.check_classifier(&inferred)?;
        Ok(inferred)
    }

    fn check_header(&self) -> Result<()> {
        if self.version != FORMAT_VERSION {
            return Err(Error::node(
                &self.name,
                format!("description version {} is not known, this build reads version {FORMAT_VERSION}", self.version),
            ));
        }
        if self.inputs.is_empty() {
            return Err(Error::node(&self.name, "the network has no inputs"));
        }
        Ok(())
    }

    /// Finds a name among the values computed so far; says whether it comes too late or does not exist at all.
    fn resolve(&self, known: &HashMap<&str, Source>, node: &Node, name: &str) -> Result<Source> {
        known.get(name).copied().ok_or_else(|| {
            let later = self.nodes.iter().any(|other| other.name == name);
            let reason = if later {
                format!("reads `{name}`, which is not computed before it (a cycle, or nodes out of order)")
            } else {
                format!("reads `{name}`, but no input or node has that name")
            };
            Error::node(&node.name, reason)
        })
    }

    fn check_classifier(&self, inferred: &Inferred) -> Result<()> {
        let [_, classes, height, width] = inferred.shape(inferred.outputs[0]);
        let names = self.labels.len();
        if names != 0 && names != classes * height * width {
            return Err(Error::node(
                &self.outputs[0],
                format!("there are {names} labels for {} values", classes * height * width),
            ));
        }
        let Some(preprocess) = &self.preprocess else { return Ok(()) };
        let input = &self.inputs[0];
        if !matches!(input.shape[0], 1 | 3) || input.items != 1 {
            return Err(Error::node(
                &input.name,
                format!("preprocessing makes 1×1 or 1×3 channels, the input has {}×{}", input.items, input.shape[0]),
            ));
        }
        if !(preprocess.crop_fraction > 0.0 && preprocess.crop_fraction <= 1.0) {
            return Err(Error::node(
                &input.name,
                format!("crop_fraction {} is not in (0, 1]", preprocess.crop_fraction),
            ));
        }
        let usable = |std: &f32| std.is_finite() && *std != 0.0;
        if !preprocess.std.iter().all(usable) || !preprocess.mean.iter().all(|mean| mean.is_finite()) {
            return Err(Error::node(
                &input.name,
                format!("preprocessing with mean {:?} and std {:?} is not finite", preprocess.mean, preprocess.std),
            ));
        }
        Ok(())
    }
}
