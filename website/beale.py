"""Each optimizer's path on Beale's function: one picture of the ground for all, the paths as SVG in their colours."""

from __future__ import annotations

import io
from functools import cache

import torch

from downslope.landscape.surfaces import SURFACES
from downslope.landscape.trajectories import Path, walk
from downslope.report.colours import Style, style
from downslope.report.surface_files import drawn
from downslope.report.surface_png import contour

SURFACE = SURFACES["beale"]
SIZE = 450  # units of the pictures' coordinates for the width of the domain
DASHES = {
    "solid": "",
    "dash": "10 6",
    "dot": "2 5",
    "dashdot": "10 5 2 5",
    "longdash": "18 7",
    "longdashdot": "18 6 3 6",
}


def ground() -> bytes:
    """The PNG of the surface from above, without axes."""
    from matplotlib.figure import Figure

    scene, _ = drawn(SURFACE, [path("SGD")], 161)
    figure = Figure(figsize=(5, 5), dpi=144)
    axes = figure.add_axes((0, 0, 1, 1))
    contour(figure, axes, scene, [])
    axes.set_title("")
    for text in axes.texts:
        text.set_visible(False)
    axes.set_axis_off()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


@cache
def path(name: str) -> Path:
    return walk(SURFACE, [name], steps=SURFACE.steps)[0]


def picture(name: str) -> str:
    """The path on its ground, as large as a page has it."""
    walked, look = path(name), style(name.lower())
    x, y = _place(walked.points[-1])
    end = f"({walked.points[-1, 0]:.3g}, {walked.points[-1, 1]:.3g})"
    label = f"The path of {name} on Beale's function, from {SURFACE.start} to {end}"
    return (
        f'<div class="beale"><svg viewBox="0 0 {SIZE} {SIZE}" role="img" aria-label="{label}">'
        f'<image href="../assets/beale.png" width="{SIZE}" height="{SIZE}"/>{_line(walked, look)}'
        f"{_star()}{_ring()}{_marker(look, x, y, 7)}</svg></div>"
    )


def thumbnail(name: str) -> str:
    """The path alone around where it goes, for the gallery."""
    walked, look = path(name), style(name.lower())
    x, y = _place(walked.points[-1])
    return (
        f'<svg viewBox="0 60 {SIZE} 300" aria-hidden="true"><image href="../assets/beale.png" width="{SIZE}" '
        f'height="{SIZE}"/>{_line(walked, look)}{_star()}{_marker(look, x, y, 11)}</svg>'
    )


def _place(point: torch.Tensor) -> tuple[float, float]:
    (left, right), (low, high) = SURFACE.domain
    x, y = point.tolist()
    return SIZE * (x - left) / (right - left), SIZE * (high - y) / (high - low)


def _line(walked: Path, look: Style) -> str:
    places = [_place(point) for point in walked.points]
    text = " ".join(f"{x:.1f},{y:.1f}" for x, y in places if -SIZE < x < 2 * SIZE and -SIZE < y < 2 * SIZE)
    dash = f' stroke-dasharray="{DASHES[look.dash]}"' if DASHES[look.dash] else ""
    shared = f'points="{text}" fill="none" stroke-linejoin="round" stroke-linecap="round"'
    return (
        f'<polyline {shared} stroke="#fff" stroke-width="6" opacity="0.8"/>'
        f'<polyline {shared} stroke="{look.colour}" stroke-width="3.2"{dash}/>'
    )


def _star() -> str:
    x, y = _place(torch.tensor(SURFACE.minima[0]))
    return (
        f'<path d="M0-11 2.9-3.6 10.5-3.4 4.5 1.4 6.5 8.9 0 4.5-6.5 8.9-4.5 1.4-10.5-3.4-2.9-3.6Z" fill="#24292f" '
        f'stroke="#fff" stroke-width="1.5" transform="translate({x:.1f} {y:.1f})"/>'
    )


def _ring() -> str:
    x, y = _place(torch.tensor(SURFACE.start))
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="#fff" stroke="#24292f" stroke-width="2"/>'


SHAPES = {
    "circle": "M-1 0a1 1 0 1 0 2 0a1 1 0 1 0-2 0",
    "square": "M-.88-.88h1.76v1.76h-1.76Z",
    "diamond": "M0-1.2 1.2 0 0 1.2-1.2 0Z",
    "triangle-up": "M0-1.15 1.1.8h-2.2Z",
    "triangle-down": "M0 1.15 1.1-.8h-2.2Z",
    "pentagon": "M0-1.1 1.05-.34.65.9h-1.3L-1.05-.34Z",
}


def _marker(look: Style, x: float, y: float, size: float) -> str:
    return (
        f'<path d="{SHAPES[look.marker]}" fill="{look.colour}" stroke="#fff" stroke-width="{1.5 / size:.3f}" '
        f'transform="translate({x:.1f} {y:.1f}) scale({size})"/>'
    )
