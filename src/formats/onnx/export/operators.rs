//! Node by node: which operators make its value, and with how many axes.

use super::elementwise::PRELU;
use super::graph::{int, ints};
use super::{Exporter, Value};
use crate::network::{Node, Op, Shape, Source};
use crate::{Error, Result};

impl Exporter<'_> {
    /// Adds what computes a node's value. Constants wait until they are needed.
    pub(super) fn node(&mut self, index: usize) -> Result<()> {
        let model = self.model;
        let node = &model.network().nodes[index];
        if self.constant_of(Source::Node(index)).is_some() {
            return Ok(());
        }
        let name = if node.name.is_empty() { self.graph.fresh("") } else { node.name.clone() };
        let shape = self.inferred.nodes[index];
        let edges = self.inferred.edges[index].clone();
        let wanted = Value { vector: self.is_vector(index), shape, name };
        // What reads and writes any number of axes gives as many as it gets; all others but two give maps.
        let vector = match &node.op {
            Op::Flatten | Op::Linear(_) => true,
            Op::Activation(_) | Op::BatchNorm(_) | Op::Softmax | Op::LogSoftmax | Op::Concat => {
                self.are_vectors(&edges)
            }
            op => binary_operator(op).is_some_and(|operator| {
                self.are_vectors(&edges) && is_pixel(shape) && !self.repeats_items(operator, &edges)
            }),
        };
        let mut made = Value { vector, shape, name: wanted.name.clone() };
        if vector != wanted.vector {
            made.name = self.graph.fresh(&format!("{}.made", wanted.name));
        }
        self.operator(node, &edges, &made)?;
        if vector && !wanted.vector {
            self.unsqueeze(&made.name, &wanted.name);
        } else if wanted.vector && !vector {
            self.graph.node("Flatten", &[&made.name], &wanted.name, vec![]);
        }
        self.nodes[index] = Some(wanted);
        Ok(())
    }

    fn operator(&mut self, node: &Node, edges: &[Source], to: &Value) -> Result<()> {
        if let Some(operator) = binary_operator(&node.op) {
            return self.binary(operator, edges, to);
        }
        if node.op == Op::Concat {
            return self.concat(edges, to);
        }
        let source = *edges.first().ok_or_else(|| Error::node(&node.name, "has no input"))?;
        let from = self.read(source)?;
        match &node.op {
            Op::Activation(activation) => self.activation(*activation, &from, to),
            Op::BatchNorm(norm) => self.batch_norm(node, norm, &from, to)?,
            Op::Softmax => self.over_channels("Softmax", &from, to),
            Op::LogSoftmax => self.over_channels("LogSoftmax", &from, to),
            Op::Flatten => self.flatten(&from, to),
            Op::Linear(linear) => self.linear(node, linear, &from, to)?,
            other => {
                let from = self.as_map(&from);
                match other {
                    Op::Conv2d(conv) => self.conv2d(node, conv, &from, to)?,
                    Op::ConvTranspose2d(conv) => self.conv_transpose2d(node, conv, &from, to)?,
                    Op::MaxPool(pool) => self.max_pool(pool, &from, to),
                    Op::AvgPool(pool) => self.avg_pool(pool, &from, to),
                    Op::GlobalAvgPool => self.graph.node("GlobalAveragePool", &[&from.name], &to.name, vec![]),
                    Op::GlobalMaxPool => self.graph.node("GlobalMaxPool", &[&from.name], &to.name, vec![]),
                    Op::Reshape(_) => self.merge(&from.name, to),
                    Op::Transpose(axes) => self.transpose(*axes, &from, to),
                    Op::Slice(slice) => self.slice(slice, &from, to),
                    Op::Pad(pad) => self.pad(pad, &from, to),
                    Op::Resize(resize) => self.resize(node, resize, &from, to)?,
                    Op::Lrn(lrn) => self.lrn(lrn, &from, to),
                    _ => {
                        let what = other.name();
                        return Err(Error::node(&node.name, format!("writing {what} to ONNX is not supported")));
                    }
                }
            }
        }
        Ok(())
    }

    /// The node of the constant that a value is, if it is one.
    pub(super) fn constant_of(&self, source: Source) -> Option<usize> {
        match source {
            Source::Node(index) if matches!(self.model.network().nodes[index].op, Op::Constant(_)) => Some(index),
            _ => None,
        }
    }

    /// Whether a node's value is an array of two axes.
    fn is_vector(&self, index: usize) -> bool {
        let name = self.model.network().nodes[index].name.as_str();
        self.vectors.contains(name) && is_pixel(self.inferred.nodes[index])
    }

    /// Whether all values are arrays of two axes; a constant is whatever the others are.
    fn are_vectors(&self, sources: &[Source]) -> bool {
        sources.iter().all(|&source| match source {
            Source::Input(_) => false,
            Source::Node(index) => self.is_vector(index),
        })
    }

    /// A value, whole: a constant is repeated for every element of the batch.
    pub(super) fn read(&mut self, source: Source) -> Result<Value> {
        let index = match source {
            Source::Input(index) => return Ok(self.inputs[index].clone()),
            Source::Node(index) => index,
        };
        if let Some(value) = &self.nodes[index] {
            return Ok(value.clone());
        }
        let name = self.model.network().nodes[index].name.clone();
        let shape = self.inferred.nodes[index];
        let vector = self.is_vector(index);
        let to = Value { name: if name.is_empty() { self.graph.fresh("") } else { name }, shape, vector };
        let parameter = self.parameter_of_constant(index, vector)?;
        if self.fixed {
            self.graph.node("Identity", &[&parameter], &to.name, vec![]);
        } else {
            let [items, c, h, w] = shape.map(|extent| extent as i64);
            let batch = self.inputs[0].name.clone();
            let (start, end) = (int("start", 0), int("end", 1));
            let batch = self.graph.step("Shape", &[&batch], &to.name, vec![start, end]);
            let rest: &[i64] = match (vector, items) {
                (true, _) => &[c],
                (false, 1) => &[c, h, w],
                _ => &[items, c, h, w],
            };
            let rest = self.graph.integers(&format!("{}.shape", to.name), rest);
            let whole = self.graph.step("Concat", &[&batch, &rest], &to.name, vec![int("axis", 0)]);
            if items == 1 {
                self.graph.node("Expand", &[&parameter, &whole], &to.name, vec![]);
            } else {
                let repeated = self.graph.step("Expand", &[&parameter, &whole], &to.name, vec![]);
                self.merge(&repeated, &to);
            }
        }
        self.nodes[index] = Some(to.clone());
        Ok(to)
    }

    /// The parameter of a constant, `[items, C, H, W]` or as a vector `[items, C]`.
    pub(super) fn parameter_of_constant(&mut self, index: usize, vector: bool) -> Result<String> {
        if let Some(name) = self.constants.get(&(index, vector)) {
            return Ok(name.clone());
        }
        let model = self.model;
        let shape = self.inferred.nodes[index];
        let name = format!("{}.value", model.network().nodes[index].name);
        let tensor = model.tensor(&name, &shape)?;
        let name = self.graph.parameter(&name, if vector { &shape[..2] } else { &shape }, tensor)?;
        self.constants.insert((index, vector), name.clone());
        Ok(name)
    }

    /// A parameter of a node under its own name.
    pub(super) fn parameter(&mut self, node: &Node, part: &str, shape: &[usize]) -> Result<String> {
        let model = self.model;
        let name = format!("{}.{part}", node.name);
        let tensor = model.tensor(&name, shape)?;
        self.graph.parameter(&name, shape, tensor)
    }

    /// The value with four axes.
    pub(super) fn as_map(&mut self, value: &Value) -> Value {
        if !value.vector {
            return value.clone();
        }
        let name = self.graph.fresh(&format!("{}.map", value.name));
        self.unsqueeze(&value.name, &name);
        Value { name, vector: false, shape: value.shape }
    }

    fn unsqueeze(&mut self, from: &str, to: &str) {
        let axes = self.graph.integers(&format!("{to}.axes"), &[2, 3]);
        self.graph.node("Unsqueeze", &[from, &axes], to, vec![]);
    }

    /// The array with the items of an element of the batch as an axis of its own: `[N, items, C, H, W]`.
    pub(super) fn split(&mut self, value: &Value) -> String {
        let [items, c, h, w] = value.shape.map(|extent| extent as i64);
        let shape = self.graph.integers(&format!("{}.split", value.name), &[-1, items, c, h, w]);
        self.graph.step("Reshape", &[&value.name, &shape], &value.name, vec![])
    }

    /// The same values in the same order as maps of the shape that `to` has.
    pub(super) fn merge(&mut self, from: &str, to: &Value) {
        let [_, c, h, w] = to.shape.map(|extent| extent as i64);
        let shape = self.graph.integers(&format!("{}.shape", to.name), &[-1, c, h, w]);
        self.graph.node("Reshape", &[from, &shape], &to.name, vec![]);
    }

    fn flatten(&mut self, from: &Value, to: &Value) {
        self.graph.node("Flatten", &[&from.name], &to.name, vec![int("axis", 1)]);
    }
}

/// The operator of ONNX for one that repeats its inputs.
fn binary_operator(op: &Op) -> Option<&'static str> {
    match op {
        Op::Add => Some("Add"),
        Op::Sub => Some("Sub"),
        Op::Mul => Some("Mul"),
        Op::Div => Some("Div"),
        Op::Prelu => Some(PRELU),
        _ => None,
    }
}

/// Whether maps have one pixel.
pub(super) fn is_pixel([_, _, h, w]: Shape) -> bool {
    [h, w] == [1, 1]
}

/// Sizes of both axes before, then behind: the order of ONNX's `pads`, which is that of the description.
pub(super) fn pads(padding: [usize; 4]) -> super::super::proto::AttributeProto {
    ints("pads", &padding)
}
