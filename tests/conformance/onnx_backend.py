"""ONNX's own backend tests against `doconv run`.

Runs every case of the kinds `node`, `pytorch-converted` and `pytorch-operator` that is made of the operators below, is
float32 and has at most four axes. A case passes if shape, type and values of every output are those that ONNX recorded,
within the case's tolerances. It counts as not supported only if the program says so in one line; a wrong value or shape,
a crash and any other error are failures. Ends with 1 if a case fails, or if fewer pass than are recorded here.
"""

import argparse
import json
import os
import sys
import tempfile
import warnings
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy
import onnx
import onnxruntime
from onnx import numpy_helper
from onnx.backend.test import loader

from program import Failed, NotSupported, Program, difference, prove_that_comparisons_fail

# What passed when this was last changed. It may only grow.
FLOOR = 292

KINDS = ("node", "pytorch-converted", "pytorch-operator")
OPERATORS = set(
    """
    Add AveragePool BatchNormalization Clip Concat Constant Conv ConvTranspose Div Dropout Flatten Gather Gemm
    GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish Identity LRN LeakyRelu LogSoftmax MatMul MaxPool Mul PRelu Pad
    ReduceMean Relu Reshape Resize Shape Sigmoid Slice Softmax Squeeze Sub Transpose Unsqueeze Upsample
    """.split()
)
MOST_AXES = 4
STATUSES = ("passed", "failed", "not supported")


@dataclass
class Case:
    """A model with what it should make of some arrays, once or several times."""

    name: str
    kind: str
    model: onnx.ModelProto
    data: list
    rtol: float
    atol: float
    status: str = ""
    reason: str = ""
    # What ONNX Runtime makes of it.
    peer: str = ""

    @property
    def operators(self) -> list[str]:
        return sorted({node.op_type for node in self.model.graph.node})

    def selected(self) -> bool:
        """Whether the case is within what this project is about."""
        graph = self.model.graph
        types = [value.type.tensor_type for value in [*graph.input, *graph.output]]
        floats = [*(value.type.tensor_type for value in graph.output), *types[:1]]
        return (
            set(self.operators) <= OPERATORS
            and all(len(each.shape.dim) <= MOST_AXES for each in types)
            and all(each.elem_type == onnx.TensorProto.FLOAT for each in floats)
        )

    def inputs(self, arrays: list) -> dict[str, numpy.ndarray]:
        """The arrays by name; in old files the weights are inputs too, and have their values."""
        weights = {tensor.name for tensor in self.model.graph.initializer}
        names = [value.name for value in self.model.graph.input]
        if len(arrays) < len(names):
            names = [name for name in names if name not in weights]
        return {name: numpy.asarray(array) for name, array in zip(names, arrays, strict=True)}

    def check(self, outputs: dict[str, numpy.ndarray], wanted: list) -> None:
        """Compares all outputs with the recorded ones."""
        for value, want in zip(self.model.graph.output, wanted, strict=True):
            if value.name not in outputs:
                raise Failed(f"no output `{value.name}`, only {sorted(outputs)}")
            if reason := difference(outputs[value.name], numpy.asarray(want), self.rtol, self.atol):
                raise Failed(f"`{value.name}`: {reason}")


def cases() -> list[Case]:
    """All cases that are selected."""
    found = []
    for kind in KINDS:
        for each in loader.load_model_tests(kind=kind):
            if each.model is not None:
                model, data = each.model, each.data_sets
            else:
                model = onnx.load(Path(each.model_dir, "model.onnx"))
                data = [recorded(folder) for folder in sorted(Path(each.model_dir).glob("test_data_set_*"))]
            found.append(Case(each.name, kind, model, data, each.rtol, each.atol))
    return [case for case in found if case.selected()]


def recorded(folder: Path) -> tuple[list, list]:
    """Inputs and outputs of a case that lies in files."""

    def read(part: str) -> list:
        count = len(list(folder.glob(f"{part}_*.pb")))
        return [numpy_helper.to_array(onnx.load_tensor(folder / f"{part}_{index}.pb")) for index in range(count)]

    return read("input"), read("output")


