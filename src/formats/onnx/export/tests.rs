//! What can be said about a file without running it; `tests/onnx_export.rs` has it judged by others.

use std::collections::HashSet;

use prost::Message;

use super::super::proto::tensor_proto::DataType;
use super::super::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use super::*;
use crate::network::*;
use crate::{Tensor, Weights};

fn node(name: &str, inputs: &[&str], op: Op) -> Node {
    Node { name: name.into(), inputs: inputs.iter().map(|&input| input.into()).collect(), op }
}

fn network(input: Input, nodes: Vec<Node>, outputs: &[&str]) -> Network {
    Network {
        version: FORMAT_VERSION,
        name: "tiny".into(),
        inputs: vec![input],
        nodes,
        outputs: outputs.iter().map(|&output| output.into()).collect(),
        preprocess: None,
        labels: vec![],
    }
}

fn weights(tensors: &[(&str, &[usize], &[f32])]) -> Weights {
    let tensor = |&(name, shape, data): &(&str, &[usize], &[f32])| {
        (name.to_string(), Tensor::new(shape.to_vec(), data.to_vec()).unwrap())
    };
    tensors.iter().map(tensor).collect()
}

/// The file of a model, after a look at what every graph must be.
fn exported(model: &Model, dtype: Dtype) -> ModelProto {
    let proto = ModelProto::decode(&model.to_onnx(dtype).unwrap()[..]).unwrap();
    let graph = proto.graph.as_ref().unwrap();
    let mut known: HashSet<&str> = HashSet::from([""]);
    let tensors = graph.initializer.iter().map(TensorProto::name);
    for name in graph.input.iter().map(|input| input.name()).chain(tensors) {
        assert!(known.insert(name), "{name} is there twice");
    }
    for node in &graph.node {
        assert!(node.input.iter().all(|input| known.contains(input.as_str())), "{node:?} comes too early");
        assert!(node.output.iter().all(|output| known.insert(output)), "{node:?} makes what is there");
    }
    assert!(graph.output.iter().all(|output| known.contains(output.name())));
    proto
}

fn graph(model: &Model) -> GraphProto {
    exported(model, Dtype::F32).graph.unwrap()
}

fn operators(graph: &GraphProto) -> Vec<&str> {
    graph.node.iter().map(NodeProto::op_type).collect()
}

fn extents(value: &ValueInfoProto) -> Vec<String> {
    use super::super::proto::{tensor_shape_proto::dimension::Value, type_proto};
    let Some(type_proto::Value::TensorType(tensor)) = &value.r#type.as_ref().unwrap().value else {
        panic!("no tensor")
    };
    let extent = |value: &Value| match value {
        Value::DimValue(extent) => extent.to_string(),
        Value::DimParam(name) => name.clone(),
    };
    tensor.shape.as_ref().unwrap().dim.iter().map(|dim| extent(dim.value.as_ref().unwrap())).collect()
}

