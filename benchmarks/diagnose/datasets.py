"""What runs train on: a part of a bundled task's data (its name is up to the comma), or data that come with
scikit-learn or are drawn; always the same."""

from __future__ import annotations

import functools
import math
import pkgutil
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch

import downslope.tasks

Tensor = torch.Tensor
Parts = tuple[Tensor, Tensor, Tensor, Tensor]

BUNDLED = {module.name for module in pkgutil.iter_modules(downslope.tasks.__path__)}
DIMENSIONS = {
    "digits": (64, 10),
    "spirals": (2, 2),
    "diabetes": (10, 1),
    "modules_sparse": (64, 8),
    "digits, other rows": (64, 10),
    "parity": (64, 2),
    "cancer": (30, 2),
    "rings": (2, 3),
    "spirals, one turn": (2, 2),
    "friedman": (10, 1),
    "modules_sparse, 900 names": (64, 8),
}
"""Inputs and outputs, where a network can be made for the data."""


def task(name: str, train: int, valid: int, **settings: Any) -> Parts:
    """The first rows of two parts of a bundled task."""
    (x, y), (vx, vy) = import_module(f"downslope.tasks.{name}").data(**settings)[:2]
    return x[:train], y[:train], vx[:valid], vy[:valid]


def others() -> Parts:
    """The digits that the setting `digits` does not use, 757 and 400."""
    train, valid, test = import_module("downslope.tasks.digits").data()
    return torch.cat([train[0][640:], valid[0]]), torch.cat([train[1][640:], valid[1]]), *test


def parity() -> Parts:
    """Is a digit odd?"""
    x, y, vx, vy = task("digits", 800, 300)
    return x, y % 2, vx, vy % 2


def cancer() -> Parts:
    """Wisconsin's breast cancers (Wolberg, Street & Mangasarian 1995), 30 measurements of 569 cells; standardised."""
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    order = torch.randperm(len(bunch.target), generator=torch.Generator().manual_seed(0))
    x, y = torch.tensor(bunch.data)[order], torch.tensor(bunch.target, dtype=torch.int64)[order]
    x = ((x - x[:384].mean(0)) / x[:384].std(0)).float()
    return x[:384], y[:384], x[384:], y[384:]


def rings() -> Parts:
    """Three rings around one another, with noise: which of them is a point on?"""
    random = torch.Generator().manual_seed(21)
    y = torch.randint(3, (1000,), generator=random)
    angle = 2 * math.pi * torch.rand(1000, generator=random)
    far = 0.5 * (y + 1) + 0.12 * torch.randn(1000, generator=random)
    x = torch.stack([far * angle.cos(), far * angle.sin()], 1)
    return x[:700], y[:700], x[700:], y[700:]


def friedman() -> Parts:
    """A sum of a sine, a square and lines of five of ten inputs, with noise (Friedman 1991); standardised."""
    from sklearn.datasets import make_friedman1

    inputs, targets = make_friedman1(500, 10, noise=2.0, random_state=5)
    parts = []
    for column in (inputs, targets[:, None]):
        values = torch.tensor(column, dtype=torch.float32)
        values = (values - values[:320].mean(0)) / values[:320].std(0)
        parts.append((values[:320], values[320:]))
    (x, vx), (y, vy) = parts
    return x, y, vx, vy


def bowl() -> Parts:
    """Centres around nothing in 40 dimensions, as input and as target."""
    centres = 0.5 * torch.randn(1600, 40, generator=torch.Generator().manual_seed(22))
    return centres[:960], centres[:960], centres[960:], centres[960:]


SOURCES: dict[str, Callable[[], Parts]] = {
    "digits": lambda: task("digits", 640, 300),
    "stdlib": lambda: task("stdlib", 512, 96, kilobytes=16, context=32),
    "spirals": lambda: task("spirals", 800, 300),
    "diabetes": lambda: task("diabetes", 242, 100),
    "modules_sparse": lambda: task("modules_sparse", 1200, 480),
    "quadratic": lambda: task("quadratic", 960, 896),
    "parity": parity,
    "cancer": cancer,
    "rings": rings,
    "friedman": friedman,
    "bowl": bowl,
    "digits, other rows": others,
    "spirals, one turn": lambda: task("spirals", 800, 400, noise=0.1, turns=1.0, points=2400, seed=23),
    "stdlib, windows of 24": lambda: task("stdlib", 640, 120, kilobytes=20, context=24),
    "stdlib, windows of 48": lambda: task("stdlib", 400, 64, kilobytes=32, context=48),
    "modules_sparse, 900 names": lambda: task("modules_sparse", 1600, 480, vocabulary=900),
}


@functools.cache
def data(name: str) -> Parts:
    """Inputs and targets to train on, and to validate on."""
    return SOURCES[name]()
