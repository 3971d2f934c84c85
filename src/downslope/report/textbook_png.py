"""The picture of a claim: its panels side by side as one small PNG."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..landscape.surfaces import by_name
from ..textbook import panels
from ..textbook.checks import interval
from .colours import BLUE, COLOURS, GREEN, GREY, ORANGE, PURPLE, RED, SKY, Style, style
from .png_parts import DASH, FAINT, MARKER, TEXT, as_png, dress, log_y, plain
from .surface_png import contour
from .surface_scene import Ground, Track

# What is no optimizer's: the colours in another order, each with a dash of its own.
NEXT = tuple(
    Style(colour, dash, marker)
    for colour, dash, marker in zip(
        (BLUE, ORANGE, GREEN, RED, PURPLE, SKY, GREY),
        ("solid", "dash", "dashdot", "dot", "longdash", "longdashdot", "dash"),
        (*MARKER, "circle"),
    )
)
WIDTH, HEIGHT = 4.2, 3.3  # inches of a panel
SHADES = (255, 128, 64)  # colours of the file: as many as there is room for
ROOM = 60_000  # bytes


def picture(found: Sequence[panels.Panel]) -> bytes:
    """The PNG of some panels, 10 to 60 kB, about a third of a second each."""
    columns = 2 if len(found) == 4 else min(len(found), 3)
    rows = -(-len(found) // columns)

    def draw(figure: Any) -> None:
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for here, panel in zip(axes, found):
            DRAWN[type(panel)](figure, here, panel)
        for here in axes[len(found) :]:
            here.set_axis_off()

    return _small(as_png(draw, WIDTH * columns, HEIGHT * rows))


def _small(png: bytes) -> bytes:
    from PIL import Image

    image = Image.open(io.BytesIO(png)).convert("RGB")
    image = image.resize((image.width * 5 // 8, image.height * 5 // 8), Image.Resampling.LANCZOS)
    for shades in SHADES:
        out = io.BytesIO()
        image.quantize(shades, dither=Image.Dither.NONE).save(out, "png", optimize=True)
        if out.tell() < ROOM:
            break
    return out.getvalue()


def _looks(optimizers: Sequence[str]) -> list[Style]:
    """Each optimizer's own style; what is none has the next one whose colour no optimizer here has."""
    own = {style(name).colour for name in optimizers if name}
    left = iter([look for look in NEXT if look.colour not in own] * 3)
    return [style(name) if name else next(left) for name in optimizers]


def _lines(figure: Any, axes: Any, panel: panels.Lines) -> None:
    from matplotlib.ticker import MaxNLocator

    for line, look in zip(panel.lines, _looks([line.optimizer for line in panel.lines])):
        x, mean, low, high = _band(line)
        mark = MARKER[look.marker] if panel.marks else None
        axes.plot(
            x, mean, color=look.colour, linestyle=DASH[look.dash], marker=mark, markersize=4, linewidth=1.6,
            label=plain(line.name),
        )  # fmt: skip
        if len(line.runs) > 1:
            axes.fill_between(x, low, high, color=look.colour, alpha=0.18, linewidth=0)
    if panel.level is not None:
        name, height = panel.level
        axes.axhline(height, color=FAINT, linewidth=1, linestyle=":", label=plain(name))
    dress(axes, panel.title, panel.x)
    if panel.log_x:
        axes.set_xscale("log")
    elif all(float(x).is_integer() for line in panel.lines for x in line.x):
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    if panel.log_y:
        drawn = np.concatenate([np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()])
        drawn = drawn[drawn > 0]
        axes.set_ylim(panel.low or drawn.min() / 1.15, panel.high or drawn.max() * 1.15)
        log_y(axes)
    else:
        axes.set_ylim(panel.low, panel.high)
    if len(panel.lines) > 1 or panel.level is not None:
        axes.legend(fontsize=8, frameon=False, labelcolor=TEXT, handlelength=2.6)


def _band(line: panels.Line) -> tuple[np.ndarray, ...]:
    """The mean of the runs at each x and the ends of its interval, as far as all runs have a value."""
    length = min(len(line.x), *(len(run) for run in line.runs))
    columns = np.array([[np.nan if v is None else v for v in run[:length]] for run in line.runs], dtype=float)
    x = np.array(line.x[:length], dtype=float)
    if len(columns) == 1:
        return x, columns[0], columns[0], columns[0]
    spans = [interval(column.tolist()) for column in columns.T]
    return x, columns.mean(0), *(np.array([getattr(s, end) for s in spans]) for end in ("low", "high"))


