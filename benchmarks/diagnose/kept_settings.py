"""The settings of the kept part: none of them was run under the watch before its thresholds were settled."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from . import kept_networks as kept
from . import networks as net
from .setting import Setting, explained

CURVATURES = torch.logspace(-2, 1.7, 40)


def bowl(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return ((output - target).square() * CURVATURES).sum(-1).mean() / 2


def descended(output: torch.Tensor, target: torch.Tensor) -> float:
    """The share of the way from the start to the least loss, at the centres' mean."""
    start, least = bowl(torch.linspace(-1, 1, 40), target), bowl(target.mean(0), target)
    return float((start - bowl(output, target)) / (start - least))


ROWS = "digits, other rows"
KEPT = {
    s.name: s
    for s in (
        Setting(
            "mlp parity",
            "mlp",
            "parity",
            lambda: net.mlp(64, 2, 64, 3),
            1e-3,
            0.03,
            7e-2,
            0.24,
            10,
            0.5,
            0.9,
            like="mlp digits",
        ),
        Setting(
            "mlp cancer",
            "mlp",
            "cancer",
            lambda: net.mlp(30, 2, 24, 2),
            3e-3,
            0.01,
            0.22,
            0.08,
            8,
            0.63,
            0.92,
            16,
            like="mlp digits",
        ),
        Setting(
            "mlp rings",
            "mlp",
            "rings",
            lambda: net.mlp(2, 3, 40, 3),
            3e-3,
            0.02,
            7e-2,
            0.24,
            15,
            0.33,
            0.87,
            like="mlp spirals",
        ),
        Setting(
            "mlp friedman",
            "mlp",
            "friedman",
            lambda: net.mlp(10, 1, 24, 2, nn.Tanh),
            3e-3,
            0.01,
            2.4e-2,
            0.027,
            20,
            0.0,
            0.55,
            16,
            F.mse_loss,
            explained,
            "mlp diabetes",
        ),
        Setting("deep cnn digits", "cnn", ROWS, kept.deep_cnn, 6e-3, 0.08, 8e-3, 0.08, 12, 0.1, 0.8, like="cnn digits"),
        Setting(
            "strided digits",
            "cnn with batch norm",
            ROWS,
            kept.strided,
            8e-3,
            0.1,
            0.22,
            0.73,
            6,
            0.1,
            0.9,
            like="bn digits",
        ),
        Setting(
            "residual cnn digits",
            "residual",
            ROWS,
            kept.residual_cnn,
            5e-3,
            0.05,
            7e-2,
            0.73,
            8,
            0.1,
            0.87,
            like="residual digits",
        ),
        Setting(
            "grouped digits",
            "cnn with group norm",
            ROWS,
            kept.grouped,
            3e-3,
            0.03,
            7e-2,
            0.24,
            6,
            0.1,
            0.9,
            like="rows digits",
        ),
        Setting(
            "patches digits",
            "transformer",
            ROWS,
            kept.Patches,
            5e-3,
            0.08,
            8e-3,
            0.08,
            10,
            0.1,
            0.7,
            like="rows digits",
        ),
        Setting(
            "columns digits", "recurrent", ROWS, kept.Columns, 1.5e-2, 1.0, 7e-2, 2.2, 10, 0.1, 0.85, like="gru digits"
        ),
        Setting(
            "residual turn",
            "residual",
            "spirals, one turn",
            lambda: net.Residual(2, 2, 20, 4, nn.LayerNorm),
            2e-3,
            0.01,
            8e-3,
            0.027,
            10,
            0.5,
            0.87,
            like="residual spirals",
        ),
        Setting(
            "wide bytes",
            "transformer",
            "stdlib, windows of 24",
            lambda: net.Bytes(48, 2, context=24, heads=3),
            2.5e-3,
            0.03,
            8e-3,
            0.08,
            5,
            0.15,
            0.27,
            16,
            like="bytes stdlib",
        ),
        Setting(
            "lstm bytes",
            "recurrent",
            "stdlib, windows of 48",
            lambda: net.BytesRecurrent(56, nn.LSTM),
            1.5e-2,
            0.7,
            2.4e-2,
            2.2,
            6,
            0.15,
            0.3,
            16,
            like="gru stdlib",
        ),
        Setting(
            "mean of names",
            "embedding",
            "modules_sparse, 900 names",
            kept.MeanOfNames,
            2e-3,
            0.02,
            2.4e-2,
            0.08,
            3,
            0.25,
            0.47,
            like="names",
        ),
        Setting(
            "bowl",
            "none",
            "bowl",
            kept.Point,
            2.5e-2,
            3e-3,
            0.22,
            0.027,
            20,
            0.0,
            0.9,
            96,
            bowl,
            descended,
            "quadratic",
        ),
    )
}
