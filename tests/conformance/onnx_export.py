"""Exported networks against ONNX's checker and ONNX Runtime.

Reads what `cargo test --test onnx_export` wrote: random networks of every family as ONNX files, as model files, and with
arrays for them. Each ONNX file must pass the full check, and ONNX Runtime must make of it what `doconv run` makes of the
model file, on every adapter that is named. Then the same for the bundled ImageNet network, written by `doconv fold`, on
photographs.
"""

import argparse
import json
import os
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy
import onnx
import onnxruntime
from safetensors.numpy import load_file

from program import Failed, NotSupported, Program

# Of the range of an output's values.
TOLERANCE = 1e-4
# Of probabilities, and the share of a logit's range that storing f16 may cost.
SCORE_TOLERANCE = 1e-3
# Fewer networks than this means that the test did not write them.
LEAST_NETWORKS = 60


def peer(file: Path, inputs: dict[str, numpy.ndarray]) -> dict[str, numpy.ndarray]:
    """What ONNX Runtime makes of a file that passes the check."""
    onnx.checker.check_model(onnx.load(file), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, inputs)))
    for output in session.get_outputs():
        # Symbolic extents are words.
        for said, found in zip(output.shape, outputs[output.name].shape, strict=True):
            if isinstance(said, int) and said != found:
                raise Failed(f"`{output.name}` is said to be {output.shape}, and is {outputs[output.name].shape}")
    return outputs


def compare(got: dict[str, numpy.ndarray], want: dict[str, numpy.ndarray]) -> float:
    """The largest difference as a share of its output's range; raises where it is too large."""
    # An output that a network lists twice has two names in ONNX.
    if not set(got) <= set(want):
        raise Failed(f"outputs {sorted(got)} where {sorted(want)} are wanted")
    worst = 0.0
    for name, values in got.items():
        if values.shape != want[name].shape:
            raise Failed(f"`{name}`: shape {values.shape} where {want[name].shape} is wanted")
        extent = float(numpy.abs(want[name]).max(initial=0.0))
        apart = float(numpy.abs(values.astype(float) - want[name].astype(float)).max(initial=0.0))
        share = apart / extent if extent > 0 else apart
        if not share <= TOLERANCE:
            raise Failed(f"`{name}`: {apart:g} apart, of values up to {extent:g}")
        worst = max(worst, share)
    return worst


def prove_that_comparisons_fail() -> None:
    """Shows that what is wrong is not taken for equal."""
    right = {"y": numpy.linspace(-5, 5, 12, dtype=numpy.float32).reshape(3, 4)}
    off, not_a_number = right["y"].copy(), right["y"].copy()
    off[2, 1] += 10 * TOLERANCE
    not_a_number[0, 0] = numpy.nan
    for wrong in (off, not_a_number, right["y"].T):
        try:
            compare({"y": wrong}, right)
        except Failed:
            continue
        raise AssertionError(f"taken for equal: {wrong}")
    compare({"y": right["y"].copy()}, right)


def network(programs: list[Program], file: Path) -> tuple[str, float, str]:
    """Name, largest difference and failure of one network."""
    name = file.stem
    try:
        inputs = load_file(file.with_suffix(".inputs.safetensors"))
        wanted = peer(file, inputs)
        ours = [program.run(file.with_suffix(".safetensors"), inputs) for program in programs]
        return name, max(compare(outputs, wanted) for outputs in ours), ""
    except (Failed, NotSupported) as error:
        return name, 0.0, str(error)
    except Exception as error:  # The checker and the runtime have no common base but this.
        return name, 0.0, f"{type(error).__name__}: {' '.join(str(error).split())}"


def probabilities(logits: numpy.ndarray) -> numpy.ndarray:
    powers = numpy.exp(logits.astype(float) - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def classifier(programs: list[Program], bundled: Path, folder: Path, dtype: str) -> str:
    """The bundled network on photographs: the same first class and scores. Gives a line about it."""
    inputs = load_file(folder / "photographs.safetensors")
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary, "bundled.onnx")
        programs[0].call(["fold", bundled, file, "--dtype", dtype])
        labels = {entry.key: json.loads(entry.value) for entry in onnx.load(file).metadata_props}
        if len(labels["doconv.labels"]) != 1000 or "mean" not in labels["doconv.preprocess"]:
            raise Failed("labels or preprocessing are not in the file's metadata")
        [(name, logits)] = peer(file, inputs).items()
        # A batch of another size than the one before.
        [first] = peer(file, {key: value[:1] for key, value in inputs.items()}).values()
    if logits.shape != (len(inputs["image"]), 1000) or numpy.abs(first - logits[:1]).max() > 1e-3:
        raise Failed(f"logits of shape {logits.shape}, or others for a batch of one")
    wanted, worst = probabilities(logits), 0.0
    for program in programs:
        ours = program.run(bundled, inputs)[name]
        if (ours.argmax(axis=1) != logits.argmax(axis=1)).any():
            raise Failed(f"on {program.adapter}, other classes: {ours.argmax(axis=1)} for {logits.argmax(axis=1)}")
        apart = float(numpy.abs(probabilities(ours) - wanted).max())
        if not apart <= SCORE_TOLERANCE:
            raise Failed(f"on {program.adapter}, scores are {apart:g} apart")
        worst = max(worst, apart)
    best = [f"{labels['doconv.labels'][each]}" for each in logits.argmax(axis=1)]
    return f"bundled network, {dtype}: {', '.join(best)}; scores at most {worst:.1e} apart"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=Path, help="the binary doconv")
    parser.add_argument("folder", type=Path, help="what the test wrote")
    parser.add_argument("--bundled", type=Path, required=True, help="the bundled model file")
    parser.add_argument("--adapter", action="append", required=True, help="what doconv computes on; may be repeated")
    arguments = parser.parse_args()

    prove_that_comparisons_fail()
    programs = [Program(arguments.program.resolve(), adapter) for adapter in arguments.adapter]
    files = sorted(arguments.folder.glob("*.onnx"))
    if len(files) < LEAST_NETWORKS:
        print(f"{arguments.folder} has {len(files)} networks where at least {LEAST_NETWORKS} are wanted: run the test")
        return 1
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda file: network(programs, file), files))
    failures = [(name, failure) for name, _, failure in results if failure]
    worst = max(results, key=lambda result: result[1])
    on = " and ".join(arguments.adapter)
    print(
        f"{len(files) - len(failures)} of {len(files)} exported networks pass the checker of onnx {onnx.__version__}, and "
        f"onnxruntime {onnxruntime.__version__} gives what doconv gives on {on}: at most {worst[1]:.1e} of the range apart "
        f"({worst[0]})"
    )
    for name, failure in failures:
        print(f"  {name}: {failure}")
    for dtype in ("f32", "f16"):
        try:
            print(classifier(programs, arguments.bundled, arguments.folder, dtype))
        except (Failed, NotSupported) as failure:
            failures.append((dtype, str(failure)))
            print(f"bundled network, {dtype}: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
