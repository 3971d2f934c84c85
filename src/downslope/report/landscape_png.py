"""The losses along the ways between two solutions as PNG."""

from __future__ import annotations

from typing import Any

from ..landscape.connect import Connection
from .colours import BLUE, ORANGE
from .png_parts import FAINT, as_png, dress


def between(task: str, found: Connection) -> bytes:
    """The straight line and the curve, with the barrier of each."""

    def draw(figure: Any) -> None:
        axes = figure.subplots()
        for name, losses, colour, dash in (
            ("straight line", found.line, BLUE, (0, (5, 2))),
            ("fitted Bezier curve", found.curve, ORANGE, "-"),
        ):
            label = f"{name}: barrier {found.barrier(losses):.3g}"
            axes.plot(found.t, losses, color=colour, linestyle=dash, linewidth=2, label=label)
        if float(min(found.line.min(), found.curve.min())) > 0:
            axes.set_yscale("log")
        dress(axes, f"{task}: training loss from one run's weights to another's", "share of the way")
        axes.legend(frameon=False, labelcolor=FAINT)

    return as_png(draw, 7.5, 4.2)
