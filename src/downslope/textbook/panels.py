"""What a picture shows, as plain numbers: panels side by side, drawn by the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

Values = Sequence[Any] | torch.Tensor
"""Numbers, or points, or rows of them."""


@dataclass(frozen=True)
class Line:
    """A line over x: one run of y, or one for each seed, drawn as their mean and its interval. `optimizer` gives it
    the colour of that optimizer, else it has the next one."""

    name: str
    x: Values
    runs: Sequence[Values]
    optimizer: str = ""


@dataclass(frozen=True)
class Lines:
    """Lines with their axes; `level` draws a horizontal line, named. `marks` draws points as well."""

    title: str
    x: str
    lines: Sequence[Line]
    log_x: bool = False
    log_y: bool = False
    marks: bool = False
    level: tuple[str, float] | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Bar:
    """A measure over seeds as a bar: its mean, its interval, and the single values as dots."""

    name: str
    values: Sequence[float]
    optimizer: str = ""


@dataclass(frozen=True)
class Bars:
    """Bars under each other, their names beside them."""

    title: str
    x: str
    bars: Sequence[Bar]
    log_x: bool = False


@dataclass(frozen=True)
class Histogram:
    """How values are spread, one outline for each name: {name: values}."""

    title: str
    x: str
    of: Sequence[tuple[str, Values]]
    bins: int = 40


@dataclass(frozen=True)
class Scatter:
    """Points in the plane with their classes, from 0 on; `names` of the classes make a legend."""

    title: str
    points: Values
    classes: Values
    names: Sequence[str] = ()


@dataclass(frozen=True)
class Walk:
    """Where an optimizer went on a surface."""

    name: str
    points: Values
    optimizer: str = ""


@dataclass(frozen=True)
class Surface:
    """A test surface of `downslope.landscape` by its name, from above, with walks on it."""

    title: str
    surface: str
    walks: Sequence[Walk]


@dataclass(frozen=True)
class Picture:
    """A matrix as shades, such as an image or a kernel: (height, width)."""

    title: str
    pixels: Values


Panel = Lines | Bars | Histogram | Scatter | Surface | Picture
