"""Small networks that several experiments have in common."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from ..errors import SettingError

PLACES = ("none", "before", "after")
"""Where batch norm stands: nowhere, before the activation, after it."""


def dense(
    hidden: Sequence[int] = (64,), norm: str = "none", activation: type[nn.Module] = nn.ReLU, dropout: float = 0.0
) -> nn.Sequential:
    """Digits through hidden layers of these widths, each with its activation, to ten classes."""
    layers: list[nn.Module] = [nn.Flatten()]
    for before, width in zip((64, *hidden), hidden):
        layers += [nn.Linear(before, width), *_around(activation(), nn.BatchNorm1d(width), norm)]
        layers += [nn.Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear((64, *hidden)[-1], 10))


def convolutional(norm: str = "none", bias: bool = True) -> nn.Sequential:
    """The digits task's own network, with batch norm if asked."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=bias),
        *_around(nn.ReLU(), nn.BatchNorm2d(16), norm),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1, bias=bias),
        *_around(nn.ReLU(), nn.BatchNorm2d(32), norm),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 2 * 2, 10),
    )


def _around(activation: nn.Module, norm: nn.Module, place: str) -> list[nn.Module]:
    if place not in PLACES:
        raise SettingError(f"batch norm {place!r}: give one of {', '.join(PLACES)}")
    return {"none": [activation], "before": [norm, activation], "after": [activation, norm]}[place]