fn numbers(tensor: &TensorProto) -> Vec<f32> {
    assert_eq!(tensor.data_type(), DataType::Float as i32);
    tensor.raw_data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

/// A 1×2 DO-Conv layer that holds W and D, and a fully connected one.
fn composed() -> Model {
    let attributes = DoConv { d_mul: 2, pairing: Pairing::Paper };
    let conv = Conv2d { doconv: Some(attributes), ..Conv2d::new(1, 1, [1, 2]) };
    let linear = Linear { in_features: 2, out_features: 2, bias: true };
    let nodes = vec![node("c", &["x"], Op::Conv2d(conv)), node("fc", &["c"], Op::Linear(linear))];
    let mut network = network(Input::new("x", [1, 1, 3]), nodes, &["fc"]);
    network.labels = vec!["cat".into(), "dog".into()];
    let values = weights(&[
        ("c.W", &[1, 1, 2], &[2.0, 3.0]),
        ("c.D", &[1, 2, 2], &[0.0, 1.0, 0.0, 0.0]),
        ("fc.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
        ("fc.bias", &[2], &[5.0, 6.0]),
    ]);
    Model::new(network, values).unwrap()
}

#[test]
fn layers_are_folded_and_parameters_keep_their_names() {
    let proto = exported(&composed(), Dtype::F32);
    assert_eq!((proto.opset_import[0].version(), proto.ir_version()), (17, 8));
    assert_eq!(proto.metadata_props.len(), 1);
    assert_eq!((proto.metadata_props[0].key(), proto.metadata_props[0].value()), (LABELS_KEY, r#"["cat","dog"]"#));
    let graph = proto.graph.unwrap();
    assert_eq!(operators(&graph), ["Conv", "Flatten", "Gemm"]);
    let parameters: Vec<_> = graph.initializer.iter().map(|tensor| (tensor.name(), numbers(tensor))).collect();
    // The effective D is the identity with 1 in its upper right corner.
    let expected = [("c.weight", vec![5.0, 3.0]), ("fc.weight", vec![1.0, 2.0, 3.0, 4.0]), ("fc.bias", vec![5.0, 6.0])];
    assert_eq!(parameters, expected);
    assert_eq!(extents(&graph.input[0]), ["N", "1", "1", "3"]);
    assert_eq!((graph.output[0].name(), extents(&graph.output[0])), ("fc", vec!["N".into(), "2".into()]));
}

#[test]
fn halves_are_widened_before_they_are_used() {
    let graph = exported(&composed(), Dtype::F16).graph.unwrap();
    assert!(graph.initializer.iter().all(|tensor| tensor.data_type() == DataType::Float16 as i32));
    assert_eq!(operators(&graph), ["Cast", "Conv", "Flatten", "Cast", "Cast", "Gemm"]);

    let mut large = composed().weights().clone();
    large.insert("fc.bias".into(), Tensor::new([2], vec![7e4, 0.0]).unwrap());
    let model = Model::new(composed().network().clone(), large).unwrap();
    let error = model.to_onnx(Dtype::F16).unwrap_err().to_string();
    assert!(error.starts_with("tensor `fc.bias`: value 0 is 7e4"), "{error}");
}

#[test]
fn every_name_is_given_once() {
    // A value called like a parameter, an output that is listed twice, one that is an input, and one without a name.
    let nodes = vec![
        node("c", &["x"], Op::Conv2d(Conv2d::new(1, 1, [1, 1]))),
        node("c.weight", &["c"], Op::Activation(Activation::Relu)),
        node("", &["c.weight"], Op::Activation(Activation::Silu)),
    ];
    let network = network(Input::new("x", [1, 2, 2]), nodes, &["c.weight", "c.weight", "x", ""]);
    let graph = graph(&Model::new(network, weights(&[("c.weight", &[1, 1, 1, 1], &[2.0])])).unwrap());
    let outputs: Vec<_> = graph.output.iter().map(|output| output.name()).collect();
    assert_eq!(outputs, ["c.weight", "c.weight.identity", "x", "value"]);
    assert_eq!(graph.initializer[0].name(), "c.weight_2");
}

#[test]
fn a_later_opset_only_where_it_is_needed() {
    let version = |op: Op| {
        let network = network(Input::new("x", [4, 5, 5]), vec![node("y", &["x"], op)], &["y"]);
        exported(&Model::new(network, Weights::new()).unwrap(), Dtype::F32).opset_import[0].version()
    };
    let pad = |mode| Op::Pad(Pad { before: [0, 0, 1, 1], after: [0, 0, 2, 2], mode, value: 0.0 });
    let resize = |coordinates| {
        Op::Resize(Resize { size: [7, 3], scale: None, interpolation: Interpolation::Linear, coordinates })
    };
    let mean = |dilation| {
        let kernel = [2, 2];
        let (stride, padding) = ([1, 1], [0; 4]);
        Op::AvgPool(AvgPool { kernel, stride, padding, dilation, ceil_mode: false, count_include_pad: false })
    };
    assert_eq!([PaddingMode::Zeros, PaddingMode::Reflect, PaddingMode::Circular].map(pad).map(version), [17, 17, 19]);
    assert_eq!([Coordinates::HalfPixel, Coordinates::HalfPixelSymmetric].map(resize).map(version), [18, 19]);
    assert_eq!([[1, 1], [2, 2]].map(mean).map(version), [17, 19]);
}

#[test]
fn items_are_an_axis_only_where_they_must_be() {
    // Four channels as items, which are then added to each other's sum over the batch, or moved.
    let made = |nodes: Vec<Node>, values: &[(&str, &[usize], &[f32])]| {
        let last = nodes.last().unwrap().name.clone();
        let network = network(Input::new("x", [4, 2, 3]), nodes, &[&last]);
        let graph = graph(&Model::new(network, weights(values)).unwrap());
        let operators = operators(&graph).join(" ");
        (operators, extents(&graph.output[0]).join(" "))
    };
    let items = || node("items", &["x"], Op::Reshape([4, 1, 2, 3]));
    let moved = made(vec![items(), node("y", &["items"], Op::Transpose([1, 0, 2, 3]))], &[]);
    assert_eq!(moved, ("Reshape Reshape Transpose Reshape".into(), "N 4 2 3".into()));
    let within = made(vec![items(), node("y", &["items"], Op::Transpose([0, 2, 1, 3]))], &[]);
    assert_eq!(within, ("Reshape Transpose".into(), "4*N 2 1 3".into()));
    let factor = || node("k", &[], Op::Constant([4, 1, 1, 1]));
    let values: &[(&str, &[usize], &[f32])] = &[("k.value", &[4, 1, 1, 1], &[1.0, 2.0, 3.0, 4.0])];
    let scaled = made(vec![items(), factor(), node("y", &["items", "k"], Op::Mul)], values);
    assert_eq!(scaled, ("Reshape Reshape Mul Reshape".into(), "4*N 1 2 3".into()));
    // Where a constant is not repeated by the operator itself, it is repeated for the batch.
    let one = || node("k", &[], Op::Constant([1, 1, 2, 3]));
    let values: &[(&str, &[usize], &[f32])] = &[("k.value", &[1, 1, 2, 3], &[1.0; 6])];
    let joined = made(vec![one(), node("y", &["x", "k"], Op::Concat)], values);
    assert_eq!(joined, ("Shape Concat Expand Concat".into(), "N 5 2 3".into()));
    let added = made(vec![one(), node("y", &["k", "x"], Op::Add)], values);
    assert_eq!(added, ("Add".into(), "N 4 2 3".into()));
}

#[test]
fn an_input_of_several_items_fixes_the_batch() {
    let input = Input { items: 3, ..Input::new("x", [4, 5, 6]) };
    let nodes = vec![node("y", &["x"], Op::Transpose([1, 0, 3, 2]))];
    let graph = graph(&Model::new(network(input, nodes, &["y"]), Weights::new()).unwrap());
    assert_eq!(operators(&graph), ["Transpose"]);
    assert_eq!(extents(&graph.input[0]), ["3", "4", "5", "6"]);
    assert_eq!(extents(&graph.output[0]), ["4", "3", "6", "5"]);
}

#[test]
fn what_does_not_fit_a_file_is_refused() {
    assert!(check_size(MAX_BYTES).is_ok());
    let error = check_size(MAX_BYTES + 1).unwrap_err().to_string();
    assert!(error.contains("2147483648") && error.contains("f16"), "{error}");
}

#[test]
fn metadata_that_cannot_be_read_is_named() {
    let mut proto = exported(&composed(), Dtype::F32);
    proto.metadata_props[0].value = Some("cat, dog".into());
    let file = super::super::File::from_bytes("m", &proto.encode_to_vec()).unwrap();
    let error = file.import(&Default::default()).unwrap_err().to_string();
    assert!(error.contains("`doconv.labels` cannot be read"), "{error}");
}
