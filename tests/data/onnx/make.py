"""Makes the models that tests/onnx.rs imports, with inputs and outputs recorded by ONNX Runtime and PyTorch.

    python tests/data/onnx/make.py         # needs onnx and onnxruntime
    python tests/data/onnx/make.py torch   # needs torch, onnx and onnxscript

Every NAME.safetensors holds the inputs and outputs of NAME.onnx under their names there.
Last run with onnx 1.23, onnxruntime 1.32, torch 2.15 and numpy 2.
"""

import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save_file

HERE = Path(__file__).parent
RANDOM = np.random.default_rng(7)


def weights(**shapes):
    return [numpy_helper.from_array(RANDOM.normal(0, 0.4, shape).astype(np.float32), name) for name, shape in shapes.items()]


def ints(**values):
    return [numpy_helper.from_array(np.array(value, np.int64), name) for name, value in values.items()]


def node(text, **attributes):
    """`a, b = Op(c, d)`"""
    outputs, call = text.split(" = ")
    op, inputs = call.rstrip(")").split("(")
    names = lambda part: [name.strip() for name in part.split(",")] if part.strip() else []
    outputs = names(outputs)
    return helper.make_node(op, names(inputs), outputs, name=f"{op}_{outputs[0]}", **attributes)


def model(nodes, inputs, outputs, initializers, opset=18, functions=(), domains=()):
    value = lambda item: helper.make_tensor_value_info(item[0], item[2] if len(item) > 2 else TensorProto.FLOAT, item[1])
    graph = helper.make_graph(nodes, "graph", [value(i) for i in inputs], [value(o) for o in outputs], initializers)
    imports = [helper.make_opsetid("", opset)] + [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=imports, functions=list(functions), ir_version=9)


def record(name, made, arrays, external=False):
    import onnxruntime

    if opset_of(made) >= 7:
        onnx.checker.check_model(made)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    results = session.run(None, arrays)
    arrays = arrays | {output.name: result for output, result in zip(made.graph.output, results)}
    write(name, made, arrays, external)


def write(name, made, arrays, external=False):
    path = HERE / f"{name}.safetensors"
    if external:
        onnx.save(made, HERE / f"{name}.onnx", save_as_external_data=True, location=f"{name}.data", size_threshold=0)
    else:
        onnx.save(made, HERE / f"{name}.onnx")
    save_file({key: np.array(array, order="C") for key, array in arrays.items()}, path)
    path.chmod(0o644)


def opset_of(made):
    return max(entry.version for entry in made.opset_import if entry.domain == "")


def normal(*shape):
    return RANDOM.normal(0, 1, shape).astype(np.float32)


def layers():
    nodes = [
        node("a = Conv(x, stem.conv.weight, stem.conv.bias)", auto_pad="SAME_UPPER", strides=[2, 2]),
        node("b = BatchNormalization(a, stem.bn.weight, stem.bn.bias, stem.bn.running_mean, variance)", epsilon=1e-3),
        node("c = Relu(b)"),
        node("d = Conv(c, grouped)", group=3, pads=[1, 0, 1, 2], dilations=[1, 2]),
        node("e = Mul(d, scale)"),
        node("f = Add(e, shift)"),
        node("g = PRelu(f, slope)"),
        node("h = ConvTranspose(g, up.weight)", strides=[2, 2], output_shape=[11, 9]),
        node("i = MaxPool(h)", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 0, 1]),
        node("j = AveragePool(h)", kernel_shape=[3, 2], strides=[2, 2], ceil_mode=1, pads=[1, 0, 0, 1]),
        node("k = Concat(i, j)", axis=1),
        node("l = LRN(k)", size=3, alpha=0.3),
        node("m = HardSigmoid(l)", alpha=0.3),
        node("n = GlobalAveragePool(m)"),
        node("o = Flatten(n)"),
        node("p = Gemm(o, head.weight, head.bias)", transB=1, alpha=0.5, beta=2.0),
        node("y = LogSoftmax(p)", axis=-1),
        node("z = Clip(h, low, high)"),
    ]
    held = weights(
        **{"stem.conv.weight": (6, 3, 3, 3), "stem.conv.bias": (6,), "stem.bn.weight": (6,), "stem.bn.bias": (6,)},
        **{"stem.bn.running_mean": (6,), "grouped": (9, 2, 3, 2), "scale": (9, 1, 1), "shift": (1, 9, 1, 1)},
        **{"slope": (9, 1, 1), "up.weight": (9, 4, 3, 3), "head.weight": (5, 8), "head.bias": (5,)},
    )
    held.append(numpy_helper.from_array(RANDOM.uniform(0.5, 2, 6).astype(np.float32), "variance"))
    held += [numpy_helper.from_array(np.float32(v), n) for n, v in (("low", -0.3), ("high", 0.4))]
    made = model(nodes, [("x", ["batch", 3, 11, 10])], [("y", ["batch", 5]), ("z", ["batch", 4, 11, 9])], held)
    record("layers", made, {"x": normal(3, 3, 11, 10)})


