//! Reading: bytes, external data, functions.

use std::collections::{HashMap, HashSet};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use prost::Message;

use super::node::Node;
use super::proto::tensor_proto::DataLocation;
use super::proto::{
    AttributeProto, FunctionProto, GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto,
};
use crate::{Error, Result};

/// No graph may have more nodes, once functions are written out.
const MAX_NODES: usize = 1 << 18;
/// No deeper may functions call each other.
const MAX_CALLS: usize = 32;
/// Operator sets that are understood.
const OPSETS: std::ops::RangeInclusive<i64> = 6..=28;

/// An ONNX file, read and checked as far as that goes without knowing its inputs.
#[derive(Clone, Debug)]
pub struct File {
    pub(super) name: String,
    pub(super) graph: GraphProto,
    pub(super) nodes: Vec<Node>,
    /// What the file says about itself, by key.
    pub(super) metadata: HashMap<String, String>,
}

impl File {
    /// Reads a model from memory; `name` stands for it in errors.
    ///
    /// # Errors
    /// [`Error::Onnx`] if this is no ONNX model, or one whose weights lie in other files.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self> {
        Self::read(name, bytes, None)
    }

    /// Reads a model, and its weights from other files in the same folder where that is how it was stored.
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be read, [`Error::Onnx`] if it is no ONNX model.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::read(&path.display().to_string(), &bytes, Some(folder))
    }

    fn read(name: &str, bytes: &[u8], folder: Option<&Path>) -> Result<Self> {
        let fail = |reason: String| error(name, &reason);
        if bytes.is_empty() {
            return Err(fail("the file is empty".into()));
        }
        let model = ModelProto::decode(bytes).map_err(|error| fail(format!("it is damaged or no ONNX: {error}")))?;
        let version = |imports: &[super::proto::OperatorSetIdProto]| {
            let standard = imports.iter().filter(|import| matches!(import.domain(), "" | "ai.onnx"));
            standard.map(|import| import.version()).max()
        };
        let opset = version(&model.opset_import);
        let Some(mut graph) = model.graph else { return Err(fail("it holds no graph".into())) };
        // Files of the first version of the format name no operator set.
        let opset = opset.unwrap_or(1);
        if !OPSETS.contains(&opset) {
            return Err(fail(format!(
                "it uses operator set {opset}, and {} to {} are supported; convert it with onnx.version_converter",
                OPSETS.start(),
                OPSETS.end()
            )));
        }
        let entry = |entry: &StringStringEntryProto| (entry.key().to_string(), entry.value().to_string());
        let metadata = model.metadata_props.iter().map(entry).collect();
        let mut external = External { folder, files: HashMap::new() };
        external.load_graph(&mut graph).map_err(|failure| match failure {
            Failure::Io(error) => error,
            Failure::Invalid(reason) => fail(reason),
        })?;
        let functions = model.functions.into_iter().map(|mut function| {
            for node in &mut function.node {
                external.load_node(node).map_err(|failure| match failure {
                    Failure::Io(error) => error,
                    Failure::Invalid(reason) => fail(reason),
                })?;
            }
            let key = (function.domain().to_string(), function.name().to_string(), function.overload().to_string());
            let opset = version(&function.opset_import).unwrap_or(opset);
            Ok((key, (function, opset)))
        });
        let mut inliner = Inliner { functions: functions.collect::<Result<_>>()?, nodes: vec![], calls: 0 };
        for node in std::mem::take(&mut graph.node) {
            inliner.add(node, opset, 0).map_err(fail)?;
        }
        Ok(Self { name: name.into(), graph, nodes: inliner.nodes, metadata })
    }

    /// Names of the arrays that the model wants, in its order; weights that it holds itself are not among them.
    pub fn inputs(&self) -> Vec<&str> {
        let held: HashSet<&str> = self.graph.initializer.iter().map(TensorProto::name).collect();
        self.graph.input.iter().map(|input| input.name()).filter(|name| !held.contains(name)).collect()
    }

    /// The element types of the weights, such as `FLOAT`.
    pub fn dtypes(&self) -> Vec<&'static str> {
        let kinds = self.graph.initializer.iter().filter(|tensor| tensor.dims.len() > 1);
        let mut names: Vec<_> = kinds
            .filter_map(|tensor| super::proto::tensor_proto::DataType::try_from(tensor.data_type()).ok())
            .map(|kind| kind.as_str_name())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

/// An error of one line, whatever characters are in the names that it quotes.
pub(super) fn error(name: &str, reason: &str) -> Error {
    let mut line = String::with_capacity(reason.len());
    for letter in reason.chars() {
        if letter.is_control() { line.extend(letter.escape_default()) } else { line.push(letter) }
    }
    Error::Onnx { name: name.into(), reason: line }
}

enum Failure {
    Io(Error),
    Invalid(String),
}

/// Weights in other files.
struct External<'a> {
    folder: Option<&'a Path>,
    files: HashMap<PathBuf, Vec<u8>>,
}

