"""The DO-Conv authors' MNIST sample in PyTorch, several seeds: the share of held-back images that is right.

Three 3×3 convolutions of stride 2, ReLU behind each, and the mean over all pixels; plain, and with the authors' layer: W begins as
PyTorch's convolution does, D at zero. The first 50 000 training images are learned from, in an order drawn for every epoch, and the
last 10 000 held back; batches of 32, SGD at 0.01 with momentum 0.9.

    python3 mnist_sample_torch.py FOLDER_WITH_IDX_FILES [--epochs 15] [--seeds 10] [--first 0] [--kinds plain,doconv]
"""

import argparse
import gzip
import math
import pathlib

import numpy
import torch
from torch import nn
from torch.nn import functional as F


class DOConv(nn.Module):
    """A 3×3 convolution whose kernel is W · (I + D), as `DOConv2d` of github.com/yangyanli/DO-Conv initialises it."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.empty(outputs, inputs, 9))
        nn.init.kaiming_uniform_(self.w, a=math.sqrt(5))
        self.d = nn.Parameter(torch.zeros(inputs, 9, 9))
        self.bias = nn.Parameter(torch.empty(outputs).uniform_(-1 / math.sqrt(9 * inputs), 1 / math.sqrt(9 * inputs)))
        self.register_buffer("identity", torch.eye(9))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = torch.einsum("ims,ois->oim", self.d + self.identity, self.w)
        return F.conv2d(x, kernel.reshape(*self.w.shape[:2], 3, 3), self.bias, stride=2, padding=1)


def network(kind: str) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs, outputs in [(1, 16), (16, 16), (16, 10)]:
        layers.append(DOConv(inputs, outputs) if kind == "doconv" else nn.Conv2d(inputs, outputs, 3, 2, 1))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def idx(folder: pathlib.Path, name: str, header: int) -> numpy.ndarray:
    packed, plain = folder / f"{name}.gz", folder / name
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else plain.read_bytes()
    return numpy.frombuffer(data, numpy.uint8, offset=header)


def accuracy(kind: str, seed: int, epochs: int, images: torch.Tensor, labels: torch.Tensor) -> float:
    torch.manual_seed(seed)
    model = network(kind)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for _ in range(epochs):
        for batch in torch.randperm(50_000).split(32):
            optimiser.zero_grad()
            F.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimiser.step()
    with torch.no_grad():
        return (model(images[50_000:]).argmax(1) == labels[50_000:]).float().mean().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--kinds", default="plain,doconv")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    pixels = idx(arguments.folder, "train-images-idx3-ubyte", 16).reshape(-1, 1, 28, 28)
    images = torch.from_numpy(pixels.astype(numpy.float32) / 255)
    labels = torch.from_numpy(idx(arguments.folder, "train-labels-idx1-ubyte", 8).astype(numpy.int64))
    for kind in arguments.kinds.split(","):
        found = []
        for seed in range(arguments.first, arguments.first + arguments.seeds):
            found.append(100 * accuracy(kind, seed, arguments.epochs, images, labels))
            print(f"{kind}, seed {seed}: {found[-1]:.2f} %", flush=True)
        mean, deviation = numpy.mean(found), numpy.std(found, ddof=1)
        print(f"{kind}: mean {mean:.2f}, {min(found):.2f} to {max(found):.2f}, standard deviation {deviation:.2f}")


if __name__ == "__main__":
    main()