def run_ours(program: Program, case: Case, folder: Path) -> None:
    """Runs a case and notes what came of it."""
    file = folder / f"{case.kind}-{case.name}.onnx"
    onnx.save(case.model, file)
    try:
        if not case.data:
            raise Failed("the case has no data")
        for inputs, outputs in case.data:
            case.check(program.run(file, case.inputs(inputs)), outputs)
        case.status = "passed"
    except NotSupported as error:
        case.status, case.reason = "not supported", str(error)
    except Failed as error:
        case.status, case.reason = "failed", str(error)


def run_peer(case: Case) -> None:
    """The same with ONNX Runtime's CPU provider."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            case.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in session.get_outputs()]
        for inputs, outputs in case.data:
            case.check(dict(zip(names, session.run(None, case.inputs(inputs)))), outputs)
        case.peer = "passed"
    except Failed:
        case.peer = "failed"
    except Exception as error:  # Its exceptions have no common base but this.
        case.peer = "not supported" if "NOT_IMPLEMENTED" in str(error) else "failed"


def table(all_cases: list[Case]) -> str:
    """The counts by operator."""
    lines = [f"{'operator':<20}" + "".join(f"{status:>15}" for status in STATUSES)]
    for operator in sorted({operator for case in all_cases for operator in case.operators}):
        counts = Counter(case.status for case in all_cases if operator in case.operators)
        lines.append(f"{operator:<20}" + "".join(f"{counts[status]:>15}" for status in STATUSES))
    counts = Counter(case.status for case in all_cases)
    lines.append(f"{'all cases':<20}" + "".join(f"{counts[status]:>15}" for status in STATUSES))
    return "\n".join(lines)


def record(all_cases: list[Case], adapter: str) -> dict:
    """The same for programs."""
    return {
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "adapter": adapter,
        "cases": len(all_cases),
        "totals": {status: sum(case.status == status for case in all_cases) for status in STATUSES},
        "onnxruntime_totals": {status: sum(case.peer == status for case in all_cases) for status in STATUSES},
        "results": [
            {
                "name": case.name,
                "kind": case.kind,
                "operators": case.operators,
                "status": case.status,
                "reason": case.reason,
                "onnxruntime": case.peer,
            }
            for case in all_cases
        ],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="the binary doconv")
    parser.add_argument("--adapter", default="llvmpipe", help="what it computes on [%(default)s]")
    parser.add_argument("--only", default="", help="only cases whose name contains this; nothing is compared with the floor")
    parser.add_argument("--json", type=Path, help="where to write a record of all cases")
    arguments = parser.parse_args()

    prove_that_comparisons_fail()
    program = Program(arguments.program.resolve(), arguments.adapter)
    with warnings.catch_warnings():
        # Making the cases overflows on purpose.
        warnings.simplefilter("ignore")
        all_cases = [case for case in cases() if arguments.only in case.name]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda case: run_ours(program, case, Path(folder)), all_cases))
    for case in all_cases:
        run_peer(case)

    print(table(all_cases))
    print("A case counts for every operator in it.")
    for status in ("not supported", "failed"):
        concerned = [case for case in all_cases if case.status == status]
        if concerned:
            print(f"\n{status}:")
        for case in concerned:
            print(f"  {case.kind} {case.name}: {case.reason}")
    passed = sum(case.status == "passed" for case in all_cases)
    failed = sum(case.status == "failed" for case in all_cases)
    peer = sum(case.peer == "passed" for case in all_cases)
    print(
        f"\ndoconv on {arguments.adapter} passes {passed} of {len(all_cases)} cases of onnx {onnx.__version__}, "
        f"{failed} fail; onnxruntime {onnxruntime.__version__} passes {peer}"
    )
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(record(all_cases, arguments.adapter), indent=1) + "\n")
    if failed:
        return 1
    if not arguments.only and passed < FLOOR:
        print(f"the floor is {FLOOR}: something that worked does not work any more")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
