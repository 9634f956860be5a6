"""Five steps of a small network with each of PyTorch's optimisers, recorded in double precision.

    pip install torch numpy safetensors
    python tests/data/optimisers/make.py

Writes `optimisers.safetensors` beside this file: weights before, batches, and for every case the weights after and, in the
metadata, its settings and losses. Made with PyTorch 2.15.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

STEPS, BATCH, CLASSES = 5, 6, 4
CASES = {
    "nesterov": {"lr": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": 0.02},
    "nesterov-clipped": {"lr": 0.2, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "clip": 0.3, "smoothing": 0.1},
    "adamw": {"lr": 0.02, "betas": [0.9, 0.99], "eps": 1e-4, "weight_decay": 0.1},
    "adamw-clipped": {"lr": 0.03, "betas": [0.8, 0.95], "eps": 1e-3, "weight_decay": 0.05, "clip": 0.2, "smoothing": 0.2},
}


def network():
    convolution = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, CLASSES))


# Its modules have numbers for names.
NAMES = {"0": "conv", "1": "norm", "5": "linear"}


def named(state):
    parts = {name: name.split(".") for name in state if "num_batches" not in name}
    return {f"{NAMES[number]}.{part}": state[name].float().contiguous() for name, (number, part) in parts.items()}


def run(before, settings, batches):
    model = network().double()
    model.load_state_dict({name: value.double() if value.is_floating_point() else value for name, value in before.items()})
    settings = dict(settings)
    clip, smoothing = settings.pop("clip", None), settings.pop("smoothing", 0.0)
    kind = torch.optim.AdamW if "betas" in settings else torch.optim.SGD
    optimiser, losses = kind(model.parameters(), **settings), []
    for images, labels in batches:
        loss = nn.functional.cross_entropy(model(images.double()), labels, label_smoothing=smoothing)
        optimiser.zero_grad()
        loss.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimiser.step()
        losses.append(loss.item())
    return losses, named(model.state_dict())


def main():
    torch.manual_seed(7)
    before = {name: value.clone() for name, value in network().state_dict().items()}
    batches = [(torch.randn(BATCH, 3, 7, 6), torch.randint(CLASSES, (BATCH,))) for _ in range(STEPS)]
    tensors = {f"before.{name}": value for name, value in named(before).items()}
    for step, (images, labels) in enumerate(batches):
        tensors |= {f"images{step}": images, f"labels{step}": labels.float()}
    metadata = {}
    for name, settings in CASES.items():
        losses, after = run(before, settings, batches)
        metadata[name] = json.dumps({**settings, "losses": losses})
        tensors |= {f"{name}.{key}": value for key, value in after.items()}
    save_file(tensors, Path(__file__).with_name("optimisers.safetensors"), metadata)


if __name__ == "__main__":
    main()
