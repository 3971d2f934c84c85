"""How far diabetes goes in a year, from ten measurements of 442 patients (Efron, Hastie, Johnstone & Tibshirani 2004),
data that come with scikit-learn: small and noisy, so that less than half of the variance can be explained."""

from __future__ import annotations

import torch
from torch import nn

TITLE = "progression of diabetes from ten measurements, a regression"
SCORE = "R^2 = 0.50 on the test patients after 50 epochs of Adam at lr 0.001"
EPOCHS, BATCH, CHANCE = 50, 32, 0.0
SIZES = (242, 100, 100)


def data() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Measurements and progression, shifted and scaled by the means and deviations of the training part."""
    from sklearn.datasets import load_diabetes

    bunch = load_diabetes(scaled=False)
    order = torch.randperm(len(bunch.target), generator=torch.Generator().manual_seed(0))
    parts = []
    for column in (bunch.data, bunch.target[:, None]):
        values = torch.tensor(column, dtype=torch.float32)[order]
        train = values[: SIZES[0]]
        parts.append(((values - train.mean(0)) / train.std(0)).split(SIZES))
    return list(zip(*parts))


def model(width: int = 16) -> nn.Module:
    """One hidden layer, 193 parameters."""
    return nn.Sequential(nn.Linear(10, width), nn.Tanh(), nn.Linear(width, 1))


def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return nn.functional.mse_loss(output, target)


def metric(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The share of the training part's variance (which is 1) that is explained, R^2: 1 is exact, 0 is its mean."""
    return 1 - nn.functional.mse_loss(output.double(), target.double())
