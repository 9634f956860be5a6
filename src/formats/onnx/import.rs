//! From the nodes of a file to those of a [`Network`].
//!
//! A value is either known when the model is loaded, or computed at run time by a node of the network. Values of the
//! latter kind keep the extents that ONNX gives them beside those of the network's map, which holds the same numbers in
//! the same order. So reshaping costs nothing until an operator wants the extents at certain axes.
//!
//! Axis 0 of the inputs is taken for the batch first: every value computed at run time then has the batch as its axis
//! 0, of extent 1. Where an operator does anything else with that axis, or depends on its extent, the graph is read anew
//! with axis 0 as an axis like all others, of the extent that the file declares or the given arrays have.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::array::{Array, Data};
use super::batch;
use super::metadata;
use super::node::Node;
use super::proto::{TensorProto, TypeProto, tensor_shape_proto::dimension, type_proto};
use super::supported_operators::{is_known, reads_extents};
use super::value::{Run, Stop, Value, Varying, describe};
use super::{File, Imported, Port, constant};
use crate::network::{FORMAT_VERSION, Input, Network, Node as NetworkNode, Op, Shape};
use crate::tensor::element_count;
use crate::{Model, Result, Tensor, Weights};

/// All constants computed from others may have so many elements together.
const MAX_COMPUTED: usize = 1 << 27;

/// One input of a file.
struct Declared {
    name: String,
    float: bool,
    /// `None` where an extent is free, and its name.
    dims: Option<Vec<Result<usize, String>>>,
}

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
        .filter(|node| !is_known(node) && !constant_only(node.op()))
        .map(|node| format!("{} ({})", describe(node), operator(node)))
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

/// Whether an operator is understood for constants.
fn constant_only(op: &str) -> bool {
    const ONLY: [&str; 19] = [
        "Abs",
        "And",
        "Exp",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Log",
        "Or",
        "Reciprocal",
        "ReduceMin",
        "Round",
        "Sign",
        "Sqrt",
        "Xor",
        "ConstantOfShape",
        "Range",
        "Where",
        "Equal",
    ];
    ONLY.contains(&op)
}

fn operator(node: &Node) -> String {
    match node.proto.domain() {
        "" | "ai.onnx" => node.op().to_string(),
        domain => format!("{domain}.{}", node.op()),
    }
}

/// The nodes that the outputs depend on, in the file's order, after checking that every value is there before it is
/// read.
fn needed(file: &File) -> Result<Vec<Node>, String> {
    let mut known: HashSet<&str> = file.graph.input.iter().map(|input| input.name()).collect();
    known.extend(file.graph.initializer.iter().map(TensorProto::name));
    known.extend(file.graph.sparse_initializer.iter().filter_map(|sparse| Some(sparse.values.as_ref()?.name())));
    let produced: HashSet<&str> =
        file.nodes.iter().flat_map(|node| node.proto.output.iter().map(String::as_str)).collect();
    for node in &file.nodes {
        for name in node.proto.input.iter().filter(|name| !name.is_empty()) {
            if !known.contains(name.as_str()) {
                let reason = if produced.contains(name.as_str()) {
                    "which is not computed before it (a cycle, or nodes out of order)"
                } else {
                    "which no input, initializer or node gives"
                };
                return Err(format!("{} reads `{name}`, {reason}", describe(node)));
            }
        }
        for name in node.proto.output.iter().filter(|name| !name.is_empty()) {
            if !known.insert(name) {
                return Err(format!("`{name}` is the name of two values"));
            }
        }
    }
    if file.graph.output.is_empty() {
        return Err("it has no outputs".into());
    }
    let mut wanted: HashSet<&str> = HashSet::new();
    for output in &file.graph.output {
        if !known.contains(output.name()) {
            return Err(format!("its output `{}` is given by no node", output.name()));
        }
        wanted.insert(output.name());
    }
    let mut needed = vec![];
    for node in file.nodes.iter().rev() {
        if node.proto.output.iter().any(|name| wanted.contains(name.as_str())) {
            wanted.extend(node.proto.input.iter().map(String::as_str));
            for attribute in &node.proto.attribute {
                for graph in attribute.g.iter().chain(&attribute.graphs) {
                    outer_names(graph, &mut wanted);
                }
            }
            needed.push(node.clone());
        }
    }
    needed.reverse();
    Ok(needed)
}