def signals():
    """Values of three axes."""
    nodes = [
        node("a = Conv(x, kernel, bias)", pads=[2, 1], strides=[2], dilations=[2]),
        node("b = AveragePool(a)", kernel_shape=[3], pads=[1, 1], count_include_pad=1),
        node("c = Softmax(b)", axis=2),
        node("d = Transpose(c)", perm=[0, 2, 1]),
        node("e = MatMul(d, matrix)"),
        node("f = ReduceMean(e, axes)", keepdims=0),
        node("g = Resize(b, , scales)", mode="linear", coordinate_transformation_mode="asymmetric"),
        node("y = Sigmoid(f)"),
    ]
    held = weights(kernel=(5, 4, 3), bias=(5,), matrix=(5, 7)) + ints(axes=[1])
    held.append(numpy_helper.from_array(np.array([1, 1, 1.5], np.float32), "scales"))
    made = model(nodes, [("x", ["n", 4, 13])], [("y", ["n", 7]), ("g", ["n", 5, None])], held)
    record("signals", made, {"x": normal(2, 4, 13)})


def first_axis():
    """Operators for which axis 0 is no batch."""
    nodes = [
        node("a = Concat(x, z)", axis=0),
        node("b = Softmax(a)", axis=0),
        node("c = ReduceMean(b, axis)", keepdims=1),
        node("d = Div(a, c)"),
        node("e = Slice(d, starts, ends, zero, steps)"),
        node("f = Transpose(e)", perm=[2, 0, 1]),
        node("g = Gather(f, picked)", axis=0),
        node("h = Reshape(g, shape)"),
        node("y = Add(h, plus)"),
        node("s = Squeeze(c)"),
    ]
    held = ints(axis=[0], zero=[0], starts=[-1], ends=[-100], steps=[-2], picked=[3, 0, 0, 2], shape=[2, -1])
    held += weights(plus=(2, 1))
    made = model(nodes, [("x", [3, 2, 4]), ("z", [2, 2, 4])], [("y", [2, 12]), ("s", [2, 4])], held)
    record("first_axis", made, {"x": normal(3, 2, 4), "z": normal(2, 2, 4)})


def products():
    nodes = [
        node("a = MatMul(x, one)"),
        node("b = MatMul(x, several)"),
        node("c = MatMul(left, x)"),
        node("d = MatMul(x, vector)"),
        node("e = Gemm(w, matrix, full)", transA=1, beta=0.5),
        node("f = MatMul(given, w)"),
    ]
    held = weights(one=(4, 5), several=(3, 4, 2), left=(6, 2), vector=(4,), matrix=(3, 6), full=(4, 6))
    outputs = [("a", [2, 3, 2, 5]), ("b", [2, 3, 2, 2]), ("c", [2, 3, 6, 4]), ("d", [2, 3, 2]), ("e", [4, 6]), ("f", [2, 4])]
    made = model(nodes, [("x", [2, 3, 2, 4]), ("w", [3, 4]), ("given", [2, 3])], outputs, held)
    record("products", made, {"x": normal(2, 3, 2, 4), "w": normal(3, 4), "given": normal(2, 3)})


