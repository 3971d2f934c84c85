"""A surface with paths on it as one HTML file that needs no network: to be turned, and played step by step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files

import numpy as np

from .surface_scene import Ground, Track, tint

SIDE = 72  # the most quads a side: what a canvas turns smoothly


def page(ground: Ground, tracks: Sequence[Track], note: str = "", extra: str = "") -> str:
    """The page, 60 to 150 kB. `note` is a sentence below the picture, `extra` a table or more, as HTML."""
    rows, columns = _thin(len(ground.y)), _thin(len(ground.x))
    h = ground.height(ground.z)[np.ix_(rows, columns)]
    colours = (tint(np.linspace(0, 1, 64))[:, :3] * 255).round().astype(int).tolist()
    paths = []
    for track in tracks:
        at = ground.at(track.points)
        end = len(at) if np.isfinite(at).all() else int(np.argmin(np.isfinite(at)))
        paths.append(
            {
                "name": track.label,
                "colour": track.style.colour,
                "points": np.column_stack([track.points[:end], at[:end]]).round(5).tolist(),
                "values": [float(f"{v:.5g}") for v in track.values[:end]],
                "left": end < len(at),
            }
        )
    marks = np.array(ground.marks, dtype=float).reshape(-1, 2)
    data = {
        "title": ground.title,
        "names": ground.names,
        "x": ground.x[columns].round(6).tolist(),
        "y": ground.y[rows].round(6).tolist(),
        "h": [[None if not np.isfinite(v) else round(float(v), 4) for v in row] for row in h],
        "z": [
            [None if not np.isfinite(v) else float(f"{v:.4g}") for v in row] for row in ground.z[np.ix_(rows, columns)]
        ],
        "colours": colours,
        "paths": paths,
        "marks": np.column_stack([marks, ground.at(marks)]).tolist() if len(marks) else [],
    }
    content = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    shell = files("downslope.report").joinpath("page/surface.html").read_text(encoding="utf-8")
    script = files("downslope.report").joinpath("page/surface.js").read_text(encoding="utf-8")
    filled = {"TITLE": escape(ground.title), "NOTE": escape(note), "EXTRA": extra, "DATA": content, "SCRIPT": script}
    for key, text in filled.items():
        shell = shell.replace(f"%%{key}%%", text)
    return shell


def _thin(count: int) -> np.ndarray:
    return np.unique(np.linspace(0, count - 1, min(count, SIDE + 1)).round().astype(int))
