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

/// Whether an operator is computed when all of its inputs are known, and not otherwise.
pub(super) fn is_known_for_constants(op: &str) -> bool {
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

/// An operator's name, with its domain unless that is ONNX's own.
pub(super) fn qualified_name(node: &Node) -> String {
    match node.proto.domain() {
        "" | "ai.onnx" => node.op().to_string(),
        domain => format!("{domain}.{}", node.op()),
    }
}
