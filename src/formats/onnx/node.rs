//! One operation of an ONNX graph, with typed access to its attributes.

use std::sync::Arc;

use super::array::Array;
use super::proto::{AttributeProto, GraphProto, NodeProto};

/// A node and the version of the operators that it means.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub proto: Arc<NodeProto>,
    pub opset: i64,
}

impl Node {
    pub fn op(&self) -> &str {
        self.proto.op_type()
    }

    pub fn input(&self, index: usize) -> Option<&str> {
        self.proto.input.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub fn output(&self, index: usize) -> Option<&str> {
        self.proto.output.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }

    pub fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name() == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, AttributeProto::i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, AttributeProto::f)
    }

    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|attribute| attribute.ints.as_slice())
    }

    pub fn floats(&self, name: &str) -> Option<&[f32]> {
        self.attribute(name).map(|attribute| attribute.floats.as_slice())
    }

    pub fn text(&self, name: &str, default: &'static str) -> String {
        self.attribute(name).map_or(default.into(), |attribute| String::from_utf8_lossy(attribute.s()).into_owned())
    }

    pub fn graph(&self, name: &str) -> Option<&GraphProto> {
        self.attribute(name)?.g.as_ref()
    }

    /// The value of a `Constant`, in any of its forms.
    pub fn constant(&self) -> Result<Array, String> {
        let unsupported = || Err("its value is of an unsupported kind".to_string());
        let Some(attribute) = self.proto.attribute.iter().find(|attribute| attribute.name().starts_with("value"))
        else {
            return unsupported();
        };
        let vector = |count: usize| vec![count];
        let array = match attribute.name() {
            "value" => return attribute.t.as_ref().map_or_else(unsupported, Array::of),
            "value_int" => Array::new([], vec![attribute.i()]),
            "value_float" => Array::new([], vec![attribute.f()]),
            "value_ints" => Array::new(vector(attribute.ints.len()), attribute.ints.clone()),
            "value_floats" => Array::new(vector(attribute.floats.len()), attribute.floats.clone()),
            _ => None,
        };
        array.map_or_else(unsupported, Ok)
    }
}
