"""The settings of the tuning part, and all of them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from downslope.tasks import quadratic

from . import networks as net
from .kept_settings import KEPT
from .setting import Setting, explained


def descended(output: torch.Tensor, target: torch.Tensor) -> float:
    """The share of the way from the start of the quadratic (353.4468) to its least loss (86.87)."""
    return (353.4468 - float(quadratic.loss(output, target))) / (353.4468 - 86.87)


TUNED = {
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

SETTINGS = TUNED | KEPT
