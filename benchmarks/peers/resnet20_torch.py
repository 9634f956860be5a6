"""Images per second of training ResNet-20 on 32×32 images in PyTorch on the CPU, plain and with DO-Conv layers.

The network is `--arch resnet20`; the layer composes W and D for every step, as the DO-Conv authors' does. Nesterov's momentum,
random images: nothing but the steps is timed.

    python3 resnet20_torch.py [--batch 64] [--threads 2] [--seconds 20]
"""

import argparse
import time

import torch
from torch import nn
from torch.nn import functional as F


class DOConv(nn.Module):
    """A 3×3 convolution whose kernel is W · (I + D), with a D of the usual 9 columns."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.w = nn.Parameter(torch.empty(outputs, inputs, 9))
        nn.init.kaiming_normal_(self.w.view(outputs, inputs, 3, 3), mode="fan_out")
        self.d = nn.Parameter(torch.zeros(inputs, 9, 9))
        self.register_buffer("identity", torch.eye(9).expand(inputs, 9, 9).clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kernel = torch.einsum("ims,ois->oim", self.d + self.identity, self.w)
        return F.conv2d(x, kernel.reshape(*self.w.shape[:2], 3, 3), stride=self.stride, padding=1)


def convolution(doconv: bool, inputs: int, outputs: int, stride: int) -> nn.Module:
    return DOConv(inputs, outputs, stride) if doconv else nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class Block(nn.Module):
    def __init__(self, doconv: bool, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride, self.more = stride, outputs - inputs
        self.conv1, self.bn1 = convolution(doconv, inputs, outputs, stride), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = convolution(doconv, outputs, outputs, 1), nn.BatchNorm2d(outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.stride > 1 or self.more:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.more // 2, self.more - self.more // 2))
        return F.relu(x + y)


def resnet20(doconv: bool) -> nn.Module:
    layers = [convolution(doconv, 3, 16, 1), nn.BatchNorm2d(16), nn.ReLU()]
    inputs = 16
    for outputs, first in [(16, 1), (32, 2), (64, 2)]:
        for stride in [first, 1, 1]:
            layers.append(Block(doconv, inputs, outputs, stride))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def images_per_second(doconv: bool, batch: int, seconds: float) -> float:
    torch.manual_seed(0)
    network = resnet20(doconv).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images, labels = torch.randn(batch, 3, 32, 32), torch.randint(10, (batch,))

    def step() -> None:
        optimiser.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimiser.step()

    for _ in range(3):
        step()
    steps, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        step()
        steps += 1
    return steps * batch / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for doconv in [False, True]:
        rate = images_per_second(doconv, arguments.batch, arguments.seconds)
        print(f"{'DO-Conv' if doconv else 'plain'}: {rate:.0f} images/s, PyTorch {torch.__version__}")


if __name__ == "__main__":
    main()
