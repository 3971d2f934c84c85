"""A test surface's files: picture, animation, page and numbers, in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from ..landscape.surface import Surface
from ..landscape.trajectories import Path as Walk
from ..landscape.trajectories import walk
from ..training.files import guard, pretty, write_atomic
from .colours import style
from .surface_frames import frames, gif, mp4
from .surface_html import page
from .surface_png import picture
from .surface_scene import Ground, Track


def write_surface(
    surface: Surface,
    optimizers: Mapping[str, Mapping[str, Any]],
    folder: Path,
    *,
    steps: int | None = None,
    noise: float | None = None,
    seed: int = 0,
    grid: int = 121,
) -> list[Path]:
    """Let them walk and write surface.png, .gif, .mp4 (with ffmpeg), .html and paths.json; the paths of the files.

    Costs some 10 s on two cores, most of it frames."""
    walks = walk(surface, optimizers, steps=steps, noise=noise, seed=seed)
    ground, tracks = drawn(surface, walks, grid)
    moving = list(frames(ground, tracks))
    sentence = f"{surface.formula}. {surface.source}."
    contents: dict[str, str | bytes] = {
        "surface.png": picture(ground, tracks, sentence),
        "surface.gif": gif(moving, keep=[track.style.colour for track in tracks]),
        "surface.html": page(ground, tracks, sentence, table(walks)),
        "paths.json": pretty(numbers(surface, walks)),
    }
    film = mp4(moving)
    if film is not None:
        contents["surface.mp4"] = film
    guard(folder, lambda p: os.makedirs(p, exist_ok=True))
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]


def drawn(surface: Surface, walks: list[Walk], grid: int) -> tuple[Ground, list[Track]]:
    """What is to be drawn of a surface and paths on it."""
    x, y, z = (t.numpy() for t in surface.grid(grid))
    floor = None
    if surface.minima:
        floor = min(float(surface(*point)) for point in surface.minima)
    ground = Ground(
        surface.title, x, y, z, surface.log, surface.minima, floor, start=tuple(walks[0].points[0].tolist())
    )
    return ground, [Track(w.label, style(w.name), w.points.numpy(), w.values.numpy()) for w in walks]


def shown(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v:.4g}" if isinstance(v, float) else f"{k}={v}" for k, v in settings.items())


def table(walks: list[Walk]) -> str:
    """Settings of each and where it ended."""
    rows = "".join(
        f"<tr><td>{escape(w.label)}</td><td>{escape(shown(w.settings))}</td><td>{w.chosen}</td>"
        f"<td>({w.points[-1, 0]:.4g}, {w.points[-1, 1]:.4g})</td><td>{w.values[-1]:.4g}</td></tr>"
        for w in walks
    )
    head = "<tr><th>optimizer</th><th>settings</th><th>learning rate</th><th>ends at</th><th>height</th></tr>"
    return f"<table>{head}{rows}</table>"


def numbers(surface: Surface, walks: list[Walk]) -> dict[str, Any]:
    """The paths as numbers."""
    return {
        "surface": surface.name,
        "formula": surface.formula,
        "source": surface.source,
        "paths": [
            {"optimizer": w.name, "settings": w.settings, "lr": w.chosen, "points": w.points.tolist(),
             "values": w.values.tolist()}
            for w in walks
        ],
    }  # fmt: skip
