//! The ONNX operators that can be imported.

use super::node::Node;

/// Operators that can be computed at run time, in some form at least.
const OPERATORS: [&str; 67] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Cast",
    "CastLike",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "DepthToSpace",
    "Div",
    "Dropout",
    "Expand",
    "Flatten",
    "Gather",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "If",
    "LRN",
    "LeakyRelu",
    "LogSoftmax",
    "MatMul",
    "Max",
    "MaxPool",
    "Min",
    "Mul",
    "Neg",
    "PRelu",
    "Pad",
    "Pow",
    "ReduceMax",
    "ReduceMean",
    "ReduceSum",
    "Relu",
    "Reshape",
    "Resize",
    "Shape",
    "Sigmoid",
    "Size",
    "Slice",
    "Softmax",
    "SpaceToDepth",
    "Split",
    "Squeeze",
    "Sub",
    "Sum",
    "Swish",
    "Tanh",
    "Tile",
    "Transpose",
    "Unsqueeze",
    "Upsample",
    "Constant",
    "ConstantOfShape",
    "Range",
    "Where",
    "Equal",
    "Not",
    "Mod",
    "Floor",
    "Ceil",
    "Einsum",
    "ReduceProd",
];

/// Whether a node's operator is one of them.
pub(super) fn is_known(node: &Node) -> bool {
    matches!(node.proto.domain(), "" | "ai.onnx") && OPERATORS.contains(&node.op())
}

/// Whether an operator takes extents that depend on the batch as this input.
pub(super) fn reads_extents(node: &Node, index: usize) -> bool {
    match node.op() {
        "Reshape" | "Expand" => index == 1,
        "Slice" => index > 0,
        "Resize" => index == 3 && node.opset > 10,
        _ => false,
    }
}
