"""The files in tests/data/checkpoints; see make.py."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch
from make import mnist_sample, noise, parameter
from safetensors.numpy import save_file

OUT = Path(__file__).parent.parent / "checkpoints"
LAYERS = {"conv1": (16, 1), "conv2": (16, 16), "conv3": (10, 16)}


def do_conv():
    """A DO-Conv MNIST sample under the authors' PyTorch names and shapes: W, the residual D, the identity, bias."""
    state = {}
    for layer, (o, i) in LAYERS.items():
        state[f"{layer}.W"] = parameter(f"{layer}.weight", (o, i, 3, 3)).reshape(o, i, 9)
        state[f"{layer}.D"] = (0.2 * noise(f"{layer}.D", i * 81)).reshape(i, 9, 9).astype(np.float32)
        state[f"{layer}.d_diag"] = np.tile(np.eye(9, dtype=np.float32), (i, 1, 1))
        state[f"{layer}.bias"] = parameter(f"{layer}.bias", (o,))
    return state


def run(state, image):
    """The logits of such a state: D · W per the paper, then the plain network."""
    module = mnist_sample(LAYERS).eval()
    plain = {}
    for layer, (o, i) in LAYERS.items():
        d = state[f"{layer}.D"].astype(np.float64) + state[f"{layer}.d_diag"]
        kernel = np.einsum("ims,ois->oim", d, state[f"{layer}.W"].astype(np.float64)).reshape(o, i, 3, 3)
        plain[f"{layer}.weight"] = torch.from_numpy(kernel.astype(np.float32))
        plain[f"{layer}.bias"] = torch.from_numpy(state[f"{layer}.bias"])
    module.load_state_dict(plain)
    with torch.no_grad():
        return module(torch.from_numpy(image)).numpy(), plain


class Malicious:
    def __reduce__(self):
        import os

        return os.system, ("true",)


def make_checkpoints():
    OUT.mkdir(exist_ok=True)
    state = do_conv()
    image = noise("image", 2 * 784).reshape(2, 1, 28, 28).astype(np.float32)
    logits, plain = run(state, image)
    save_file({"image": image, "logits": logits}, OUT / "expected.safetensors")
    tensors = {name: torch.from_numpy(array) for name, array in state.items()}
    save = lambda value, name, **options: torch.save(value, OUT / name, **options)

    save(tensors, "doconv.pth")
    save({f"module.{k}": v for k, v in tensors.items()}, "protocol4.pth", pickle_protocol=4)
    save(tensors, "legacy.pth", _use_new_zipfile_serialization=False)
    save({"state_dict": tensors, "epoch": 3, "optimizer": {"state": {0: {"momentum": torch.ones(3)}}}}, "wrapped.pth")
    save({"model": {k: torch.nn.Parameter(v) for k, v in plain.items()}, "lr": 0.1}, "parameters.pt")

    # Every type of number, a transposed view, and two tensors in one storage.
    wide = dict(plain)
    wide["conv1.weight"] = plain["conv1.weight"].double()
    wide["conv2.weight"] = plain["conv2.weight"].permute(3, 1, 0, 2).contiguous().permute(2, 1, 3, 0)
    shared = torch.cat([plain["conv2.bias"], plain["conv3.bias"]])
    wide["conv2.bias"], wide["conv3.bias"] = shared[:16], shared[16:]
    assert not wide["conv2.weight"].is_contiguous()
    save(wide, "views.pth")
    save({k: v.half() for k, v in plain.items()}, "half.pth")
    save({k: v.bfloat16() for k, v in plain.items()}, "bfloat16.pth")

    sequential = dict(zip(LAYERS, ["0", "2", "4"]))
    rename = lambda name: name.replace(name.split(".")[0], sequential[name.split(".")[0]], 1)
    save({rename(k): v for k, v in tensors.items()}, "sequential.pth")

    tensorflow, keras, gluon = {}, {}, {}
    for layer, (o, i) in LAYERS.items():
        w, d, bias = (state[f"{layer}.{part}"] for part in ["W", "D", "bias"])
        tensorflow |= {f"{layer}/kernel:0": w.transpose(2, 1, 0), f"{layer}/D:0": d.transpose(1, 2, 0), f"{layer}/bias:0": bias}
        keras |= {f"{layer}/kernel": plain[f"{layer}.weight"].numpy().transpose(2, 3, 1, 0), f"{layer}/bias": bias}
        gluon |= {f"{layer}.weight": w.reshape(o, i, 3, 3), f"{layer}.D": d.transpose(1, 2, 0), f"{layer}.bias": bias}
    np.savez(OUT / "tensorflow.npz", **tensorflow)
    np.savez_compressed(OUT / "keras.npz", **keras)
    np.savez_compressed(OUT / "gluon.npz", **{k: np.asfortranarray(v) for k, v in gluon.items()})
    np.savez(OUT / "torch.npz", **{k: v.astype(np.float64) for k, v in state.items()})

    save({**tensors, "hook": Malicious()}, "malicious.pth")
    (OUT / "malicious-bare.pth").write_bytes(pickle.dumps(Malicious(), protocol=4))
    huge = torch.zeros(1).expand(1 << 40)
    save({**plain, "conv1.weight": huge}, "huge.pth")
    save({**plain, "conv1.weight": torch.zeros(1).expand(1 << 27)}, "large.pth")
    for name in ["malicious.pth", "huge.pth"]:
        assert zipfile.is_zipfile(io.BytesIO((OUT / name).read_bytes()))
