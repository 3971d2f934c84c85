"""The page of the test surfaces: the table of landscape/surfaces.py with a picture of each."""

from __future__ import annotations

import base64
import io

import numpy as np

from downslope.landscape.surface import Surface
from downslope.landscape.surfaces import SURFACES
from downslope.report.surface_scene import Ground, Scene

HEAD = """# Test surfaces

What `downslope landscape` and `downslope play` walk on: {count} surfaces, each with the box it is drawn on, its lowest
points in that box (verified by gradient and Hessian in float64), saddle points, and where it comes from.
[How to draw them, and your own](landscapes.md).
"""


def pages() -> dict[str, str]:
    cards = "\n".join(_card(surface) for surface in SURFACES.values())
    return {"surfaces.md": f"{HEAD.format(count=len(SURFACES))}\n{cards}\n"}


def _card(surface: Surface) -> str:
    (left, right), (low, high) = surface.domain
    rows = [
        ("lowest", _points(surface.minima) or "none: it falls without end"),
        ("saddles", _points(surface.saddles)),
        ("drawn on", f"[{left:g}, {right:g}] × [{low:g}, {high:g}]"),
        ("start", _points((surface.start,))),
        ("from", surface.source),
    ]
    listed = "".join(f"<tr><th>{name}</th><td>{text}</td></tr>" for name, text in rows if text)
    return (
        f"## {surface.title} {{: #{surface.name} }}\n\n`{surface.name}`\n\n"
        f'<div class="surface"><img src="data:image/webp;base64,{_picture(surface)}" alt="{surface.name} in 3-D" '
        f'width="320" height="200" loading="lazy"/><div><p class="f">{surface.formula}</p>'
        f"<table>{listed}</table></div></div>\n"
    )


def _points(points: tuple[tuple[float, float], ...]) -> str:
    return ", ".join(f"({x:.5g}, {y:.5g})" for x, y in points).replace("-", "−")


def _picture(surface: Surface) -> str:
    from PIL import Image

    x, y, z = (t.numpy() for t in surface.grid(61))
    floor = min((float(surface(*point)) for point in surface.minima), default=None)
    scene = Scene(Ground("", x, y, z, surface.log, (), floor), [], 480, 300, words=False)
    content = io.BytesIO()
    Image.fromarray(np.asarray(scene.pixels)).save(content, "WEBP", quality=72)
    return base64.b64encode(content.getvalue()).decode()
