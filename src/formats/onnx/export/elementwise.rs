//! Operators without geometry.

use super::graph::{float, int};
use super::{Exporter, Value};
use crate::Result;
use crate::network::{Activation, BatchNorm, Lrn, Node, Source};

impl Exporter<'_> {
    pub(super) fn activation(&mut self, activation: Activation, from: &Value, to: &Value) {
        let (input, output) = (from.name.as_str(), to.name.as_str());
        let graph = &mut self.graph;
        match activation {
            Activation::Relu => graph.node("Relu", &[input], output, vec![]),
            Activation::Relu6 | Activation::Clip { .. } => {
                // Never crossed: runtimes differ in which bound wins then.
                let bounds = activation.bounds().unwrap_or([f32::NEG_INFINITY, f32::INFINITY]);
                self.clip(from, to, bounds.map(|bound| bound.is_finite().then_some(bound)));
            }
            Activation::LeakyRelu { slope } => graph.node("LeakyRelu", &[input], output, vec![float("alpha", slope)]),
            Activation::HardSwish => graph.node("HardSwish", &[input], output, vec![]),
            Activation::HardSigmoid => {
                graph.node("HardSigmoid", &[input], output, vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)]);
            }
            Activation::Ramp { slope, offset } => {
                graph.node("HardSigmoid", &[input], output, vec![float("alpha", slope), float("beta", offset)]);
            }
            Activation::Sigmoid => graph.node("Sigmoid", &[input], output, vec![]),
            Activation::Silu => {
                let gate = graph.step("Sigmoid", &[input], output, vec![]);
                graph.node("Mul", &[input, &gate], output, vec![]);
            }
            Activation::Tanh => graph.node("Tanh", &[input], output, vec![]),
        }
    }

    fn clip(&mut self, from: &Value, to: &Value, bounds: [Option<f32>; 2]) {
        let [min, max] = [("min", bounds[0]), ("max", bounds[1])].map(|(name, bound)| match bound {
            Some(bound) => self.graph.scalar(&format!("{}.{name}", to.name), bound),
            None => String::new(),
        });
        let inputs = [from.name.as_str(), &min, &max];
        // What is left out at the end is not mentioned.
        let count = inputs.iter().rposition(|input| !input.is_empty()).map_or(1, |last| last + 1);
        self.graph.node("Clip", &inputs[..count], &to.name, vec![]);
    }

    pub(super) fn batch_norm(&mut self, node: &Node, norm: &BatchNorm, from: &Value, to: &Value) -> Result<()> {
        let mut inputs = vec![from.name.clone()];
        for part in ["weight", "bias", "running_mean", "running_var"] {
            inputs.push(self.parameter(node, part, &[norm.channels])?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node("BatchNormalization", &inputs, &to.name, vec![float("epsilon", norm.eps as f32)]);
        Ok(())
    }

    pub(super) fn over_channels(&mut self, operator: &str, from: &Value, to: &Value) {
        self.graph.node(operator, &[&from.name], &to.name, vec![int("axis", 1)]);
    }

    pub(super) fn lrn(&mut self, lrn: &Lrn, from: &Value, to: &Value) {
        let attributes = vec![
            int("size", lrn.size as i64),
            float("alpha", lrn.alpha),
            float("beta", lrn.beta),
            float("bias", lrn.k),
        ];
        self.graph.node("LRN", &[&from.name], &to.name, attributes);
    }

    pub(super) fn concat(&mut self, edges: &[Source], to: &Value) -> Result<()> {
        let mut inputs = vec![];
        for &source in edges {
            let value = self.read(source)?;
            inputs.push(if to.vector { value.name } else { self.as_map(&value).name });
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.graph.node("Concat", &inputs, &to.name, vec![int("axis", 1)]);
        Ok(())
    }

    /// An operator of two inputs that repeats either one along axes where it has the extent 1, as ONNX does too.
    pub(super) fn binary(&mut self, operator: &str, edges: &[Source], to: &Value) -> Result<()> {
        let split = self.repeats_items(operator, edges);
        let constants = self.unrepeated(operator, edges);
        let mut operands = vec![];
        for (&source, constant) in edges.iter().zip(constants) {
            operands.push(match constant {
                Some(index) => self.parameter_of_constant(index, to.vector)?,
                None if to.vector => self.read(source)?.name,
                None => {
                    let value = self.read(source)?;
                    let map = self.as_map(&value);
                    if split { self.split(&map) } else { map.name }
                }
            });
        }
        if operator == PRELU && self.inferred.shape(edges[0]) != to.shape {
            let [items, c, h, w] = to.shape.map(|extent| extent as i64);
            let first = if self.fixed { items } else { 1 };
            let shape: &[i64] = match (to.vector, split) {
                (true, _) => &[first, c],
                (false, false) => &[first, c, h, w],
                (false, true) => &[1, items, c, h, w],
            };
            let whole = self.graph.integers(&format!("{}.shape", to.name), shape);
            operands[0] = self.graph.step("Expand", &[&operands[0], &whole], &to.name, vec![]);
        }
        let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
        if split {
            let made = self.graph.step(operator, &operands, &to.name, vec![]);
            self.merge(&made, to);
        } else {
            self.graph.node(operator, &operands, &to.name, vec![]);
        }
        Ok(())
    }

    /// Whether items are repeated within the elements of the batch, which then must be an axis of its own.
    pub(super) fn repeats_items(&self, operator: &str, edges: &[Source]) -> bool {
        let items = |source: &Source| self.inferred.shape(*source)[0];
        if self.fixed {
            return false;
        }
        match self.unrepeated(operator, edges).iter().position(Option::is_some) {
            Some(constant) => items(&edges[constant]) > 1,
            None => edges.iter().any(|source| items(source) != items(&edges[0])),
        }
    }

    /// For every operand, the constant that it is, where it need not be repeated for the whole batch.
    fn unrepeated(&self, operator: &str, edges: &[Source]) -> Vec<Option<usize>> {
        let mut constants: Vec<_> = edges.iter().map(|&source| self.constant_of(source)).collect();
        // `PRelu` repeats only its second operand; and one of them must have the batch.
        if operator == PRELU || constants.iter().all(Option::is_some) {
            constants[0] = None;
        }
        constants
    }
}

/// The one operator of two inputs that is not symmetric in how it repeats them.
pub(super) const PRELU: &str = "PRelu";
