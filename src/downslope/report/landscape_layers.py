"""How layers bend the data: a strip of pictures, and frames of one turning into the next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..landscape.layers import Bend
from .colours import BLUE, COLOURS, ORANGE
from .png_parts import FAINT, MARKER, TEXT, as_png

TWO = (BLUE, ORANGE)
MARKS = tuple(MARKER.values())
SIZE = 400  # pixels of a frame
MOVES, RESTS = 14, 12  # frames from one layer to the next, and on each


def strip(found: Sequence[Bend], classes: np.ndarray, title: str) -> bytes:
    """One picture a layer, in rows of up to six."""
    columns = min(len(found), 6)
    rows = -(-len(found) // columns)

    def draw(figure: Any) -> None:
        figure.suptitle(title, fontsize=12, color=TEXT, x=0.01, ha="left")
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, bend in zip(panels, found):
            _scatter(axes, bend.points.numpy(), classes)
            axes.set_title(f"{bend.name}\n{words(bend)}", fontsize=9, color=TEXT)
        for axes in panels[len(found) :]:
            axes.set_axis_off()

    return as_png(draw, 2.6 * columns, 3.1 * rows + 0.4)


def words(bend: Bend) -> str:
    width = f"{bend.width} wide, " if bend.width > 2 else ""
    seen = f"\nin this plane {bend.straight:.1%}" if bend.width > 2 else ""
    return f"{width}straight cut: {bend.separable:.1%}{seen}"


def frames(found: Sequence[Bend], classes: np.ndarray, title: str) -> Iterator[np.ndarray]:
    """The points wandering from each layer's picture to the next."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(SIZE / 100, SIZE / 100), dpi=100, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0.02, 0.02, 0.96, 0.84))
    figure.text(0.03, 0.955, title, fontsize=11, color=TEXT)
    head = figure.text(0.03, 0.895, "", fontsize=9.5, color=FAINT)
    for place, bend in enumerate(found):
        after = found[min(place + 1, len(found) - 1)]
        start, end = bend.points.numpy(), after.points.numpy()
        shares = [0.0] * RESTS + [s * s * (3 - 2 * s) for s in np.linspace(0, 1, MOVES + 2)[1:-1]]
        for share in shares if place + 1 < len(found) else [0.0] * RESTS:
            axes.clear()
            _scatter(axes, (1 - share) * start + share * end, classes)
            head.set_text(
                f"{bend.name}, {words(bend)}".replace("\n", ", ") if share == 0 else f"{bend.name} → {after.name}"
            )
            canvas.draw()
            yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _scatter(axes: Any, points: np.ndarray, classes: np.ndarray) -> None:
    colours = TWO if classes.max() < 2 else (*COLOURS, "#24292f", "#88CCEE", "#117733")
    for k in np.unique(classes):
        here = points[classes == k]
        axes.scatter(*here.T, s=9, color=colours[k], marker=MARKS[k % len(MARKS)], linewidths=0, alpha=0.85)
    axes.set_xlim(-2.6, 2.6)
    axes.set_ylim(-2.6, 2.6)
    axes.set_aspect("equal")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_color("#d0d7de")