/// All names that a graph inside a node may read from outside.
fn outer_names<'a>(graph: &'a super::proto::GraphProto, wanted: &mut HashSet<&'a str>) {
    wanted.extend(graph.output.iter().map(|output| output.name()));
    for node in &graph.node {
        wanted.extend(node.input.iter().map(String::as_str));
        for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
            outer_names(graph, wanted);
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

    /// Declares the inputs of the network, and takes those that must be known from what was given.
    fn add_inputs(&mut self, given: &BTreeMap<String, Array>, known: &BTreeSet<String>) -> Result<(), Stop> {
        let mut runs = vec![];
        for name in self.file.inputs() {
            let declared = self.declared(name)?;
            let array = given.get(name);
            if !declared.float || known.contains(name) {
                let value = match array {
                    Some(array) if sane(array.dims()) => Value::Known(Arc::new(array.clone())),
                    Some(array) => return Err(format!("input `{name}`: {:?} is too large", array.dims()).into()),
                    None => Value::Missing(name.into()),
                };
                self.values.insert(name.into(), value);
                continue;
            }
            runs.push((declared, array));
        }
        if runs.is_empty() {
            return Err(
                "nothing is left to compute from inputs, which is not supported: all of them must be known when the model is loaded".into()
            );
        }
        let (mut batches, mut given_batches) = (BTreeSet::new(), BTreeSet::new());
        let mut all = vec![];
        for (declared, array) in runs {
            let dims = self.input_dims(&declared, array)?;
            if self.batched {
                if dims.is_empty() {
                    return Err(Stop::Batch(format!("input `{}` has no axes", declared.name)));
                }
                let own = declared.dims.as_ref().and_then(|dims| dims.first()?.as_ref().ok()).copied();
                batches.insert(own);
                given_batches.extend(own.or_else(|| array.and_then(|array| array.dims().first().copied())));
            }
            all.push((declared, dims));
        }
        if batches.len() > 1 || given_batches.len() > 1 {
            return Err(Stop::Batch("the inputs have different first extents".into()));
        }
        self.declared_batch = batches.into_iter().next().flatten();
        self.given_batch = !given_batches.is_empty();
        for (declared, dims) in all {
            self.add_input(declared, dims)?;
        }
        Ok(())
    }

    /// The extents of an input: as declared, and where they are free as given.
    fn input_dims(&self, input: &Declared, given: Option<&Array>) -> Result<Vec<Result<usize, String>>, Stop> {
        let name = &input.name;
        let given = given.map(Array::dims);
        let declared = match (&input.dims, given) {
            (Some(dims), _) => dims.clone(),
            (None, Some(dims)) => dims.iter().map(|&extent| Ok(extent)).collect(),
            (None, None) => return Err(format!("the shape of its input `{name}` is not known; give its array").into()),
        };
        let mut dims = vec![];
        for (axis, extent) in declared.into_iter().enumerate() {
            let given = given.and_then(|given| given.get(axis)).copied();
            let batch = axis == 0 && self.batched;
            dims.push(match (extent, given) {
                (Err(_), Some(given)) => Ok(given),
                (Err(symbol), None) if batch => Err(symbol),
                (Err(symbol), None) => return Err(Stop::Free { input: name.clone(), axis, symbol }),
                (Ok(extent), _) => Ok(extent),
            });
        }
        if let Some(axis) = dims.iter().position(|extent| *extent == Ok(0)) {
            return Err(format!(
                "axis {axis} of its input `{name}` has the extent 0, and empty arrays are not supported"
            )
            .into());
        }
        Ok(dims)
    }

    fn add_input(&mut self, declared: Declared, dims: Vec<Result<usize, String>>) -> Result<(), Stop> {
        let Declared { name, .. } = declared;
        let mut extents: Vec<usize> = dims.into_iter().map(|extent| extent.unwrap_or(1)).collect();
        if self.batched {
            extents[0] = 1;
        }
        if !sane(&extents) {
            return Err(format!("its input `{name}` of shape {extents:?} is too large").into());
        }
        let shape = self.canonical(&extents);
        let node = self.unique(&name);
        let [items, c, h, w] = shape;
        let port = Port { name: name.clone(), dims: extents.clone(), batched: self.batched };
        self.inputs.push((Input { name: node.clone(), shape: [c, h, w], items }, port));
        let origins = Arc::new(BTreeSet::from([name.clone()]));
        self.values.insert(name, Value::Run(Run { node, shape, dims: extents, origins }));
        Ok(())
    }

    fn declared(&self, name: &str) -> Result<Declared, Stop> {
        let input = self.file.graph.input.iter().find(|input| input.name() == name);
        let (float, dims) = match input.and_then(|input| input.r#type.as_ref()) {
            None => (true, None),
            Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), .. }) => {
                // FLOAT, FLOAT16, DOUBLE, BFLOAT16.
                let float = matches!(tensor.elem_type(), 0 | 1 | 10 | 11 | 16);
                let dims = tensor.shape.as_ref().map(|shape| shape.dim.iter().map(extent).collect());
                (float, dims)
            }
            Some(_) => return Err(format!("its input `{name}` is no array").into()),
        };
        Ok(Declared { name: name.into(), float, dims })
    }

    /// Imports a node; problems are collected so that all of them can be named.
    fn node(&mut self, node: &Node) -> Result<(), Stop> {
        for name in node.proto.output.iter().filter(|name| !name.is_empty()) {
            self.producers.insert(name.clone(), node.clone());
        }
        let results = match self.results(node) {
            Ok(values) => values,
            Err(Stop::Never(reason)) => {
                if !reason.is_empty() {
                    self.problems.push(format!("{} ({}): {reason}", describe(node), operator(node)));
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
            if !is_known(&inner) && !constant_only(inner.op()) {
                self.problems.push(format!("{} ({}) is not supported", describe(&inner), operator(&inner)));
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

    /// The error of an operator that does more with axis 0 than a batch allows.
    pub fn mixes(&self, node: &Node) -> Stop {
        Stop::Batch(format!("{} ({}) does not leave the first axis alone", describe(node), node.op()))
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

    fn unique(&mut self, name: &str) -> String {
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
    fn outputs(&mut self) -> Result<Vec<(String, Port)>, Stop> {
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
    fn finish(&mut self, outputs: Vec<(String, Port)>) -> Result<Imported, Stop> {
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

/// Whether extents and their product are far from overflowing, also where some are 0.
fn sane(dims: &[usize]) -> bool {
    let count = dims.iter().try_fold(1usize, |count, &extent| count.checked_mul(extent.max(1)));
    count.is_some_and(|count| count <= 1 << 30)
}

fn extent(dimension: &super::proto::tensor_shape_proto::Dimension) -> Result<usize, String> {
    match &dimension.value {
        Some(dimension::Value::DimValue(value)) => usize::try_from(*value).map_err(|_| String::new()),
        Some(dimension::Value::DimParam(name)) => Err(name.clone()),
        None => Err(String::new()),
    }
}
