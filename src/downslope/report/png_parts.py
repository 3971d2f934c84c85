"""What the pictures as PNG have in common: their dress, the legend, names at the ends of lines, the figure itself."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from typing import Any

from .colours import Style

DASH: dict[str, Any] = {
    "solid": "-", "dash": (0, (5, 2)), "dot": (0, (1, 1.5)), "dashdot": (0, (5, 2, 1, 2)), "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 2.5, 1.5, 2.5)),
}  # fmt: skip
MARKER = {
    "circle": "o", "square": "s", "diamond": "D", "triangle-up": "^", "triangle-down": "v", "pentagon": "p",
}  # fmt: skip
TEXT, FAINT, GRID, RAISED = "#24292f", "#57606a", "#e3e6ea", "#f4f6f8"
ROW = 7  # names in a row of the legend
LONG = 18  # letters of a name that a picture has room for


def as_png(draw: Callable[[Any], None], width: float, height: float) -> bytes:
    """Draw on a new figure of this size in inches, 160 pixels each; the bytes of the PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=160, facecolor="white", layout="constrained")
    draw(figure)
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def dress(axes: Any, title: str, x: str = "") -> None:
    axes.set_title(plain(title), fontsize=11, color=TEXT, loc="left", pad=8)
    axes.set_xlabel(x, color=FAINT, fontsize=10)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=FAINT, which="both", length=0, labelsize=9)
    for spine in axes.spines.values():
        spine.set_visible(False)


def log_y(axes: Any) -> None:
    """A log scale whose ticks are plain numbers, 1, 2 and 5 of each decade where there is room for them. The
    limits are set before."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

    low, high = axes.get_ylim()
    axes.set_yscale("log")
    decades = math.log10(high / low)
    locator = AutoLocator() if decades < 1 else LogLocator(subs=(1, 2, 5) if decades < 2.5 else (1,))
    axes.yaxis.set_major_locator(locator)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.4g}"))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_minor_formatter(NullFormatter())


def frame(axes: Any, lines: Sequence[float], bands: Sequence[float | None], log: bool) -> None:
    """Room for the lines, and for bands as far as they are not much wider: the lines are what is compared."""
    turn: Callable[[float], float] = math.log10 if log else float
    inner = [turn(v) for v in lines if not log or v > 0]
    if not inner:
        return
    outer = [turn(v) for v in bands if v is not None and (not log or v > 0)]
    low, high = min(inner), max(inner)
    room = 0.5 * (high - low) or math.inf
    low, high = max(min([low, *outer]), low - room), min(max([high, *outer]), high + room)
    spare = 0.04 * (high - low) or 0.05 * abs(high) or 1.0
    ends = (low - spare, high + spare)
    axes.set_ylim(*((10**v for v in ends) if log else ends))


def plain(name: str) -> str:
    """Text that matplotlib shows as it is, no longer than there is room for: a $ would begin a formula."""
    return name.replace("$", r"\$")


def cut(name: str) -> str:
    return plain(name if len(name) <= LONG else name[: LONG - 1] + "…")


def legend(figure: Any, named: Sequence[tuple[str, Style]]) -> None:
    """Above the picture, as many rows as it takes: label and style of each."""
    from matplotlib.lines import Line2D

    width = figure.get_size_inches()[0]
    handles = [
        Line2D(
            [], [], color=look.colour, linestyle=DASH[look.dash], marker=MARKER[look.marker], markersize=4.5,
            linewidth=1.7, label=cut(label),
        )
        for label, look in named
    ]  # fmt: skip
    longest = max((len(label) for label, _ in named), default=1)
    columns = max(2, min(ROW, int((width - 0.4) / (0.55 + 0.078 * min(longest, LONG)))))
    if handles:
        figure.legend(
            handles=handles, loc="outside upper left", ncols=min(len(handles), columns), frameon=False, fontsize=9,
            labelcolor=TEXT, handlelength=2.6, columnspacing=1.3,
        )  # fmt: skip


def end_labels(axes: Any, ends: Sequence[tuple[str, Style, float]], width: float = 6.5, height: float = 3.2) -> None:
    """The names beside the ends of their lines, pushed apart where lines end close together; the axes are about
    `width` by `height` inches."""
    step = 0.155 / height
    low, high = axes.get_ylim()
    log = axes.get_yscale() == "log"
    turn: Callable[[float], float] = math.log10 if log else float

    def place(value: float) -> float:
        return (turn(value) - turn(low)) / (turn(high) - turn(low))

    found = sorted(((place(y), label, look) for label, look, y in ends if not log or y > 0), key=lambda e: e[0])
    wanted = spread([min(max(at, 0.0), 1.0) for at, _, _ in found], step)
    for (at, label, look), y in zip(found, wanted):
        start, end = (1.0, min(max(at, 0.0), 1.0)), (1.0 + 0.2 / width, y)
        axes.plot(*zip(start, end), transform=axes.transAxes, color=look.colour, linewidth=0.9, clip_on=False)
        axes.text(end[0] + 0.04 / width, y, cut(label), transform=axes.transAxes, va="center", fontsize=8.5, color=TEXT)


def spread(places: Sequence[float], step: float) -> list[float]:
    """Rising places from 0 to 1, at least a step apart, near to the wanted ones: a push up, then one down."""
    made, before = [], -step
    for place in places:
        before = max(place, before + step)
        made.append(before)
    after = max(1.0, step * (len(made) - 1)) + step
    for i in range(len(made) - 1, -1, -1):
        after = made[i] = min(made[i], after - step)
    return made