impl External<'_> {
    fn load_graph(&mut self, graph: &mut GraphProto) -> Result<(), Failure> {
        for tensor in &mut graph.initializer {
            self.load(tensor)?;
        }
        graph.node.iter_mut().try_for_each(|node| self.load_node(node))
    }

    fn load_node(&mut self, node: &mut NodeProto) -> Result<(), Failure> {
        for attribute in &mut node.attribute {
            for tensor in attribute.t.iter_mut().chain(&mut attribute.tensors) {
                self.load(tensor)?;
            }
            for graph in attribute.g.iter_mut().chain(&mut attribute.graphs) {
                self.load_graph(graph)?;
            }
        }
        Ok(())
    }

    /// Puts the bytes of a tensor into it.
    fn load(&mut self, tensor: &mut TensorProto) -> Result<(), Failure> {
        if tensor.data_location() != DataLocation::External {
            return Ok(());
        }
        let name = tensor.name().to_string();
        let invalid = |reason: String| Failure::Invalid(format!("tensor `{name}`: {reason}"));
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key() == key);
            entry.map(|entry| entry.value().to_string())
        };
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => {
                text.parse::<usize>().map(Some).map_err(|_| invalid(format!("its {key} in another file is `{text}`")))
            }
        };
        let location = entry("location").ok_or_else(|| invalid("the file that holds it is not named".into()))?;
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        let Some(folder) = self.folder else {
            return Err(invalid(format!(
                "its data are in another file, `{location}`; open the model by its path, or store it as one file"
            )));
        };
        let path = inside(folder, &location).ok_or_else(|| {
            invalid(format!("its data are in `{location}`, which does not lie in the model's folder"))
        })?;
        if !self.files.contains_key(&path) {
            let bytes = std::fs::read(&path).map_err(|source| Failure::Io(Error::io(&path, source)))?;
            self.files.insert(path.clone(), bytes);
        }
        let bytes = &self.files[&path];
        let end = length.map_or(Some(bytes.len()), |length| offset.checked_add(length));
        let part = end.and_then(|end| bytes.get(offset..end)).ok_or_else(|| {
            let size = bytes.len();
            invalid(format!("its data are not within the {size} bytes of {}", path.display()))
        })?;
        tensor.raw_data = Some(part.to_vec());
        tensor.external_data.clear();
        tensor.set_data_location(DataLocation::Default);
        Ok(())
    }
}

/// The path of a file inside a folder; a name that leads out of it, also by a link, has none.
fn inside(folder: &Path, location: &str) -> Option<PathBuf> {
    let relative = Path::new(location);
    let plain = |part: Component| matches!(part, Component::Normal(_) | Component::CurDir);
    if location.is_empty() || !relative.components().all(plain) {
        return None;
    }
    let path = folder.join(relative);
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(file), Ok(folder)) if !file.starts_with(&folder) => None,
        _ => Some(path),
    }
}

/// Writes out calls of the model's own functions.
struct Inliner {
    functions: HashMap<(String, String, String), (FunctionProto, i64)>,
    nodes: Vec<Node>,
    calls: usize,
}

impl Inliner {
    fn add(&mut self, node: NodeProto, opset: i64, depth: usize) -> Result<(), String> {
        let key = (node.domain().to_string(), node.op_type().to_string(), node.overload().to_string());
        if !self.functions.contains_key(&key) {
            if self.nodes.len() == MAX_NODES {
                return Err(format!("it has more than {MAX_NODES} nodes"));
            }
            self.nodes.push(Node { proto: Arc::new(node), opset });
            return Ok(());
        }
        if depth == MAX_CALLS {
            return Err(format!("the function `{}` calls itself, or calls go deeper than {MAX_CALLS}", key.1));
        }
        self.calls += 1;
        if self.calls > MAX_NODES {
            return Err(format!("it calls functions more than {MAX_NODES} times"));
        }
        let (function, opset) = &self.functions[&key];
        let (opset, body) = (*opset, function.node.clone());
        let call = Call { function, node: &node, number: self.calls };
        let body: Vec<NodeProto> = body.into_iter().map(|inner| call.bind(inner)).collect();
        body.into_iter().try_for_each(|inner| self.add(inner, opset, depth + 1))
    }
}

/// One call of a function.
struct Call<'a> {
    function: &'a FunctionProto,
    node: &'a NodeProto,
    number: usize,
}

impl Call<'_> {
    /// A node of the body with the names and attributes of the call.
    fn bind(&self, mut node: NodeProto) -> NodeProto {
        for name in node.input.iter_mut().chain(&mut node.output) {
            *name = self.name(name);
        }
        if let Some(name) = &mut node.name {
            *name = format!("{}/{name}", self.node.name());
        }
        let attributes = std::mem::take(&mut node.attribute);
        node.attribute = attributes.into_iter().filter_map(|attribute| self.attribute(attribute)).collect();
        node
    }

    /// A reference to an attribute of the function becomes that of the call, its default, or nothing.
    fn attribute(&self, mut attribute: AttributeProto) -> Option<AttributeProto> {
        if let Some(graph) = &mut attribute.g {
            self.bind_graph(graph);
        }
        let Some(wanted) = attribute.ref_attr_name.as_deref().filter(|name| !name.is_empty()) else {
            return Some(attribute);
        };
        let candidates = self.node.attribute.iter().chain(&self.function.attribute_proto);
        let mut found = candidates.into_iter().find(|candidate| candidate.name() == wanted)?.clone();
        found.name = attribute.name;
        Some(found)
    }

    fn bind_graph(&self, graph: &mut GraphProto) {
        for value in graph.output.iter_mut().chain(&mut graph.input) {
            value.name = value.name.as_deref().map(|name| self.name(name));
        }
        for tensor in &mut graph.initializer {
            tensor.name = tensor.name.as_deref().map(|name| self.name(name));
        }
        let nodes = std::mem::take(&mut graph.node);
        graph.node = nodes.into_iter().map(|node| self.bind(node)).collect();
    }

    /// What a name of the body is outside.
    fn name(&self, name: &str) -> String {
        if name.is_empty() {
            return String::new();
        }
        let position = |names: &[String]| names.iter().position(|own| own == name);
        if let Some(at) = position(&self.function.input) {
            return self.node.input.get(at).cloned().unwrap_or_default();
        }
        match position(&self.function.output).and_then(|at| self.node.output.get(at)) {
            Some(outer) if !outer.is_empty() => outer.clone(),
            _ => format!("{}#{}/{name}", self.node.op_type(), self.number),
        }
    }
}