def _bars(figure: Any, axes: Any, panel: panels.Bars) -> None:
    """Bars from zero; means as points where all are far from it, as accuracies are, and on a log scale."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    spread = np.random.default_rng(0)
    every = [float(value) for bar in panel.bars for value in bar.values]
    points = panel.log_x or 0 < 0.6 * max(every) < min(every)
    for place, (bar, look) in enumerate(zip(panel.bars, _looks([bar.optimizer for bar in panel.bars]))):
        found = interval(bar.values)
        if points and found.mean > 0:
            axes.plot(found.mean, place, MARKER[look.marker], color=look.colour, markersize=9, mec="white", zorder=4)
        elif not points:
            axes.barh(place, found.mean, color=look.colour, height=0.62, alpha=0.55, linewidth=0)
        if len(bar.values) > 1:
            around = place + spread.uniform(-0.2, 0.2, len(bar.values))
            axes.plot(bar.values, around, "o", color=look.colour, markersize=2.5, clip_on=False, zorder=3)
        if found.low is not None and found.high is not None and found.high > found.low:
            axes.plot(
                [found.low, found.high], [place, place], color=TEXT, linewidth=1.6, solid_capstyle="butt", zorder=5
            )
    axes.set_yticks(range(len(panel.bars)), [plain(bar.name) for bar in panel.bars])
    axes.set_ylim(len(panel.bars) - 0.4, -0.6)
    dress(axes, panel.title, panel.x)
    axes.grid(axis="y", visible=False)
    if panel.log_x:
        axes.set_xscale("log")
        seen = [value for value in every if value > 0]
        axes.set_xlim(min(seen) / 1.6, max(seen) * 1.6)
        subs = (1.0,) if max(seen) / min(seen) > 30 else (1.0, 2.0, 5.0)
        axes.xaxis.set_major_locator(LogLocator(subs=subs, numticks=6))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(5))


def _histogram(figure: Any, axes: Any, panel: panels.Histogram) -> None:
    every = np.concatenate([np.asarray(values, dtype=float) for _, values in panel.of])
    edges = np.linspace(every.min(), every.max(), panel.bins + 1)
    for place, (name, values) in enumerate(panel.of):
        look = NEXT[place % len(NEXT)]
        axes.hist(values, edges, histtype="stepfilled", color=look.colour, alpha=0.12, density=True)
        axes.hist(
            values, edges, histtype="step", color=look.colour, linestyle=DASH[look.dash], linewidth=1.4, density=True,
            label=plain(name),
        )  # fmt: skip
    dress(axes, panel.title, panel.x)
    axes.set_yticks([])
    axes.legend(fontsize=8, frameon=False, labelcolor=TEXT)


def _scatter(figure: Any, axes: Any, panel: panels.Scatter) -> None:
    points, classes = np.asarray(panel.points, dtype=float), np.asarray(panel.classes)
    shapes = tuple(MARKER.values())
    for place, k in enumerate(np.unique(classes)):
        colour = NEXT[place].colour if place < len(NEXT) else COLOURS[place % len(COLOURS)]
        shape, name = shapes[place % len(shapes)], panel.names[place] if panel.names else None
        axes.scatter(*points[classes == k].T, s=9, color=colour, marker=shape, linewidths=0, label=name)
    dress(axes, panel.title)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", "datalim")
    if panel.names:
        axes.legend(fontsize=8, frameon=False, labelcolor=TEXT)


def _surface(figure: Any, axes: Any, panel: panels.Surface) -> None:
    surface = by_name(panel.surface)
    x, y, z = (values.numpy() for values in surface.grid(121))
    floor = float(z[np.isfinite(z)].min())
    tracks = []
    for walked, look in zip(panel.walks, _looks([walked.optimizer for walked in panel.walks])):
        points = np.asarray(walked.points, dtype=float)
        tracks.append(Track(walked.name, look, points, np.zeros(len(points))))
    start = tuple(tracks[0].points[0]) if tracks else None
    contour(figure, axes, Ground(panel.title, x, y, z, surface.log, surface.minima, floor, start=start), tracks)
    for track in tracks:
        axes.plot([], [], color=track.style.colour, label=plain(track.label))
    axes.legend(fontsize=8, labelcolor=TEXT, framealpha=0.85, edgecolor="none")


def _shades(figure: Any, axes: Any, panel: panels.Picture) -> None:
    axes.imshow(np.asarray(panel.pixels, dtype=float), cmap="gray_r")
    dress(axes, panel.title)
    axes.grid(False)
    axes.set_xticks([])
    axes.set_yticks([])


DRAWN: dict[type, Callable[[Any, Any, Any], None]] = {
    panels.Lines: _lines, panels.Bars: _bars, panels.Histogram: _histogram, panels.Scatter: _scatter,
    panels.Surface: _surface, panels.Picture: _shades,
}  # fmt: skip
