"""A setting: a network on data, with rates that do well, and the score that shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional as F

Tensor = torch.Tensor


def accuracy(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target.flatten()).double().mean())


def explained(output: Tensor, target: Tensor) -> float:
    return float(1 - F.mse_loss(output.double().flatten(), target.double().flatten()) / target.double().var())


def classes(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target.flatten())


@dataclass(frozen=True)
class Setting:
    """A network on data.

    `lr` is for Adam, `sgd` for SGD with momentum 0.9, `top` and `sgd_top` the highest of a sweep (factors of 3,
    `python -m benchmarks.diagnose.sweep`) that still ends within a tenth of the best; `reach` is the least validation
    score of a healthy run. `like`: the setting whose kinds it runs, for the settings of the kept part."""

    name: str
    architecture: str
    task: str
    model: Callable[[], nn.Module]
    lr: float
    sgd: float
    top: float
    sgd_top: float
    epochs: int
    chance: float
    reach: float
    batch: int = 32
    loss: Callable[[Tensor, Tensor], Tensor] = classes
    metric: Callable[[Tensor, Tensor], float] = accuracy
    like: str = ""
