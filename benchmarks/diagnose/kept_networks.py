"""The networks of the kept part."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional as F


def deep_cnn() -> nn.Module:
    """Three convolutions, each wider, and the mean over what is left of the image."""
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 24, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    )


def strided(widths: Sequence[int] = (12, 20, 28)) -> nn.Module:
    """Convolutions without biases, of stride 2 in place of pooling, each under a batch norm."""
    parts: list[nn.Module] = []
    before = 1
    for i, width in enumerate(widths):
        parts += [nn.Conv2d(before, width, 3, stride=1 if i == 0 else 2, padding=1, bias=False)]
        parts += [nn.BatchNorm2d(width), nn.ReLU()]
        before = width
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


def grouped() -> nn.Module:
    """Convolutions under group norms, and dropout before the head."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, stride=2, padding=1),
        nn.GroupNorm(6, 24),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(24 * 16, 10),
    )


class BasicBlock(nn.Module):
    """Two convolutions under batch norms, added to what came in; halves the image and changes its width where asked."""

    def __init__(self, before: int, width: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(before, width, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(width)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second_norm = nn.BatchNorm2d(width)
        same = before == width and stride == 1
        self.skip = nn.Identity() if same else nn.Conv2d(before, width, 1, stride, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inside = self.second_norm(self.second(F.relu(self.first_norm(self.first(x)))))
        return F.relu(self.skip(x) + inside)


def residual_cnn() -> nn.Module:
    """A ResNet in small."""
    return nn.Sequential(
        nn.Conv2d(1, 10, 3, padding=1, bias=False),
        nn.BatchNorm2d(10),
        nn.ReLU(),
        BasicBlock(10, 10, 1),
        BasicBlock(10, 20, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(20, 10),
    )


class Patches(nn.Module):
    """A vision transformer: 16 patches of 2 x 2 pixels and a token that is asked for the class."""

    def __init__(self, width: int = 32, layers: int = 2):
        super().__init__()
        self.embed = nn.Conv2d(1, width, 2, 2)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.place = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, 0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.place
        return self.head(self.norm(self.encoder(x)[:, 0]))


class Columns(nn.Module):
    """An LSTM that reads the eight columns of a digit; its mean over them goes to the head."""

    def __init__(self, width: int = 40):
        super().__init__()
        self.body, self.head = nn.LSTM(8, width, batch_first=True), nn.Linear(width, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x.flatten(0, 1).reshape(-1, 8, 8).transpose(1, 2))[0].mean(1))


class MeanOfNames(nn.Module):
    """The mean of the vectors of names, a norm, and a small network."""

    def __init__(self, vocabulary: int = 900, width: int = 24):
        super().__init__()
        self.names = nn.EmbeddingBag(vocabulary + 1, width, mode="mean", padding_idx=0)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Sequential(nn.Linear(width, 40), nn.ReLU(), nn.Linear(40, 8))
        with torch.no_grad():
            self.names.weight *= 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.names(x)))


class Point(nn.Module):
    """A point in 40 dimensions, the same for all inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.theta = nn.Parameter(torch.linspace(-1, 1, 40))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.theta.expand(len(x), 40)
