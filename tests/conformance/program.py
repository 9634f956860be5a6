"""Running the program `doconv` on arrays."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy
from safetensors.numpy import load_file, save_file

# A case takes far less than a second; this is for a program that hangs.
TIMEOUT_S = 120


class NotSupported(Exception):
    """The program said in one line that it does not support something."""


class Failed(Exception):
    """The program ended in any other way than with a result or a clear refusal."""


@dataclass
class Program:
    """The program and the adapter that it is to compute on."""

    path: Path
    adapter: str

    def run(self, model: Path, inputs: dict[str, numpy.ndarray], mode: str = "folded") -> dict[str, numpy.ndarray]:
        """`doconv run` of a model file on arrays by name."""
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder, "in.safetensors"), Path(folder, "out.safetensors")
            save_file({name: numpy.asarray(value, order="C") for name, value in inputs.items()}, given)
            arguments = ["run", model, "--input", given, "--output", made, "--adapter", self.adapter, "--mode", mode]
            self.call(arguments)
            return load_file(made)

    def call(self, arguments: list) -> str:
        """What the program prints, or an exception with what it said instead."""
        try:
            done = subprocess.run(
                [self.path, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"no end after {TIMEOUT_S} s") from error
        if done.returncode == 0:
            return done.stdout
        lines = done.stderr.strip().splitlines()
        if done.returncode == 1 and len(lines) == 1 and refusal(lines[0]):
            raise NotSupported(lines[0])
        raise Failed(f"exit code {done.returncode}: {' | '.join(lines[-3:])}")


def refusal(line: str) -> bool:
    """Whether an error says that something is not supported, and not that something went wrong."""
    says_so = re.search(r"not supported|unsupported|does not support|no support", line, re.IGNORECASE)
    return line.startswith("error: ") and says_so is not None


def difference(got: numpy.ndarray, want: numpy.ndarray, rtol: float, atol: float) -> str | None:
    """How two arrays differ, as ONNX's own runner compares them; `None` where they do not."""
    if got.shape != want.shape:
        return f"shape {list(got.shape)} where {list(want.shape)} is wanted"
    if got.dtype != want.dtype:
        return f"type {got.dtype} where {want.dtype} is wanted"
    close = numpy.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if close.all():
        return None
    where = tuple(int(index[0]) for index in numpy.nonzero(~close))
    return f"{int((~close).sum())} of {close.size} values differ, the first at {list(where)}: {got[where]} for {want[where]}"


def prove_that_comparisons_fail() -> None:
    """Shows that what is wrong is not taken for equal; a comparison that cannot fail says nothing."""
    right = numpy.linspace(-1, 1, 12, dtype=numpy.float32).reshape(3, 4)
    value, not_a_number = right.copy(), right.copy()
    value[1, 2] *= 1.01
    not_a_number[0, 0] = numpy.nan
    for wrong in (value, not_a_number, right.T, right[:1], right.astype(float)):
        assert difference(wrong, right, 1e-3, 1e-7) is not None
    assert difference(right.copy(), right, 1e-3, 1e-7) is None
    assert refusal("error: m.onnx: these operators are not supported: LSTM")
    assert not refusal("error: m.onnx: tensor `w`: missing") and not refusal("thread panicked: not supported")