def shapes():
    """What exporters compute shapes with, on an input whose height and width are free."""
    nodes = [
        node("s = Shape(x)"),
        node("n = Gather(s, zero)", axis=0),
        node("nn = Unsqueeze(n, axes)"),
        node("target = Concat(nn, groups)", axis=0),
        node("tail = Slice(s, two, four)"),
        node("full = Concat(target, tail)", axis=0),
        node("a = Reshape(x, full)"),
        node("b = Transpose(a)", perm=[0, 2, 1, 3, 4]),
        node("c = Reshape(b, s)"),
        node("hw = Cast(tail)", to=TensorProto.FLOAT),
        node("larger = Mul(hw, factor)"),
        node("size = Cast(larger)", to=TensorProto.INT64),
        node("nc = Slice(s, start, two)"),
        node("sizes = Concat(nc, size)", axis=0),
        node("d = Resize(c, , , sizes)", mode="cubic", coordinate_transformation_mode="half_pixel"),
        node("e = Pad(d, pads, , spatial)", mode="reflect"),
        node("f = DepthToSpace(e)", blocksize=2, mode="CRD"),
        node("p, q = Split(f, parts)", axis=2),
        node("y = Sub(q, p)"),
    ]
    held = ints(zero=0, axes=[0], groups=[2, 4], two=[2], four=[4], start=[0], pads=[1, -1, 1, 2], spatial=[2, 3], parts=[10, 10])
    held.append(numpy_helper.from_array(np.float32(1.6), "factor"))
    made = model(nodes, [("x", ["n", 8, "height", "width"])], [("y", [None] * 4)], held)
    record("shapes", made, {"x": normal(2, 8, 5, 4)})


def functions():
    """Functions that call each other, and a branch that is known."""
    opset = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    slope = onnx.AttributeProto(name="alpha", ref_attr_name="slope", type=onnx.AttributeProto.FLOAT)
    leaky = helper.make_node("LeakyRelu", ["t"], ["r"])
    leaky.attribute.append(slope)
    inner = helper.make_function("own", "inner", ["v"], ["r"], [node("t = Sub(v, v2)"), leaky], opset, ["slope"])
    inner.node.insert(0, node("v2 = Sigmoid(v)"))
    outer = helper.make_function("own", "outer", ["v"], ["r"], [], opset, [])
    outer.node.append(helper.make_node("inner", ["v"], ["t"], domain="own", slope=0.3))
    outer.node.append(helper.make_node("inner", ["t"], ["r"], domain="own", slope=0.6))
    empty = lambda text: helper.make_graph([node(text)], "branch", [], [helper.make_tensor_value_info("r", 1, [None, 3])])
    nodes = [
        helper.make_node("outer", ["x"], ["a"], domain="own", name="first"),
        helper.make_node("outer", ["a"], ["b"], domain="own", name="second"),
        helper.make_node("If", ["yes"], ["y"], then_branch=empty("r = Relu(b)"), else_branch=empty("r = Sigmoid(b)")),
    ]
    held = [numpy_helper.from_array(np.array(True), "yes")]
    made = model(nodes, [("x", ["n", 3])], [("y", ["n", 3])], held, functions=[inner, outer], domains=["own"])
    record("functions", made, {"x": normal(4, 3)})


