//! The nodes of a file one after the other: which of their values are known when the network is loaded, and which a node of the
//! network computes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::array::Array;
use super::super::node::Node;
use super::super::supported_operators::{is_known, is_known_for_constants, qualified_name, reads_extents};
use super::super::value::{Run, Stop, Value, Varying, describe};
use super::super::{batch, constant};
use super::{Importer, sane};

/// All constants computed from others may have so many elements together.
const MAX_COMPUTED: usize = 1 << 27;

impl Importer<'_> {
    /// Imports a node; problems are collected so that all of them can be named.
    pub(super) fn node(&mut self, node: &Node) -> Result<(), Stop> {
        for name in node.proto.output.iter().filter(|name| !name.is_empty()) {
            self.producers.insert(name.clone(), node.clone());
        }
        let results = match self.results(node) {
            Ok(values) => values,
            Err(Stop::Never(reason)) => {
                if !reason.is_empty() {
                    self.problems.push(format!("{} ({}): {reason}", describe(node), qualified_name(node)));
                }
                vec![]
            }
            Err(stop) => return Err(stop),
        };
        let mut results = results.into_iter();
        for name in &node.proto.output {
            let value = results.next().unwrap_or(Value::Failed);
            if !name.is_empty() {
                self.set(name, value);
            }
        }
        Ok(())
    }

    /// Names a value. The branches of several nodes may use the same names.
    fn set(&mut self, name: &str, value: Value) {
        self.repeated.remove(name);
        self.values.insert(name.into(), value);
    }

    fn results(&mut self, node: &Node) -> Result<Vec<Value>, Stop> {
        let inputs: Vec<Option<Value>> =
            (0..node.proto.input.len()).map(|index| self.values.get(node.input(index)?).cloned()).collect();
        if inputs.iter().flatten().any(|value| matches!(value, Value::Failed)) {
            return Err(Stop::Never(String::new()));
        }
        if let Some(Value::Missing(name)) = inputs.iter().flatten().find(|value| matches!(value, Value::Missing(_))) {
            return Err(Stop::Known(BTreeSet::from([name.clone()])));
        }
        if node.op() == "If" {
            return self.branch(node);
        }
        let known: Vec<Option<Arc<Array>>> = inputs
            .iter()
            .map(|value| match value {
                Some(Value::Known(array)) => Some(array.clone()),
                _ => None,
            })
            .collect();
        let no_run = !inputs.iter().flatten().any(|value| matches!(value, Value::Run(_)));
        let all_known = inputs.iter().zip(&known).all(|(value, known)| value.is_none() || known.is_some());
        if all_known && let Some(results) = constant::evaluate(node, &known) {
            return results?.into_iter().map(|array| self.computed(array)).collect();
        }
        if no_run
            && !all_known
            && let Some(results) = batch::evaluate(node, &inputs)
        {
            let results =
                results.map_err(|reason| Stop::Batch(format!("{} ({}) {reason}", describe(node), node.op())))?;
            for value in &results {
                if let Value::Varying(varying) = value {
                    self.count(varying.arrays()).map_err(Stop::Batch)?;
                }
            }
            return Ok(results);
        }
        if no_run && self.batched {
            return Err(Stop::Batch(format!("{} does not depend on the inputs", describe(node))));
        }
        for (index, input) in inputs.iter().enumerate() {
            if let Some(Value::Varying(varying)) = input {
                self.repeat(node, index, varying)?;
            }
        }
        self.operator(node)
    }

    fn computed(&mut self, array: Array) -> Result<Value, Stop> {
        let array = Arc::new(array);
        self.count(std::slice::from_ref(&array))?;
        Ok(Value::Known(array))
    }

    /// Counts the elements of computed constants.
    fn count(&mut self, arrays: &[Arc<Array>]) -> Result<(), String> {
        for array in arrays {
            if !sane(array.dims()) {
                return Err(format!("a constant of shape {:?} is too large", array.dims()));
            }
            self.computed += array.data().len();
        }
        if self.computed > MAX_COMPUTED { Err("its constants take too much memory".into()) } else { Ok(()) }
    }

    /// Makes an input that is the same for every element of the batch a node of the network. Extents are left as they
    /// are for the operators that read them.
    fn repeat(&mut self, node: &Node, index: usize, varying: &Varying) -> Result<(), Stop> {
        let name = node.input(index).unwrap_or_default();
        if self.repeated.contains_key(name) || reads_extents(node, index) {
            return Ok(());
        }
        let Some(element) = varying.element().filter(|element| element.is_float()) else {
            return Err(self.depends(node, index));
        };
        let run = self.constant_map(node, element, self.canonical(element.dims()))?;
        self.repeated.insert(name.into(), Run { dims: element.dims().to_vec(), ..run });
        Ok(())
    }

    /// An `If` whose condition is known is the branch that it takes.
    fn branch(&mut self, node: &Node) -> Result<Vec<Value>, Stop> {
        let condition = self.known(node, 0)?.ok_or("it has no condition")?;
        let taken = condition.to_bool().first().copied().unwrap_or(false);
        let graph = node.graph(if taken { "then_branch" } else { "else_branch" }).ok_or("it lacks a branch")?.clone();
        for tensor in &graph.initializer {
            self.set(tensor.name(), Value::Known(Arc::new(Array::of(tensor)?)));
        }
        for inner in &graph.node {
            let inner = Node { proto: Arc::new(inner.clone()), opset: node.opset };
            if !is_known(&inner) && !is_known_for_constants(inner.op()) {
                self.problems.push(format!("{} ({}) is not supported", describe(&inner), qualified_name(&inner)));
            }
            if let Some(name) =
                inner.proto.input.iter().find(|name| !name.is_empty() && !self.values.contains_key(*name))
            {
                return Err(format!("{} in its branch reads `{name}`, which is not there", describe(&inner)).into());
            }
            self.node(&inner)?;
        }
        let value = |name: &str| self.values.get(name).cloned().ok_or("a branch does not give its output");
        graph.output.iter().map(|output| Ok(value(output.name())?)).collect()
    }

    /// The value of a node's input, where there is one.
    pub fn value(&self, node: &Node, index: usize) -> Option<Value> {
        let name = node.input(index)?;
        self.repeated.get(name).cloned().map(Value::Run).or_else(|| self.values.get(name).cloned())
    }

    /// An input that is known but for the batch.
    pub fn varying(&self, node: &Node, index: usize) -> Option<&Varying> {
        match self.values.get(node.input(index)?)? {
            Value::Varying(varying) => Some(varying),
            _ => None,
        }
    }

    /// The known value that a name stands for.
    pub fn known_value(&self, name: &str) -> Option<Arc<Array>> {
        match self.values.get(name)? {
            Value::Known(array) => Some(array.clone()),
            _ => None,
        }
    }

    /// The node that gives a value.
    pub fn producer(&self, name: &str) -> Option<&Node> {
        self.producers.get(name)
    }

    /// An input that must be known.
    pub fn known(&self, node: &Node, index: usize) -> Result<Option<Arc<Array>>, Stop> {
        match self.value(node, index) {
            None => Ok(None),
            Some(Value::Known(array)) => Ok(Some(array)),
            Some(Value::Varying(_)) => Err(self.depends(node, index)),
            Some(Value::Run(run)) if run.origins.is_empty() && self.batched => Err(self.depends(node, index)),
            Some(Value::Run(run)) if run.origins.is_empty() => {
                Err(format!("its input {index} is computed by operators that are not supported for constants").into())
            }
            Some(Value::Run(run)) => Err(Stop::Known((*run.origins).clone())),
            Some(Value::Missing(name)) => Err(Stop::Known(BTreeSet::from([name]))),
            Some(Value::Failed) => Err(Stop::Never(String::new())),
        }
    }

    /// An input as a value of the network; a constant becomes a node.
    pub fn run(&mut self, node: &Node, index: usize) -> Result<Run, Stop> {
        match self.value(node, index) {
            Some(Value::Run(run)) => Ok(run),
            Some(Value::Known(array)) => self.constant(node, &array),
            Some(Value::Varying(_)) => Err(self.depends(node, index)),
            Some(Value::Failed) => Err(Stop::Never(String::new())),
            Some(Value::Missing(name)) => Err(Stop::Known(BTreeSet::from([name]))),
            None => Err(format!("its input {index} is missing").into()),
        }
    }

    /// The error of an operator that does more with axis 0 than a batch allows.
    pub fn mixes(&self, node: &Node) -> Stop {
        Stop::Batch(format!("{} ({}) does not leave the first axis alone", describe(node), node.op()))
    }
}
