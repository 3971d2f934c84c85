"""Where runs take place: a network on a bundled task, with rates that do well, and the score that shows it.

`lr` is for Adam, `sgd` for SGD with momentum 0.9, `top` and `sgd_top` the highest of a sweep (factors of 3) that still
ends within a tenth of the best; `reach` is the least validation score of a healthy run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

import torch
from torch import nn
from torch.nn import functional as F

from downslope.tasks import quadratic

from . import networks as net

Tensor = torch.Tensor
ROWS = {
    "digits": (640, 300),
    "stdlib": (512, 96),
    "spirals": (800, 300),
    "diabetes": (242, 100),
    "modules_sparse": (1200, 480),
    "quadratic": (960, 896),
}


@functools.cache
def data(task: str) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs and targets to train on, and to validate on; a part of the task's own, always the same."""
    module = import_module(f"downslope.tasks.{task}")
    parts = module.data(kilobytes=16, context=32) if task == "stdlib" else module.data()
    (x, y), (vx, vy) = parts[:2]
    train, valid = ROWS[task]
    return x[:train], y[:train], vx[:valid], vy[:valid]


def accuracy(output: Tensor, target: Tensor) -> float:
    return float((output.argmax(1) == target.flatten()).double().mean())


def explained(output: Tensor, target: Tensor) -> float:
    return float(1 - F.mse_loss(output.double().flatten(), target.double().flatten()) / target.double().var())


def classes(output: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(output, target.flatten())


def descended(output: Tensor, target: Tensor) -> float:
    """The share of the way from the start of the quadratic (353.4468) to its least loss (86.87)."""
    return (353.4468 - float(quadratic.loss(output, target))) / (353.4468 - 86.87)


@dataclass(frozen=True)
class Setting:
    """A network on a task."""

    name: str
    architecture: str  # mlp, cnn, cnn with batch norm, residual, transformer, recurrent, embedding
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


SETTINGS = {
    s.name: s
    for s in (
        Setting("mlp digits", "mlp", "digits", net.mlp, 2e-3, 0.03, 6e-3, 0.05, 10, 0.1, 0.88),
        Setting("cnn digits", "cnn", "digits", net.cnn, 5e-3, 0.03, 1.5e-2, 0.05, 8, 0.1, 0.84),
        Setting(
            "bn digits", "cnn with batch norm", "digits", lambda: net.cnn(True), 5e-3, 0.05, 5e-2, 0.1, 6, 0.1, 0.9
        ),
        Setting("residual digits", "residual", "digits", net.Residual, 3e-3, 0.05, 3e-2, 0.15, 8, 0.1, 0.88),
        Setting("rows digits", "transformer", "digits", net.Rows, 3e-3, 0.05, 1e-2, 0.1, 10, 0.1, 0.8),
        Setting("gru digits", "recurrent", "digits", net.RowsRecurrent, 5e-3, 0.1, 1.5e-2, 0.3, 10, 0.1, 0.8),
        Setting("mlp spirals", "mlp", "spirals", lambda: net.mlp(2, 2, 32), 2e-2, 0.1, 3e-2, 0.1, 20, 0.5, 0.85),
        Setting(
            "residual spirals",
            "residual",
            "spirals",
            lambda: net.Residual(2, 2, 24, 2, nn.LayerNorm),
            2e-3,
            0.01,
            5e-3,
            0.02,
            10,
            0.5,
            0.85,
        ),
        Setting(
            "mlp diabetes",
            "mlp",
            "diabetes",
            lambda: net.mlp(10, 1, 16, 1, nn.Tanh),
            2e-3,
            0.005,
            1e-2,
            0.007,
            20,
            0.0,
            0.3,
            16,
            F.mse_loss,
            explained,
        ),
        Setting("bytes stdlib", "transformer", "stdlib", net.Bytes, 3e-3, 0.05, 1e-2, 0.1, 6, 0.15, 0.26, 16),
        Setting("gru stdlib", "recurrent", "stdlib", net.BytesRecurrent, 5e-3, 0.1, 1.5e-2, 0.5, 5, 0.15, 0.26, 16),
        Setting(
            "quadratic",
            "none",
            "quadratic",
            quadratic.model,
            5e-2,
            2e-3,
            1e-1,
            5e-3,
            20,
            0.0,
            0.9,
            96,
            quadratic.loss,
            descended,
        ),
        Setting("names", "embedding", "modules_sparse", net.Names, 5e-3, 0.1, 1e-2, 0.1, 4, 0.25, 0.45),
    )
}