def old():
    """Operator set 6, with weights among the inputs and typed data."""
    nodes = [
        node("a = Conv(x, w)", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("b = Add(a, bias)", broadcast=1, axis=1),
        node("c = BatchNormalization(b, scale, shift, mean, variance)", is_test=1, consumed_inputs=[0, 0, 0, 1, 1]),
        node("d = Clip(c)", min=-0.5, max=0.8),
        node("e = Pad(d)", pads=[0, 0, 1, 0, 0, 0, 0, 2], value=0.25),
        node("f = Dropout(e)", is_test=1, ratio=0.5),
        node("g = Reshape(f, shape)"),
        node("y = Softmax(g)", axis=1),
    ]
    shapes = dict(w=[4, 2, 3, 3], bias=[4], scale=[4], shift=[4], mean=[4], variance=[4])
    held = [helper.make_tensor(n, 1, s, np.abs(normal(*s)).ravel() + 0.1) for n, s in shapes.items()] + ints(shape=[0, -1])
    inputs = [("x", [2, 2, 5, 5])] + [(name, shape) for name, shape in shapes.items()] + [("shape", [2], TensorProto.INT64)]
    made = model(nodes, inputs, [("y", [2, 168])], held, opset=6)
    x, held = normal(2, 2, 5, 5), {tensor.name: numpy_helper.to_array(tensor) for tensor in held}
    # ONNX Runtime begins with operator set 7.
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    a = np.einsum("ncyxij,ocij->noyx", windows, held["w"])
    wide = lambda name: held[name][:, None, None]
    c = (a + wide("bias") - wide("mean")) / np.sqrt(wide("variance") + 1e-5) * wide("scale") + wide("shift")
    e = np.pad(np.clip(c, -0.5, 0.8), ((0, 0), (0, 0), (1, 0), (0, 2)), constant_values=0.25).reshape(2, -1)
    powers = np.exp(e)
    write("old", made, {"x": x, "y": (powers / powers.sum(1, keepdims=True)).astype(np.float32)})


def kernels():
    """A model whose kernel, shape and bounds are inputs."""
    nodes = [
        node("a = Conv(x, w, b)"),
        node("c = Reshape(a, shape)"),
        node("d = Clip(c, low)"),
        node("t = Transpose(m)", perm=[1, 0]),
        node("y = MatMul(d, t)"),
    ]
    inputs = [("x", [2, 2, 4, 4]), ("w", [3, 2, 2, 2]), ("b", [3]), ("shape", [2], TensorProto.INT64), ("low", []), ("m", [5, 27])]
    made = model(nodes, inputs, [("y", [2, 5])], [])
    arrays = {"x": normal(2, 2, 4, 4), "w": normal(3, 2, 2, 2), "b": normal(3), "m": normal(5, 27)}
    record("kernels", made, arrays | {"shape": np.array([2, -1]), "low": np.array(-0.2, np.float32)})


def names():
    """Names that no other format would allow, the same weight twice, and an output that is an input."""
    odd = "in put/\u00e4:0"
    nodes = [
        helper.make_node("Conv", [odd, "l.weight"], ["a"], name="same"),
        helper.make_node("Conv", ["a", "l.weight"], ["b"], name="same again"),
        helper.make_node("Identity", [odd], ["echo"]),
        helper.make_node("Flatten", ["b"], ["out;\n"]),
    ]
    made = model(nodes, [(odd, ["n", 2, 2, 2])], [("out;\n", ["n", 8]), ("echo", ["n", 2, 2, 2])], weights(**{"l.weight": (2, 2, 1, 1)}))
    record("names", made, {odd: normal(3, 2, 2, 2)})


def external():
    made = model([node("y = Conv(x, w, b)")], [("x", ["n", 2, 3, 3])], [("y", ["n", 2, 2, 2])], weights(w=(2, 2, 2, 2), b=(2,)))
    record("external", made, {"x": normal(2, 2, 3, 3)}, external=True)


def branch(text, *before):
    nodes = [node(text) for text in [*before, text]]
    return helper.make_graph(nodes, "branch", [], [helper.make_tensor_value_info(nodes[-1].output[0], 1, None)])


def batches():
    """Models that depend on the extent of the batch, recorded for batches of 1, 2, 3 and 5 as `x@3` and `y@3`; nothing
    where ONNX Runtime refuses one."""
    shape = [node("s = Shape(x)"), node("n = Slice(s, zero, one)")]
    number = [node("s = Shape(x)"), node("n = Gather(s, first)"), node("float = Cast(n)", to=TensorProto.FLOAT)]
    held = ints(first=0, zero=[0], one=[1], minus=[-1], two=[2], three=[3], four=[4], all=[2**63 - 1])
    floats = lambda **values: [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in values.items()]
    twos = helper.make_tensor("v", TensorProto.FLOAT, [1], [2])
    ones = helper.make_tensor("v", TensorProto.INT64, [1], [1])
    two_d, image = ["n", 4], ["n", 3, 4, 4]
    token = floats(token=RANDOM.normal(0, 1, (1, 1, 4)))
    # For all batches at once.
    general = {
        "shape": (image, shape + [node("t = Concat(n, minus)", axis=0), node("y = Reshape(x, t)")], []),
        "arithmetic": (
            image,
            shape
            + [
                node("a = Mul(n, three)"),
                node("b = Add(a, three)"),
                node("c = Div(b, three)"),
                node("d = Sub(c, one)"),
                node("e = Max(d, one)"),
                node("f = Cast(e)", to=TensorProto.FLOAT),
                node("g = Floor(f)"),
                node("h = Cast(g)", to=TensorProto.INT64),
                node("size = Size(x)"),
                node("i = Div(size, h)"),
                node("t = Concat(h, minus)", axis=0),
                node("u = Reshape(x, t)"),
                node("rest = ReduceProd(s)", keepdims=0),
                node("less = Sub(rest, size)"),
                node("zeros = Cast(less)", to=TensorProto.FLOAT),
                node("y = Add(u, zeros)"),
            ],
            [],
        ),
        "token": (
            ["n", 3, 4],
            shape
            + [
                node("t = Concat(n, minus, minus)", axis=0),
                node("rank = Shape(t)"),
                node("ones = ConstantOfShape(rank)", value=ones),
                node("kept = Mul(ones, minus)"),
                node("same = Equal(t, kept)"),
                node("u = Where(same, ones, t)"),
                node("tokens = Expand(token, u)"),
                node("tall = Concat(n, one, one)", axis=0),
                node("more = Tile(token, tall)"),
                node("sum = Add(tokens, more)"),
                node("y = Concat(sum, x)", axis=1),
            ],
            token,
        ),
        "repeated": (
            two_d,
            shape
            + [
                node("twos = ConstantOfShape(s)", value=twos),
                node("far = Slice(twos, zero, all, zero)"),
                node("mean = ReduceMean(far, zero)", keepdims=1),
                node("powers = Exp(far)"),
                node("a = Mul(x, powers)"),
                node("y = Add(a, mean)"),
            ],
            [],
        ),
        "matrices": (
            ["n", 3, 4],
            shape + [node("t = Concat(n, four, two)", axis=0), node("all_m = Expand(m, t)"), node("y = MatMul(x, all_m)")],
            floats(m=RANDOM.normal(0, 1, (1, 4, 2))),
        ),
        # The same names in both branches, for other values.
        "branches": (
            two_d,
            shape
            + [
                node("twos = ConstantOfShape(s)", value=twos),
                node("fours = Add(twos, twos)"),
                helper.make_node("If", ["yes"], ["a"], name="If_a", then_branch=branch("t = Mul(x, r)", "r = Identity(twos)"), else_branch=branch("u = Neg(x)")),
                helper.make_node("If", ["yes"], ["b"], name="If_b", then_branch=branch("t = Mul(x, r)", "r = Identity(fours)"), else_branch=branch("u = Neg(x)")),
                node("y = Sub(a, b)"),
            ],
            [numpy_helper.from_array(np.array(True), "yes")],
        ),
        "condition": (
            two_d,
            number
            + [
                node("some = Greater(n, first)"),
                helper.make_node("If", ["some"], ["a"], name="If_a", then_branch=branch("r = Relu(x)"), else_branch=branch("r2 = Neg(x)")),
                node("y = Slice(a, zero, size, zero)"),
            ],
            [],
        ),
    }
    general["condition"][1].insert(-1, node("size = Slice(s, zero, one)"))
    # For each batch by itself.
    scaled = lambda *nodes: number + [*nodes, node("y = Mul(x, k)")]
    own = {
        "one_row": (image, [node("y = Reshape(x, row)")], ints(row=[1, -1])),
        "one_row_declared": ([5, 3, 4, 4], [node("y = Reshape(x, row)")], ints(row=[1, -1])),
        "literal": (image, [node("y = Reshape(x, row)")], ints(row=[1, 48])),
        "column": (two_d, shape + [node("t = Concat(minus, n)", axis=0), node("y = Reshape(x, t)")], []),
        "half": (two_d, shape + [node("h = Div(n, two)"), node("t = Concat(h, minus)", axis=0), node("y = Reshape(x, t)")], []),
        "at_most": (two_d, shape + [node("h = Min(n, three)"), node("t = Concat(h, minus)", axis=0), node("y = Reshape(x, t)")], []),
        "quotient": (two_d, number + [node("y = Div(x, float)")], []),
        "inverse": (two_d, scaled(node("q = Div(two, n)"), node("k = Cast(q)", to=TensorProto.FLOAT)), []),
        "square": (two_d, scaled(node("q = Mul(n, n)"), node("k = Cast(q)", to=TensorProto.FLOAT)), []),
        "equal": (two_d, scaled(node("q = Equal(n, five)"), node("k = Where(q, a, b)")), ints(five=5) + floats(a=1, b=10)),
        "if_one": (
            two_d,
            number
            + [
                node("q = Equal(n, one)"),
                helper.make_node("If", ["q"], ["y"], name="If_y", then_branch=branch("r = Relu(x)"), else_branch=branch("r2 = Neg(x)")),
            ],
            [],
        ),
        "table": (two_d, scaled(node("k = Gather(table, n)")), floats(table=[0, 1, 2, 3, 4, 50])),
        "range": (
            two_d,
            number
            + [
                node("r = Range(first, n, step)"),
                node("f = Cast(r)", to=TensorProto.FLOAT),
                node("u = Unsqueeze(f, one)"),
                node("y = Add(x, u)"),
            ],
            ints(step=1),
        ),
        "sum_of_repeated": (
            two_d,
            shape + [node("t = ConstantOfShape(s)", value=twos), node("u = ReduceSum(t, zero)", keepdims=1), node("y = Mul(x, u)")],
            [],
        ),
        "lower_rank": (
            ["n", 1, 4],
            shape + [node("t = Concat(n, four)", axis=0), node("u = Expand(v, t)"), node("y = Add(x, u)")],
            floats(v=RANDOM.normal(0, 1, (4,))),
        ),
        "first_four": (two_d, [node("y = Slice(x, zero, four, zero)")], []),
        "columns": (two_d, shape + [node("y = Slice(x, zero, n, one)")], []),
        "constant_row": (["n", 3, 4], [node("y = Concat(token, x)", axis=1)], token),
        "resized": (
            image,
            [node("y = Resize(x, , , sizes)", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")],
            ints(sizes=[2, 3, 8, 8]),
        ),
        "times_batch": (two_d, shape + [node("t = Concat(one, n)", axis=0), node("y = Tile(x, t)")], []),
        "more_axes": (two_d, [node("a = Max(x, low)"), node("b = Min(a, high)"), node("y = Pow(b, square)")], floats(low=[[[-1]]], high=1, square=[2])),
    }
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

    (HERE / "batches").mkdir(exist_ok=True)
    for name, (dims, nodes, more) in (general | own).items():
        used = {text for item in nodes for text in item.input}
        made = model(nodes, [("x", dims)], [("y", None)], [tensor for tensor in held + more if tensor.name in used])
        session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
        arrays = {}
        for batch in (1, 2, 3, 5):
            x = normal(*[batch, *dims[1:]])
            arrays[f"x@{batch}"] = x
            try:
                arrays[f"y@{batch}"] = session.run(None, {"x": x})[0]
            except (Fail, InvalidArgument, RuntimeException):
                pass
        write(f"batches/{name}", made, arrays)


def unsupported():
    nodes = [
        node("a = Erf(x)"),
        node("b, indices = MaxPool(x)", kernel_shape=[2, 2]),
        node("c = Resize(x, , scales)", mode="linear", antialias=1),
        node("d = Cast(a)", to=TensorProto.INT64),
        helper.make_node("Special", ["x"], ["e"], domain="com.example", name="special"),
    ]
    held = [numpy_helper.from_array(np.array([1, 1, 0.5, 0.5], np.float32), "scales")]
    shape = [1, 1, 4, 4]
    outputs = [("d", shape, TensorProto.INT64), ("c", [1, 1, 2, 2]), ("e", shape)]
    onnx.save(model(nodes, [("x", shape)], outputs, held, domains=["com.example"]), HERE / "unsupported.onnx")
    nodes = [node("a = Dropout(x, ratio, training)"), nodes[2], node("f = Pow(x, three)"), node("b, indices = MaxPool(x)", kernel_shape=[2, 2])]
    held += [numpy_helper.from_array(np.array(True), "training"), numpy_helper.from_array(np.float32(0.5), "ratio")]
    held.append(numpy_helper.from_array(np.float32(3), "three"))
    outputs = [("a", shape), ("c", [1, 1, 2, 2]), ("f", shape)]
    onnx.save(model(nodes, [("x", shape)], outputs, held), HERE / "attributes.onnx")
    made = model([node("y = Relu(z)"), node("z = Relu(y)")], [("x", shape)], [("y", shape)], [])
    onnx.save(made, HERE / "cyclic.onnx")


def doconv():
    """DO-Conv layers as PyTorch's two exporters write them, the product as Einsum and as MatMul."""
    import torch
    from torch import nn

    class Layer(nn.Module):
        def __init__(self, inputs, outputs, kernel, way, groups=1, d_mul=None, bias=False, **geometry):
            super().__init__()
            taps = kernel[0] * kernel[1]
            d_mul = d_mul or taps
            self.way, self.kernel, self.sizes = way, kernel, (outputs // groups, inputs, d_mul)
            self.W = nn.Parameter(torch.randn(outputs, inputs // groups, d_mul) * 0.3)
            self.D = nn.Parameter(torch.randn(inputs, taps, d_mul) * 0.1)
            diagonal = torch.zeros(inputs, taps, d_mul)
            for column in range(d_mul // taps * taps):
                diagonal[:, column % taps, column] = 1
            self.d_diag = nn.Parameter(diagonal, requires_grad=False)
            self.bias = nn.Parameter(torch.randn(outputs)) if bias else None
            self.geometry = geometry | {"groups": groups}

        def forward(self, x):
            d, w = self.D + self.d_diag, self.W.reshape(self.sizes)
            if self.way == "einsum":
                product = torch.einsum("ims,ois->oim", d, w)
            else:
                product = torch.matmul(d, w.permute(1, 2, 0)).permute(2, 0, 1)
            shape = (self.W.shape[0], self.W.shape[1], *self.kernel)
            return nn.functional.conv2d(x, product.reshape(shape), self.bias, **self.geometry)

    for way in ("einsum", "matmul"):
        torch.manual_seed(3)
        net = nn.Sequential()
        net.add_module("stem", Layer(3, 4, (3, 3), way, stride=2, padding=1, bias=True))
        net.add_module("depthwise", nn.Sequential(Layer(4, 4, (3, 3), way, groups=4, padding=1), nn.BatchNorm2d(4), nn.ReLU()))
        net.add_module("grouped", Layer(4, 6, (2, 3), way, groups=2, d_mul=14))
        net.add_module("point", nn.Conv2d(6, 5, 1))
        net[1][1].running_mean.normal_()
        net.eval()
        x = torch.randn(2, 3, 9, 8)
        with torch.no_grad():
            y = net(x)
        for name, options in (("legacy", {"do_constant_folding": False}), ("dynamo", {"optimize": False, "external_data": False})):
            path = HERE / f"doconv-{way}-{name}.onnx"
            torch.onnx.export(net, (x,), path, input_names=["x"], output_names=["y"], dynamo=name == "dynamo", **options)
            made = onnx.load(path)
            # Tracebacks and source files of whoever ran this.
            for item in [made, made.graph, *made.graph.node, *made.graph.value_info, *made.functions]:
                del item.metadata_props[:]
                item.doc_string = ""
            parameters = {f"parameter:{key}": value.detach().numpy() for key, value in net.state_dict().items() if key.split(".")[-1] in ("W", "D", "d_diag")}
            write(path.stem, made, {"x": x.numpy(), "y": y.numpy()} | parameters)


if __name__ == "__main__":
    if "torch" in sys.argv:
        doconv()
    else:
        for make in (layers, signals, first_axis, products, shapes, functions, old, kernels, names, external, unsupported, batches):
            make()
