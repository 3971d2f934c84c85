"""In a convolutional network batch norm has one pair of parameters for each feature map."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import rng
from downslope.textbook.checks import Above, Below, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import runs
from downslope.textbook.networks import convolutional
from downslope.textbook.panels import Bar, Bars, Picture
from downslope.training.task import by_name

CLAIM = Claim(
    title="One pair of parameters for each feature map",
    says="After a convolution, batch normalisation has one scale and one shift for each feature map, not for each "
    "pixel: all places are normalised alike.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2",
    task="digits, the convolutional network",
    core=(
        Close("parameters for each feature map", 2, within=1e-9),
        Below("largest mean of a map after it", 1e-5),
        Above("largest mean of a pixel after it", 0.1),
    ),
    reach=(
        Above("test accuracy, a pair for each map", "test accuracy, a pair for each pixel"),
        Above("test accuracy, a pair for each map", "test accuracy, a pair for each pixel", plus=-0.01),
    ),
    how="What torch's BatchNorm2d does with 1000 digits at the start: means over samples and places of a map, and "
    "over samples of one pixel. Then ten epochs of SGD at lr 0.1 with it, and with a pair for each pixel of each "
    "map, which has 64 times the parameters in the first layer.",
    seeds=8,
)


class Pixels(nn.Module):
    """Batch norm of each pixel of each map by itself."""

    def __init__(self, maps: int, side: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(maps * side * side)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(x.flatten(1)).view_as(x)


def by_pixel() -> nn.Module:
    model = convolutional("before")
    model[1], model[5] = Pixels(16, 8), Pixels(32, 4)
    return model


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    data = task.make_data()
    measures: dict[str, list[float]] = {}
    for seed in seeds:
        with rng.seeded(seed), torch.no_grad():
            model = convolutional("before")
            out = model[:2](data.train.source[0])
        pairs = sum(p.numel() for p in model[1].parameters()) / out.shape[1]
        measures.setdefault("parameters for each feature map", []).append(pairs)
        measures.setdefault("largest mean of a map after it", []).append(out.mean((0, 2, 3)).abs().max().item())
        measures.setdefault("largest mean of a pixel after it", []).append(out.mean(0).abs().max().item())
    for name, made in {
        "a pair for each map": lambda: convolutional("before"),
        "a pair for each pixel": by_pixel,
    }.items():
        (records,) = runs(replace(task, model=made), "sgd", [{"lr": 0.1}], seeds, epochs=10, data=data)
        measures[f"test accuracy, {name}"] = [record["test_metric"] or task.chance for record in records]
    bars = [Bar(name, measures[f"test accuracy, {name}"]) for name in ("a pair for each map", "a pair for each pixel")]
    means = Picture("Means of the pixels of one map", out.mean(0)[0])
    return Evidence(measures, [means, Bars("Test accuracy", "share right", bars)])
