"""Real optimizers walking on a surface: their positions, step by step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import optim
from ..compiler.plan import program
from ..errors import SettingError
from ..race import entrants
from .surface import Surface

RATES = tuple(10 ** (k / 4) for k in range(-20, 10))
"""The learning rates that are tried, in units of the domain's size: 1e-5 to 178, four a decade."""
AWAY = 0.1
"""A path has left when it is farther outside than this share of the domain's size."""


@dataclass(frozen=True)
class Path:
    """Where an optimizer went: `points` (steps + 1, 2) with the start first, the heights there, and its settings.

    `chosen` says how its learning rate was had: "given", "known of this surface" or "tried". A path ends early where
    the position is no longer finite."""

    name: str
    label: str
    settings: dict[str, Any]
    chosen: str
    points: Tensor
    values: Tensor

    @property
    def finite(self) -> bool:
        return bool(torch.isfinite(self.points).all() and torch.isfinite(self.values).all())


def walk(
    surface: Surface,
    optimizers: Sequence[str] | Mapping[str, Mapping[str, Any]],
    *,
    steps: int | None = None,
    start: Sequence[float] | None = None,
    noise: float | None = None,
    seed: int = 0,
) -> list[Path]:
    """The paths of optimizers, by name or as FILE.py:RULE, in float64, with their settings where some are given.

    `steps` and `noise` (standard deviation added to each gradient component, the same for all optimizers) are the
    surface's own unless given. An lr that is not given is the one the surface is known with, if it is, and else the
    best of RATES times the domain's size: that whose height above the lowest known, as a mean of logs over the path, is
    smallest among the paths that stay in the domain (AWAY beyond it at most) while they are tried, without noise.
    A rule for matrices, as Muon, sees a point as a matrix of one row.
    Costs about 0.2 ms a step and optimizer, some ms when rates are tried. Raises SettingError for an unknown optimizer
    or setting, with the nearest."""
    steps = surface.steps if steps is None else steps
    noise = surface.noise if noise is None else noise
    if steps < 1 or not 0 <= noise < math.inf:
        raise SettingError(f"steps={steps}, noise={noise}: steps are at least 1, noise is from 0 up")
    at = torch.tensor(surface.start if start is None else start, dtype=torch.float64)
    given = optimizers if isinstance(optimizers, Mapping) else {name: {} for name in optimizers}
    return [_one(surface, name, dict(settings), at, steps, noise, seed) for name, settings in given.items()]


def _one(
    surface: Surface, name: str, given: dict[str, Any], start: Tensor, steps: int, noise: float, seed: int
) -> Path:
    made = entrants.load(name) if ":" in name else optim.by_name(name)
    key = made.__name__.lower()
    for setting in given:
        if setting not in made.setting_defaults:
            raise SettingError(f"{name}: has no setting {setting!r}; it has {', '.join(made.setting_defaults)}")
    settings, chosen = {**surface.classic.get(key, {}), **given}, "given"
    if "lr" not in given:
        chosen = "known of this surface"
        if "lr" not in settings:
            chosen = "tried"
            settings["lr"] = best_rate(surface, made, settings, start, steps)
    points = _walked(surface, made, settings, [settings["lr"]], start, steps, noise, seed)[:, 0]
    good = torch.isfinite(points).all(-1)
    values = surface.values(points)
    good &= torch.isfinite(values)
    length = int(good.logical_not().int().argmax()) if not bool(good.all()) else len(points)
    return Path(key, made.__name__, settings, chosen, points[:length], values[:length])


def for_matrices(made: type[optim.Optimizer], settings: Mapping[str, Any]) -> bool:
    """Whether a rule has a meaning for matrices alone, so that it sees a point as a row."""
    return program(made.choose({**made.setting_defaults, **settings})).needs_matrices


def best_rate(
    surface: Surface, made: type[optim.Optimizer], settings: dict[str, Any], start: Tensor, steps: int
) -> float:
    """The rate that the rule of `walk` chooses; the smallest tried where all leave."""
    size = max(high - low for low, high in surface.domain)
    rates = [rate * size for rate in RATES]
    points = _walked(surface, made, settings, rates, start, steps, 0.0, 0)
    values = surface.values(points)
    stays = (surface.holds(points, AWAY) & torch.isfinite(values)).all(0)
    floor = _floor(surface)
    above = torch.nan_to_num(values - floor, nan=math.inf, posinf=math.inf).clamp(min=0)
    scale = max(float(above[0, 0]), 1e-12)
    score = torch.log10(above / scale + 1e-6).mean(0)  # below a millionth of the start's height all is the same
    score[~stays] = math.inf
    return rates[int(score.argmin())] if bool(stays.any()) else rates[0]


def _floor(surface: Surface) -> float:
    """The lowest height that is known: of the minima, or of a grid."""
    if surface.minima:
        return float(surface.values(torch.tensor(surface.minima, dtype=torch.float64)).min())
    heights = surface.grid(101)[2]
    return float(heights[torch.isfinite(heights)].min())


def _walked(
    surface: Surface,
    made: type[optim.Optimizer],
    settings: dict[str, Any],
    rates: Sequence[float],
    start: Tensor,
    steps: int,
    noise: float,
    seed: int,
) -> Tensor:
    """Positions (steps + 1, rates, 2): one optimizer with a param group for each rate, so that all go at once."""
    point = start.reshape(1, 2) if for_matrices(made, settings) else start
    places = [point.clone().requires_grad_() for _ in rates]
    rest = {name: value for name, value in settings.items() if name != "lr"}
    optimizer = made([{"params": [p], "lr": rate} for p, rate in zip(places, rates)], **{**rest, "lr": rates[0]})
    random = torch.Generator().manual_seed(seed)
    track = torch.empty(steps + 1, len(rates), 2, dtype=torch.float64)
    for step in range(steps + 1):
        now = torch.stack([p.detach().reshape(2) for p in places])
        track[step] = now
        gradients = surface.gradient(now)
        if noise:
            gradients = gradients + noise * torch.randn(2, dtype=torch.float64, generator=random)
        for p, gradient in zip(places, gradients):
            p.grad = gradient.reshape(p.shape)
        if step < steps:
            with np.errstate(over="ignore"):  # where a path explodes, so do the numbers kept beside it
                optimizer.step()
    return track
