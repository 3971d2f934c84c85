"""A surface in 3-D without perspective: drawn once, with where points stand in the picture and which are hidden."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .colours import Style
from .png_parts import FAINT, TEXT, cut, plain

DECADES = 5  # of heights that a log scale shows above the lowest
ROOM = np.array([0.94, 0.93])  # of the picture, that the surface may fill
PALE = 0.42  # how much white is in the colours of the ground, so that paths stand out


@dataclass(frozen=True)
class Track:
    """A path to be drawn: its label and style, points (n, 2) and their heights (n)."""

    label: str
    style: Style
    points: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Ground:
    """What paths are drawn on: x (n), y (m), heights z (m, n) with nan where there is none, and how it is labelled.

    `marks` are points to be shown as stars. `floor` is the lowest height, in logs of which heights are shown."""

    title: str
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray
    log: bool = False
    marks: tuple[tuple[float, float], ...] = ()
    floor: float | None = None
    names: tuple[str, str] = ("x", "y")
    start: tuple[float, float] | None = None
    steps: str = "steps"

    def height(self, z: Any) -> np.ndarray:
        """How high a value stands in the picture, from 0 to 1; what is higher or lower than the surface stands at
        its edge."""
        known = self.z[np.isfinite(self.z)]
        low = min(float(known.min()), self.floor if self.floor is not None else np.inf)
        span = max(float(known.max()) - low, 1e-300)
        share = np.clip((np.asarray(z, dtype=float) - low) / span, 0, 1)
        if not self.log:
            return share
        unit = 10.0**-DECADES
        lowest = np.log10(1 + max(float(known.min()) - low, 0.0) / span / unit)  # the darkest colour is of the grid
        return np.asarray(np.clip((np.log10(1 + share / unit) - lowest) / (np.log10(1 + 1 / unit) - lowest), 0, 1))

    def at(self, points: np.ndarray) -> np.ndarray:
        """The height in the picture at points (..., 2), between those of the grid; nan outside it."""
        h = self.height(self.z)
        u = (points[..., 0] - self.x[0]) / (self.x[-1] - self.x[0]) * (len(self.x) - 1)
        v = (points[..., 1] - self.y[0]) / (self.y[-1] - self.y[0]) * (len(self.y) - 1)
        inside = (u >= 0) & (u <= len(self.x) - 1) & (v >= 0) & (v <= len(self.y) - 1)
        u, v = np.where(inside, u, 0), np.where(inside, v, 0)
        i, j = np.minimum(u.astype(int), len(self.x) - 2), np.minimum(v.astype(int), len(self.y) - 2)
        a, b = u - i, v - j
        found = (1 - b) * ((1 - a) * h[j, i] + a * h[j, i + 1]) + b * ((1 - a) * h[j + 1, i] + a * h[j + 1, i + 1])
        return np.where(inside, found, np.nan)


class Scene:
    """The ground drawn at `width` by `height` pixels. `pixels` is the picture (height, width, 3)."""

    def __init__(
        self,
        ground: Ground,
        tracks: Sequence[Track],
        width: int,
        height: int,
        elevation: float = 48,
        turn: float = -125,
        words: bool = True,
    ):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.ground, self.elevation, self.turn = ground, np.radians(elevation), np.radians(turn)
        figure = Figure(figsize=(width / 100, height / 100), dpi=100, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        scale = width / 1280
        axes: Any = figure.add_axes((0, 0, 1, 1), projection="3d", computed_zorder=False)
        axes.set_proj_type("ortho")
        axes.view_init(elev=elevation, azim=turn)
        self.box = np.array([1.0, 1.0, 0.62])
        axes.set_box_aspect(self.box)
        self._draw(axes)
        axes.set_axis_off()
        self._size = (width, height)
        self._fit(axes)
        if words:
            figure.text(0.02, 0.975, plain(ground.title), fontsize=20 * scale, color=TEXT, va="top")
            self._legend(figure, tracks, scale)
        axes.apply_aspect()
        self._matrix, self._data = axes.get_proj(), axes.transData
        self._contours(figure)
        canvas.draw()
        self.pixels = np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _contours(self, figure: Any) -> None:
        """Lines of equal height, where nothing stands before them."""
        from contourpy import contour_generator
        from matplotlib.collections import LineCollection
        from matplotlib.transforms import IdentityTransform

        h = self.ground.height(self.ground.z)
        if not (np.isfinite(h).all() and float(h.max()) > 0):
            return
        made = contour_generator(self.ground.x, self.ground.y, h)
        found: list[np.ndarray] = []
        for level in np.linspace(0.04, 0.96, 16):
            for line in map(np.asarray, made.lines(level)):
                heights = np.full(len(line), level + 0.004)
                seen = self.seen(line, heights)
                pixels = self.project(line, heights)
                pixels[:, 1] = self._size[1] - pixels[:, 1]
                pairs = np.stack([pixels[:-1], pixels[1:]], 1)
                found += [*pairs[seen[:-1] & seen[1:]]]
        lines = LineCollection(found, colors="white", linewidths=0.9, alpha=0.55, capstyle="round")
        lines.set_transform(IdentityTransform())
        figure.add_artist(lines)

    def _fit(self, axes: Any) -> None:
        """Make the axes as large as the whole surface has room, and put its middle in the middle."""
        x, y = np.meshgrid(self.ground.x, self.ground.y)
        points = np.stack([x.ravel(), y.ravel()], -1)
        heights = np.nan_to_num(self.ground.height(self.ground.z)).ravel()
        axes.apply_aspect()
        self._matrix, self._data = axes.get_proj(), axes.transData
        pixels = self.project(points, heights) / self._size
        low, high = pixels.min(0), pixels.max(0)
        scale = float(min(ROOM / (high - low)))
        middle = (low + high) / 2
        left, bottom = 0.5 - scale * middle[0], 0.5 - scale * (1 - middle[1])
        axes.set_position((left, bottom, scale, scale))

    def _draw(self, axes: Any) -> None:
        g = self.ground
        x, y = np.meshgrid(g.x, g.y)
        h = g.height(g.z)
        colours = tint(h)
        shade = self._shade(h)
        colours[..., :3] *= shade[..., None]
        axes.plot_surface(
            x, y, h, facecolors=colours, rstride=1, cstride=1, linewidth=0, antialiased=False, shade=False
        )
        axes.set_xlim(g.x[0], g.x[-1])
        axes.set_ylim(g.y[0], g.y[-1])
        axes.set_zlim(0, 1)

    def _shade(self, h: np.ndarray) -> np.ndarray:
        """A light from the upper left, so that slopes are seen."""
        filled = np.nan_to_num(h)
        along, across = np.gradient(filled, 1 / (len(self.ground.y) - 1), 1 / (len(self.ground.x) - 1))
        normal = np.stack([-across * 0.62, -along * 0.62, np.ones_like(filled)], -1)
        normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
        light = np.array([-0.55, -0.1, 0.83])
        return np.clip(0.62 + 0.42 * (normal @ light), 0.5, 1.0)

    def _legend(self, figure: Any, tracks: Sequence[Track], scale: float) -> None:
        from matplotlib.lines import Line2D

        handles = [Line2D([], [], color=t.style.colour, linewidth=5 * scale, label=cut(t.label)) for t in tracks]
        if handles:
            figure.legend(
                handles=handles, loc="upper right", frameon=False, fontsize=16 * scale, labelcolor=TEXT,
                handlelength=1.4, bbox_to_anchor=(0.995, 0.99), labelspacing=0.35,
            )  # fmt: skip

    def project(self, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Pixels (n, 2), from the upper left, of points (n, 2) at heights of the picture (n)."""
        from mpl_toolkits.mplot3d import proj3d

        across, up, _ = proj3d.proj_transform(points[:, 0], points[:, 1], heights, self._matrix)
        pixels = self._data.transform(np.stack([across, up], -1))
        return np.stack([pixels[:, 0], self._size[1] - pixels[:, 1]], -1)

    def seen(self, points: np.ndarray, heights: np.ndarray) -> np.ndarray:
        """Which points (n, 2) at heights (n) have no ground before them."""
        g = self.ground
        low, high = np.array([g.x[0], g.y[0], 0.0]), np.array([g.x[-1], g.y[-1], 1.0])
        flat = np.cos(self.elevation)
        toward = np.array([flat * np.cos(self.turn), flat * np.sin(self.turn), np.sin(self.elevation)])
        step = toward * (high - low) / self.box
        far = np.linspace(0.02, 1.2, 90)
        ray = np.concatenate([points, heights[:, None]], 1)[:, None] + far[None, :, None] * step
        ground = g.at(ray[..., :2])
        return ~(np.nan_to_num(ground, nan=-1.0) > ray[..., 2] + 0.004).any(1)


def tint(h: np.ndarray) -> np.ndarray:
    """The colour of a height from 0 to 1: viridis, which all eyes see rise, made pale."""
    from matplotlib import colormaps

    colours = np.asarray(colormaps["viridis"](np.nan_to_num(h, nan=1.0)))
    colours[..., :3] = colours[..., :3] * (1 - PALE) + PALE
    colours[..., 3] = np.isfinite(h)
    return colours


def png_of(pixels: np.ndarray) -> bytes:
    """The bytes of a PNG of (height, width, 3) pixels."""
    from PIL import Image

    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG", optimize=True)
    return content.getvalue()


__all__ = ["FAINT", "Ground", "Scene", "Track", "png_of", "tint"]
