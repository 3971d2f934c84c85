"""A surface with paths on it as one PNG: from above, in 3-D, and the heights by step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .png_parts import DASH, MARKER, TEXT, as_png, dress, legend, plain
from .surface_frames import still
from .surface_scene import Ground, Track, tint


def picture(ground: Ground, tracks: Sequence[Track], note: str = "") -> bytes:
    """The PNG, about 13 by 4.6 inches with paths, about a second."""
    steps = any(len(track.points) > 1 for track in tracks) and any(np.isfinite(t.values).all() for t in tracks)

    def draw(figure: Any) -> None:
        above, solid, *rest = figure.subplots(1, 3 if steps else 2, width_ratios=[1, 1.25, 0.9][: 3 if steps else 2])
        contour(figure, above, ground, tracks)
        solid.imshow(still(ground, tracks))
        solid.set_axis_off()
        if rest:
            _heights(rest[0], ground, tracks)
        if note:
            figure.supxlabel(plain(note), fontsize=8.5, color=TEXT, ha="left", x=0.01)
        legend(figure, [(track.label, track.style) for track in tracks])

    return as_png(draw, 14 if steps else 10.5, 4.9)


def contour(figure: Any, axes: Any, ground: Ground, tracks: Sequence[Track]) -> None:
    """The surface from above: filled, with lines of equal height labelled by value."""
    h = ground.height(ground.z)
    extent = (ground.x[0], ground.x[-1], ground.y[0], ground.y[-1])
    axes.imshow(tint(h), extent=extent, origin="lower", aspect="auto", interpolation="bilinear")
    known = np.where(np.isfinite(h), h, 1.0)
    levels = [level for level in np.linspace(0.06, 0.94, 12) if known.min() < level < known.max()]
    if levels:
        lines = axes.contour(ground.x, ground.y, known, levels=levels, colors="#24292f", linewidths=0.5, alpha=0.55)
        axes.clabel(lines, levels[::3], fmt=lambda level: f"{value(ground, level):.3g}", fontsize=7)
    for track in tracks:
        dash = DASH[track.style.dash]
        axes.plot(*track.points.T, color="white", linewidth=3.2, alpha=0.8, solid_capstyle="round")
        axes.plot(*track.points.T, color=track.style.colour, linewidth=1.7, linestyle=dash)
        axes.plot(
            *track.points[-1:].T, color=track.style.colour, marker=MARKER[track.style.marker], markersize=7, mec="w"
        )
    if ground.start is not None:
        axes.plot(*ground.start, marker="o", markersize=6, mfc="white", mec=TEXT)
    for mark in ground.marks:
        axes.plot(*mark, marker="*", markersize=13, color=TEXT, mec="white")
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    dress(axes, ground.title, ground.names[0])
    axes.set_ylabel(ground.names[1], color=TEXT, fontsize=10)
    axes.grid(False)


def value(ground: Ground, level: float) -> float:
    """The value that stands at a height of the picture."""
    known = ground.z[np.isfinite(ground.z)]
    low = min(float(known.min()), ground.floor if ground.floor is not None else np.inf)
    heights = np.linspace(0, 1, 20001) ** (8 if ground.log else 1)
    values = low + heights * (float(known.max()) - low)
    return float(values[np.searchsorted(ground.height(values), level).clip(0, len(values) - 1)])


def _heights(axes: Any, ground: Ground, tracks: Sequence[Track]) -> None:
    known = [ground.floor] if ground.floor is not None else []
    low = min([*known, *(float(track.values.min()) for track in tracks)])
    above = ground.floor is not None and all(float(t.values.min()) >= ground.floor - 1e-9 for t in tracks)
    tops = max(float(track.values[0]) for track in tracks)
    if ground.steps != "steps":  # nothing here explodes, and all of it is to be seen
        tops = max(float(np.nanmax(track.values)) for track in tracks)
        above = above and min(float(np.nanmin(track.values)) for track in tracks) > 0
    for track in tracks:
        shown = np.maximum(track.values - low, 1e-12 * max(tops - low, 1e-300)) if above else track.values
        axes.plot(shown, color=track.style.colour, linestyle=DASH[track.style.dash], linewidth=1.7)
    dress(axes, "Height above the minimum" if above else "Height", ground.steps)
    if above:
        axes.set_yscale("log")
        lowest = min((float(t.values[t.values > low].min(initial=np.inf)) for t in tracks), default=np.inf) - low
        axes.set_ylim(max(1e-8 * (tops - low), 0.5 * min(lowest, tops - low), 1e-12), 5 * max(tops - low, 1e-11))
    else:
        axes.set_ylim(min(float(ground.z[np.isfinite(ground.z)].min()), tops), tops + 0.1 * abs(tops) + 1e-9)
