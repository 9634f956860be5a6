//! An ONNX graph in the making: names, constants and nodes.

use std::collections::HashSet;

use super::super::proto::attribute_proto::AttributeType;
use super::super::proto::tensor_proto::DataType;
use super::super::proto::tensor_shape_proto::{Dimension, dimension};
use super::super::proto::{
    AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto,
};
use crate::formats::Dtype;
use crate::formats::tensor_file::float_bytes;
use crate::{Result, Tensor};

/// Operators are those of this version of the standard set, which runtimes since 2022 have,
const LEAST_OPSET: i64 = 17;

/// The nodes and initialisers of a graph. Every name is given once.
pub struct Graph {
    nodes: Vec<NodeProto>,
    initializers: Vec<TensorProto>,
    names: HashSet<String>,
    dtype: Dtype,
    opset: i64,
}

/// The first extent of an array: what a batch of any size has, or a fixed number.
#[derive(Clone, Copy, Debug)]
pub enum Items {
    PerBatch(usize),
    Fixed(usize),
}

impl Graph {
    /// An empty graph whose parameters are stored as `dtype`, and in which these names are taken.
    pub fn new<'a>(dtype: Dtype, taken: impl IntoIterator<Item = &'a str>) -> Self {
        let names = taken.into_iter().map(String::from).collect();
        Self { nodes: vec![], initializers: vec![], names, dtype, opset: LEAST_OPSET }
    }

    /// A name that nothing else has: the wanted one where it is free.
    pub fn fresh(&mut self, wanted: &str) -> String {
        // An empty name means in ONNX that there is no value.
        let stem = if wanted.is_empty() { "value" } else { wanted };
        let mut name = stem.to_string();
        let mut count = 1;
        while !self.names.insert(name.clone()) {
            count += 1;
            name = format!("{stem}_{count}");
        }
        name
    }

    /// Says that a node needs this version of the operators.
    pub fn require(&mut self, opset: i64) {
        self.opset = self.opset.max(opset);
    }

    /// The version of the operators that the nodes need.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// A trained parameter, stored as the graph's type and used as f32. `shape` has its element count.
    pub fn parameter(&mut self, name: &str, shape: &[usize], tensor: &Tensor) -> Result<String> {
        let name = self.fresh(name);
        let raw = float_bytes(&name, tensor, self.dtype)?.into_owned();
        match self.dtype {
            Dtype::F32 => {
                self.initializer(&name, DataType::Float, shape, raw);
                Ok(name)
            }
            Dtype::F16 => {
                self.initializer(&name, DataType::Float16, shape, raw);
                let wide = self.fresh(&format!("{name}.f32"));
                self.node("Cast", &[&name], &wide, vec![int("to", DataType::Float as i64)]);
                Ok(wide)
            }
        }
    }

    /// Numbers that are part of the description, and exact whatever the parameters are stored as.
    pub fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) -> String {
        let name = self.fresh(name);
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(&name, DataType::Float, shape, raw);
        name
    }

    /// A single number.
    pub fn scalar(&mut self, name: &str, value: f32) -> String {
        self.floats(name, &[], &[value])
    }

    /// Whole numbers along one axis.
    pub fn integers(&mut self, name: &str, values: &[i64]) -> String {
        let name = self.fresh(name);
        let raw = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.initializer(&name, DataType::Int64, &[values.len()], raw);
        name
    }

    fn initializer(&mut self, name: &str, kind: DataType, shape: &[usize], raw: Vec<u8>) {
        self.initializers.push(TensorProto {
            name: Some(name.into()),
            data_type: Some(kind as i32),
            dims: shape.iter().map(|&extent| extent as i64).collect(),
            raw_data: Some(raw),
            ..Default::default()
        });
    }

    /// Adds a node with one output, after all those that make its inputs. An empty input is an optional one left out.
    pub fn node(&mut self, operator: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            name: Some(output.into()),
            op_type: Some(operator.into()),
            input: inputs.iter().map(|&input| input.into()).collect(),
            output: vec![output.into()],
            attribute,
            ..Default::default()
        });
    }

    /// A node whose value nothing but the next node needs; gives that value's name.
    pub fn step(&mut self, operator: &str, inputs: &[&str], stem: &str, attributes: Vec<AttributeProto>) -> String {
        let output = self.fresh(&format!("{stem}.{}", operator.to_lowercase()));
        self.node(operator, inputs, &output, attributes);
        output
    }

    /// The finished graph.
    pub fn finish(self, name: &str, input: Vec<ValueInfoProto>, output: Vec<ValueInfoProto>) -> GraphProto {
        GraphProto {
            name: Some(name.into()),
            node: self.nodes,
            initializer: self.initializers,
            input,
            output,
            ..Default::default()
        }
    }
}

/// An f32 array that goes in or comes out.
pub fn value_info(name: &str, items: Items, rest: &[usize]) -> ValueInfoProto {
    let fixed = |extent: usize| dimension::Value::DimValue(extent as i64);
    let first = match items {
        Items::Fixed(items) => fixed(items),
        Items::PerBatch(1) => dimension::Value::DimParam("N".into()),
        Items::PerBatch(items) => dimension::Value::DimParam(format!("{items}*N")),
    };
    let extents = std::iter::once(first).chain(rest.iter().map(|&extent| fixed(extent)));
    let dim = extents.map(|value| Dimension { value: Some(value), ..Default::default() }).collect();
    let tensor = type_proto::Tensor { elem_type: Some(DataType::Float as i32), shape: Some(TensorShapeProto { dim }) };
    let of_tensor = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: Some(name.into()), r#type: Some(of_tensor), ..Default::default() }
}

fn attribute(name: &str, kind: AttributeType) -> AttributeProto {
    AttributeProto { name: Some(name.into()), r#type: Some(kind as i32), ..Default::default() }
}

/// An attribute that is a whole number.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { i: Some(value), ..attribute(name, AttributeType::Int) }
}

/// An attribute that is a list of sizes.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    AttributeProto { ints: values.iter().map(|&value| value as i64).collect(), ..attribute(name, AttributeType::Ints) }
}

/// An attribute that is a number.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { f: Some(value), ..attribute(name, AttributeType::Float) }
}

/// An attribute that is a word.
pub fn string(name: &str, value: &str) -> AttributeProto {
    AttributeProto { s: Some(value.as_bytes().to_vec()), ..attribute(name, AttributeType::String) }
}
