"""A surface: a function of two coordinates with what is known of it. Values and gradients on tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..errors import SettingError

TITLES = {
    "three-hump-camel": "Three-hump camel", "six-hump-camel": "Six-hump camel", "goldstein-price": "Goldstein-Price",
    "styblinski-tang": "Styblinski-Tang", "mccormick": "McCormick", "levy-13": "Lévi N. 13",
    "dixon-price": "Dixon-Price", "bump": "A small bump on a slope",
}  # fmt: skip
Point = tuple[float, float]
Box = tuple[Point, Point]


@dataclass(frozen=True)
class Surface:
    """A function of x and y, the box `domain` = ((x low, x high), (y low, y high)) it is drawn on, its global `minima`
    inside that box, a `start` from which there is something to see, and where it comes from.

    `function` is written with the operators and functions of `downslope` (sin, exp, ...), so it takes tensors, numbers
    and the symbols of a formula alike. `log` says that heights are better drawn on a log scale. `noise` is the standard
    deviation of what is added to each component of a gradient. `classic` are the settings of optimizers, by name, with
    which the surface is known, or drawn well."""

    name: str
    function: Callable[[Any, Any], Any]
    formula: str
    domain: Box
    minima: tuple[Point, ...]
    start: Point
    source: str
    log: bool = False
    noise: float = 0.0
    steps: int = 200
    classic: dict[str, dict[str, Any]] = field(default_factory=dict)
    saddles: tuple[Point, ...] = ()

    def __post_init__(self) -> None:
        for low, high in self.domain:
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise SettingError(f"{self.name}: domain from {low:g} to {high:g}; give a low and a higher end")

    @property
    def title(self) -> str:
        """The name as people write it."""
        if not self.name.replace("-", "").isalnum():
            return self.name  # an expression, or a function in a file
        return TITLES.get(self.name, self.name.replace("-", " ").capitalize())

    def __call__(self, x: Any, y: Any) -> Any:
        return self.function(x, y)

    def values(self, points: Tensor) -> Tensor:
        """The heights at points of shape (..., 2), in their dtype."""
        x, y = points.unbind(-1)
        found = self.function(x, y)
        return found if isinstance(found, Tensor) else torch.full_like(x, float(found))

    def gradient(self, points: Tensor) -> Tensor:
        """The gradients at points of shape (..., 2), by autograd; nan where there is none."""
        at = points.detach().clone().requires_grad_()
        with torch.enable_grad():
            total = self.values(at).sum()
            if not total.requires_grad:
                return torch.zeros_like(points)
            return torch.autograd.grad(total, at)[0]

    def hessian(self, point: Point) -> Tensor:
        """The 2 x 2 matrix of second derivatives, in float64."""
        at = torch.tensor(point, dtype=torch.float64)
        return torch.autograd.functional.hessian(self.values, at)  # type: ignore[no-any-return, no-untyped-call]

    def grid(self, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """x (size), y (size) over the domain, and the heights (y, x), in float64."""
        x, y = (torch.linspace(low, high, size, dtype=torch.float64) for low, high in self.domain)
        across, along = torch.meshgrid(x, y, indexing="xy")
        return x, y, self.values(torch.stack([across, along], -1))

    def holds(self, points: Tensor, slack: float = 0.0) -> Tensor:
        """Which points (..., 2) are in the domain, made wider by a share of its size on each side; nan is not."""
        low, high = (torch.tensor(end, dtype=points.dtype) for end in zip(*self.domain))
        spare = slack * (high - low)
        return ((points >= low - spare) & (points <= high + spare)).all(-1)
