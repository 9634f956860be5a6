"""Makes what tests/zoo.rs and tests/checkpoints.rs compare with, by PyTorch and torchvision.

    python tests/data/zoo/make.py              # parameters.txt and logits.safetensors
    python tests/data/zoo/make.py checkpoints  # the files in tests/data/checkpoints

Last run with torch 2.15, torchvision 0.29 and numpy 2. Networks that torchvision does not have are written down here
after GluonCV's code; variants called `.gluon` have GluonCV's structure, and so its structured names.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision.models as tv
from safetensors.numpy import save_file
from torch import nn

HERE = Path(__file__).parent
IMAGENET = (3, 66, 70)
KEEP_EVERY = 7
MASK = (1 << 64) - 1
DEPTHS = [18, 34, 50, 101, 152]
BLOCKS = {18: [2, 2, 2, 2], 34: [3, 4, 6, 3], 50: [3, 4, 6, 3], 101: [3, 4, 23, 3], 152: [3, 8, 36, 3]}


# ---------------------------------------------------------------- reproducible numbers


def fnv1a(text):
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = (state ^ byte) * 0x100000001B3 & MASK
    return state


def noise(name, count):
    """Numbers in [-1, 1): splitmix64 seeded with the name's hash, the upper 24 bits of every output."""
    with np.errstate(over="ignore"):
        z = np.uint64(fnv1a(name)) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1.0


def parameter(name, shape):
    shape = tuple(shape)
    values = noise(name, int(np.prod(shape)))
    part = name.rsplit(".", 1)[1]
    if part == "weight" and len(shape) > 1:
        values = values * np.sqrt(6.0 / np.prod(shape[1:]))
    elif part in ("weight", "running_var"):
        values = 1.0 + 0.25 * values
    else:
        values = 0.1 * values
    return values.reshape(shape).astype(np.float32)


def fill(module):
    state = {k: v for k, v in module.state_dict().items() if not k.endswith("num_batches_tracked")}
    module.load_state_dict({k: torch.from_numpy(parameter(k, v.shape)) for k, v in state.items()}, strict=False)
    return state


# ---------------------------------------------------------------- networks


def c(i, o, k, s=1, g=1, bias=False):
    return nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=bias)


class Residual(nn.Module):
    """A block of torchvision's naming whose shortcut is `downsample`, `shortcut` or absent (None)."""

    def __init__(self, i, o, s, shortcut):
        super().__init__()
        self.conv1, self.bn1 = c(i, o, 3, s), nn.BatchNorm2d(o)
        self.conv2, self.bn2 = c(o, o, 3), nn.BatchNorm2d(o)
        self.shortcut_name = shortcut
        if shortcut and (s != 1 or i != o):
            setattr(self, shortcut, nn.Sequential(c(i, o, 1, s), nn.BatchNorm2d(o)))

    def forward(self, x):
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.shortcut_name:
            y = y + getattr(self, self.shortcut_name, lambda x: x)(x)
        return y.relu()


class GluonBlock(nn.Module):
    """BasicBlockV1, BottleneckV1 and ResNeXt's Block of GluonCV."""

    def __init__(self, i, o, s, kind, project, shortcuts=True):
        super().__init__()
        norm, relu = nn.BatchNorm2d, nn.ReLU
        if kind == "basic":
            layers = [c(i, o, 3, s), norm(o), relu(), c(o, o, 3), norm(o)]
        elif kind == "bottleneck":
            w = o // 4
            layers = [c(i, w, 1, s, bias=True), norm(w), relu(), c(w, w, 3), norm(w), relu(), c(w, o, 1, bias=True), norm(o)]
        else:
            w = o // 2
            layers = [c(i, w, 1), norm(w), relu(), c(w, w, 3, s, 32), norm(w), relu(), c(w, o, 1), norm(o)]
        self.body = nn.Sequential(*layers)
        self.downsample = nn.Sequential(c(i, o, 1, s), norm(o)) if project and shortcuts else None
        self.shortcuts = shortcuts

    def forward(self, x):
        y = self.body(x)
        if self.shortcuts:
            y = y + (self.downsample(x) if self.downsample else x)
        return y.relu()


