//! The nodes of a file that its outputs depend on.

use std::collections::HashSet;

use super::super::File;
use super::super::node::Node;
use super::super::proto::{GraphProto, TensorProto};
use super::super::value::describe;

/// The nodes that the outputs depend on, in the file's order, after checking that every value is there before it is
/// read.
pub(super) fn needed(file: &File) -> Result<Vec<Node>, String> {
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
fn outer_names<'a>(graph: &'a GraphProto, wanted: &mut HashSet<&'a str>) {
    wanted.extend(graph.output.iter().map(|output| output.name()));
    for node in &graph.node {
        wanted.extend(node.input.iter().map(String::as_str));
        for graph in node.attribute.iter().filter_map(|attribute| attribute.g.as_ref()) {
            outer_names(graph, wanted);
        }
    }
}