class PreActivation(nn.Module):
    """BasicBlockV2 and BottleneckV2 of GluonCV."""

    def __init__(self, i, o, s, bottleneck, project):
        super().__init__()
        shapes = [(i, o // 4, 1, 1), (o // 4, o // 4, 3, s), (o // 4, o, 1, 1)] if bottleneck else [(i, o, 3, s), (o, o, 3, 1)]
        self.count = len(shapes)
        for n, (a, b, k, stride) in enumerate(shapes, 1):
            setattr(self, f"bn{n}", nn.BatchNorm2d(a))
            setattr(self, f"conv{n}", c(a, b, k, stride))
        self.downsample = c(i, o, 1, s) if project else None

    def forward(self, x):
        residual = x
        for n in range(1, self.count + 1):
            x = getattr(self, f"bn{n}")(x).relu()
            if n == 1 and self.downsample:
                residual = self.downsample(x)
            x = getattr(self, f"conv{n}")(x)
        return x + residual


class Net(nn.Module):
    """Named parts one after the other."""

    def __init__(self, **parts):
        super().__init__()
        self.names = list(parts)
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        for name in self.names:
            x = getattr(self, name)(x)
        return x


class Pool(nn.Sequential):
    def __init__(self):
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def stages(block, channels, counts, i, first_stride=1):
    for n, (o, count) in enumerate(zip(channels, counts)):
        s = first_stride if n == 0 else 2
        blocks = []
        for r in range(count):
            blocks.append(block(i, o, s if r == 0 else 1))
            i = o
        yield nn.Sequential(*blocks)


def stem():
    return [c(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]


def plain18():
    conv1, bn1, relu, pool = stem()
    layers = stages(lambda i, o, s: Residual(i, o, s, None), [64, 128, 256, 512], BLOCKS[18], 64)
    layers = {f"layer{n}": layer for n, layer in enumerate(layers, 1)}
    return Net(conv1=conv1, bn1=bn1, relu=relu, maxpool=pool, **layers, pool=Pool(), fc=nn.Linear(512, 1000))


def gluon_resnet(depth, kind=None, shortcuts=True):
    kind = kind or ("basic" if depth < 50 else "bottleneck")
    channels = [64, 128, 256, 512] if depth < 50 else [256, 512, 1024, 2048]
    block = lambda i, o, s: GluonBlock(i, o, s, kind, i != o, shortcuts)
    layers = stages(block, channels, BLOCKS[depth], 64)
    return Net(features=nn.Sequential(*stem(), *layers, Pool()), output=nn.Linear(channels[-1], 1000))


def resnet_v2(depth, gluon=False):
    channels = [64, 128, 256, 512] if depth < 50 else [256, 512, 1024, 2048]
    block = lambda i, o, s: PreActivation(i, o, s, depth >= 50, i != o)
    layers = list(stages(block, channels, BLOCKS[depth], 64))
    final, fc = nn.BatchNorm2d(channels[-1]), nn.Linear(channels[-1], 1000)
    if gluon:
        return Net(features=nn.Sequential(nn.BatchNorm2d(3), *stem(), *layers, final, nn.ReLU(), Pool()), output=fc)
    conv1, bn1, relu, pool = stem()
    layers = {f"layer{n}": layer for n, layer in enumerate(layers, 1)}
    return Net(
        bn_data=nn.BatchNorm2d(3), conv1=conv1, bn1=bn1, relu=relu, maxpool=pool, **layers,
        bn_final=final, relu_final=nn.ReLU(), pool=Pool(), fc=fc,
    )


def cifar(depth, gluon=False):
    counts = [(depth - 2) // 6] * 3
    if gluon:
        layers = stages(lambda i, o, s: GluonBlock(i, o, s, "basic", i != o), [16, 32, 64], counts, 16)
        return Net(features=nn.Sequential(c(3, 16, 3), nn.BatchNorm2d(16), *layers, Pool()), output=nn.Linear(64, 10))
    layers = stages(lambda i, o, s: Residual(i, o, s, "shortcut"), [16, 32, 64], counts, 16)
    layers = {f"layer{n}": layer for n, layer in enumerate(layers, 1)}
    return Net(conv1=c(3, 16, 3), bn1=nn.BatchNorm2d(16), relu=nn.ReLU(), **layers, pool=Pool(), linear=nn.Linear(64, 10))


def mobilenet_v1(gluon=False):
    inputs = [32, 64, 128, 128, 256, 256] + [512] * 6 + [1024]
    outputs = [64, 128, 128, 256, 256] + [512] * 6 + [1024] * 2
    strides = [1, 2] * 3 + [1] * 5 + [2, 1]
    norm, relu = nn.BatchNorm2d, nn.ReLU
    if gluon:
        features = [c(3, 32, 3, 2), norm(32), relu()]
        for i, o, s in zip(inputs, outputs, strides):
            features += [c(i, i, 3, s, i), norm(i), relu(), c(i, o, 1), norm(o), relu()]
        return Net(features=nn.Sequential(*features, Pool()), output=nn.Linear(1024, 1000))
    blocks = [
        Net(conv1=c(i, i, 3, s, i), bn1=norm(i), relu1=relu(), conv2=c(i, o, 1), bn2=norm(o), relu2=relu())
        for i, o, s in zip(inputs, outputs, strides)
    ]
    layers = nn.Sequential(*blocks)
    return Net(conv1=c(3, 32, 3, 2), bn1=norm(32), relu=relu(), layers=layers, pool=Pool(), fc=nn.Linear(1024, 1000))


class LinearBottleneck(nn.Module):
    def __init__(self, i, o, t, s):
        super().__init__()
        w, norm = i * t, nn.BatchNorm2d
        self.shortcut = s == 1 and i == o
        self.out = nn.Sequential(
            c(i, w, 1), norm(w), nn.ReLU6(), c(w, w, 3, s, w), norm(w), nn.ReLU6(), c(w, o, 1), norm(o)
        )

    def forward(self, x):
        return self.out(x) + x if self.shortcut else self.out(x)


def mobilenet_v2_gluon():
    inputs = [32, 16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3
    outputs = [16] + [24] * 2 + [32] * 3 + [64] * 4 + [96] * 3 + [160] * 3 + [320]
    strides = [1, 2] * 2 + [1, 1, 2] + [1] * 6 + [2] + [1] * 3
    features = [c(3, 32, 3, 2), nn.BatchNorm2d(32), nn.ReLU6()]
    for n, (i, o, s) in enumerate(zip(inputs, outputs, strides)):
        features.append(LinearBottleneck(i, o, 1 if n == 0 else 6, s))
    features += [c(320, 1280, 1), nn.BatchNorm2d(1280), nn.ReLU6(), nn.AdaptiveAvgPool2d(1)]
    return Net(features=nn.Sequential(*features), output=nn.Sequential(c(1280, 1000, 1), nn.Flatten()))


class Unit(Net):
    def __init__(self, i, o, k=1, s=1, g=1, act=None):
        super().__init__(conv=c(i, o, k, s, g), bn=nn.BatchNorm2d(o), **({"act": act()} if act else {}))


class Squeeze(nn.Module):
    def __init__(self, channels):
        super().__init__()
        middle = -(-(channels // 4) // 8) * 8
        self.conv1, self.conv2 = c(channels, middle, 1, bias=True), c(middle, channels, 1, bias=True)

    def forward(self, x):
        gate = self.conv2(self.conv1(x.mean((2, 3), keepdim=True)).relu())
        return x * nn.functional.hardsigmoid(gate)


class ResUnit(nn.Module):
    def __init__(self, i, k, w, o, se, act, s):
        super().__init__()
        self.expand = Unit(i, w, act=act) if w != o else None
        self.conv1 = Unit(w, w, k, s, w, act)
        self.se = Squeeze(w) if se else None
        self.conv2 = Unit(w, o)
        self.shortcut = s == 1 and i == o

    def forward(self, x):
        y = self.conv1(self.expand(x) if self.expand else x)
        y = self.conv2(self.se(y) if self.se else y)
        return x + y if self.shortcut else y


def mobilenet_v3_gluon(large):
    relu, swish = nn.ReLU, nn.Hardswish
    cfg = [
        (3, 16, 16, 0, relu, 1), (3, 64, 24, 0, relu, 2), (3, 72, 24, 0, relu, 1), (5, 72, 40, 1, relu, 2),
        (5, 120, 40, 1, relu, 1), (5, 120, 40, 1, relu, 1), (3, 240, 80, 0, swish, 2), (3, 200, 80, 0, swish, 1),
        (3, 184, 80, 0, swish, 1), (3, 184, 80, 0, swish, 1), (3, 480, 112, 1, swish, 1), (3, 672, 112, 1, swish, 1),
        (5, 672, 160, 1, swish, 2), (5, 960, 160, 1, swish, 1), (5, 960, 160, 1, swish, 1),
    ] if large else [
        (3, 16, 16, 1, relu, 2), (3, 72, 24, 0, relu, 2), (3, 88, 24, 0, relu, 1), (5, 96, 40, 1, swish, 2),
        (5, 240, 40, 1, swish, 1), (5, 240, 40, 1, swish, 1), (5, 120, 48, 1, swish, 1), (5, 144, 48, 1, swish, 1),
        (5, 288, 96, 1, swish, 2), (5, 576, 96, 1, swish, 1), (5, 576, 96, 1, swish, 1),
    ]
    features, i, last = [c(3, 16, 3, 2), nn.BatchNorm2d(16), swish()], 16, 960 if large else 576
    for k, w, o, se, act, s in cfg:
        features.append(ResUnit(i, k, w, o, se, act, s))
        i = o
    features += [c(i, last, 1), nn.BatchNorm2d(last), swish(), nn.AdaptiveAvgPool2d(1), c(last, 1280, 1), swish()]
    output = nn.Sequential(c(1280, 1000, 1, bias=True), nn.Flatten())
    return Net(features=nn.Sequential(*features), output=output)


def vgg16_gluon():
    features = list(tv.vgg16(weights=None).features)
    features += [nn.Sequential(), nn.Dropout(), nn.Sequential(), nn.Dropout()]
    features[31] = nn.Linear(512 * 49, 4096)
    features[33] = nn.Linear(4096, 4096)

    class Gluon(Net):
        def forward(self, x):
            for n, layer in enumerate(self.features):
                x = layer(x.flatten(1) if n == 31 else x)
                x = x.relu() if n in (31, 33) else x
            return self.output(x)

    return Gluon(features=nn.Sequential(*features), output=nn.Linear(4096, 1000))


class Concurrent(nn.Sequential):
    def forward(self, x):
        return torch.cat([path(x) for path in self], 1)


def squeezenet_gluon():
    def fire(i, s, e):
        one = nn.Sequential(c(s, e, 1, bias=True), nn.ReLU())
        three = nn.Sequential(c(s, e, 3, bias=True), nn.ReLU())
        return nn.Sequential(nn.Sequential(c(i, s, 1, bias=True), nn.ReLU()), Concurrent(one, three))

    pool = lambda: nn.MaxPool2d(3, 2, ceil_mode=True)
    features = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), fire(64, 16, 64), fire(128, 16, 64), pool(),
        fire(128, 32, 128), fire(256, 32, 128), pool(), fire(256, 48, 192), fire(384, 48, 192),
        fire(384, 64, 256), fire(512, 64, 256),
    )
    return Net(features=features, output=nn.Sequential(c(512, 1000, 1, bias=True), nn.ReLU(), Pool()))


def mnist_sample(names):
    parts, i = {}, 1
    for n, (name, o) in enumerate(zip(names, [16, 16, 10])):
        parts |= {name: c(i, o, 3, 2, bias=True), f"relu{n}": nn.ReLU()}
        i = o
    return Net(**parts, pool=Pool())


def networks():
    """Name, module and input shape of every network; those after a dot are further namings."""
    yield "plain18", plain18, IMAGENET
    yield "plain18.gluon", lambda: gluon_resnet(18, shortcuts=False), IMAGENET
    for depth in DEPTHS:
        yield f"resnet{depth}", getattr(tv, f"resnet{depth}"), IMAGENET
        yield f"resnet{depth}.gluon", lambda: gluon_resnet(depth), IMAGENET
        yield f"resnet{depth}_v1b", getattr(tv, f"resnet{depth}"), IMAGENET
        yield f"resnet{depth}_v2", lambda: resnet_v2(depth), IMAGENET
        yield f"resnet{depth}_v2.gluon", lambda: resnet_v2(depth, True), IMAGENET
    yield "resnext50_32x4d", tv.resnext50_32x4d, IMAGENET
    yield "resnext50_32x4d.gluon", lambda: gluon_resnet(50, "resnext"), IMAGENET
    yield "mobilenet_v1", mobilenet_v1, IMAGENET
    yield "mobilenet_v1.gluon", lambda: mobilenet_v1(True), IMAGENET
    yield "mobilenet_v2", tv.mobilenet_v2, IMAGENET
    yield "mobilenet_v2.gluon", mobilenet_v2_gluon, IMAGENET
    for size in ["small", "large"]:
        yield f"mobilenet_v3_{size}", getattr(tv, f"mobilenet_v3_{size}"), IMAGENET
        yield f"mobilenet_v3_{size}.gluon", lambda: mobilenet_v3_gluon(size == "large"), IMAGENET
    yield "vgg16", tv.vgg16, (3, 224, 224)
    yield "vgg16.gluon", vgg16_gluon, (3, 224, 224)
    yield "squeezenet1_1", tv.squeezenet1_1, IMAGENET
    yield "squeezenet1_1.gluon", squeezenet_gluon, IMAGENET
    for depth in [20, 32, 44, 56]:
        yield f"resnet{depth}", lambda: cifar(depth), (3, 32, 32)
        yield f"resnet{depth}.gluon", lambda: cifar(depth, True), (3, 32, 32)
    yield "mnist_sample", lambda: mnist_sample(["conv1", "conv2", "conv3"]), (1, 28, 28)
    yield "mnist_sample.authors", lambda: mnist_sample(["0", "2", "4"]), (1, 28, 28)


def make_networks():
    lines, logits = [], {}
    for name, build, shape in networks():
        module = build().eval()
        state = fill(module)
        described = "".join(f"{k} {list(v.shape)}\n" for k, v in sorted(state.items()))
        trained = sum(p.numel() for p in module.parameters())
        lines.append(f"{name} {'x'.join(map(str, shape))} {len(state)} {trained} {fnv1a(described):016x}\n")
        image = noise("image", int(np.prod(shape))).reshape(1, *shape).astype(np.float32)
        with torch.no_grad():
            result = module(torch.from_numpy(image)).numpy()
        assert np.isfinite(result).all(), name
        logits[name] = result.reshape(-1)[::KEEP_EVERY].copy() if result.size > 10 else result.reshape(-1)
        print(name, trained, float(np.ptp(result)), flush=True)
    (HERE / "parameters.txt").write_text("".join(lines))
    save_file(logits, HERE / "logits.safetensors")


if __name__ == "__main__":
    torch.manual_seed(0)
    if sys.argv[1:] == ["checkpoints"]:
        from checkpoints import make_checkpoints

        make_checkpoints()
    else:
        make_networks()
