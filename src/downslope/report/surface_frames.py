"""Paths that grow over a surface: frames, and the GIF and MP4 made of them."""

from __future__ import annotations

import io
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .surface_scene import Ground, Scene, Track

WIDTH, HEIGHT = 640, 480
FINE = 2  # drawn so many times larger, then made smaller, for smooth lines
FRAMES = 200
MILLISECONDS = 40  # a frame, as in the classic animations
REST = 30  # frames' time that the last one stays
GROUND = 128  # colours of a GIF, which has 256, for all but what is kept as it is
INK = ("#24292f", "#57606a", "#ffffff")


def frames(ground: Ground, tracks: Sequence[Track], count: int | None = None) -> Iterator[np.ndarray]:
    """The pictures (HEIGHT, WIDTH, 3), one a step, fewer where there are more than `count` steps, 200 by default."""
    from PIL import Image

    scene = Scene(ground, tracks, WIDTH * FINE, HEIGHT * FINE)
    base = Image.fromarray(scene.pixels)
    drawn = [_Drawn(scene, track) for track in tracks]
    last = max((len(track.points) for track in tracks), default=1) - 1
    shown = np.unique(np.linspace(0, last, min(last + 1, count or FRAMES)).round().astype(int))
    _stars(base, scene)
    for step in shown:
        for each in drawn:
            each.line(base, int(step))
        picture = base.copy()
        for each in drawn:
            each.head(picture, int(step))
        yield np.asarray(picture.reduce(FINE))


def still(ground: Ground, tracks: Sequence[Track]) -> np.ndarray:
    """The last picture, without its legend and twice as fine."""
    from PIL import Image

    scene = Scene(ground, tracks, WIDTH * FINE, HEIGHT * FINE, words=False)
    base = Image.fromarray(scene.pixels)
    _stars(base, scene)
    drawn = [_Drawn(scene, track) for track in tracks]
    for each in drawn:
        each.line(base, len(each.track.points))
    for each in drawn:
        each.head(base, len(each.track.points) - 1)
    return np.asarray(base)


class _Drawn:
    """A path in the picture; what is outside the ground is left out, what is behind it is thin."""

    def __init__(self, scene: Scene, track: Track):
        at = scene.ground.at(track.points)
        inside = np.isfinite(at)
        self.end = len(inside) if inside.all() else int(np.argmin(inside))  # it ends where it leaves
        heights = np.where(inside, at, 0.0) + 0.006
        self.pixels = scene.project(track.points, heights)
        self.seen = scene.seen(track.points, heights)
        self.track, self.done = track, 0

    def line(self, picture: Any, step: int) -> None:
        """What was walked since the last picture, on top of it: a white rim, then the colour over all near it."""
        from PIL import ImageDraw

        draw = ImageDraw.Draw(picture)
        stop = max(min(step, self.end - 1), 0)
        for i in range(self.done, stop):
            if self.seen[i] and self.seen[i + 1]:
                draw.line(self._both(i), fill="white", width=4 * FINE)
        for i in range(max(self.done - 2, 0), stop):
            seen = self.seen[i] and self.seen[i + 1]
            draw.line(self._both(i), fill=self.track.style.colour, width=int((2.5 if seen else 1) * FINE))
        self.done = max(self.done, stop)

    def _both(self, i: int) -> list[tuple[float, float]]:
        return [tuple(self.pixels[i]), tuple(self.pixels[i + 1])]

    def head(self, picture: Any, step: int) -> None:
        from PIL import ImageDraw

        if self.end and step < self.end:
            i = min(step, len(self.pixels) - 1)
            _marker(ImageDraw.Draw(picture), self.pixels[i], self.track.style.colour, self.track.style.marker)
        elif self.end == len(self.pixels) and self.end:  # ended, not left
            _marker(ImageDraw.Draw(picture), self.pixels[-1], self.track.style.colour, self.track.style.marker)


CORNERS = {"square": (4, 45.0), "diamond": (4, 0.0), "triangle-up": (3, -90.0), "triangle-down": (3, 90.0),
           "pentagon": (5, -90.0)}  # fmt: skip


def _marker(draw: Any, at: np.ndarray, colour: str, marker: str) -> None:
    x, y = at
    r = 5 * FINE
    if marker not in CORNERS:
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour, outline="white", width=FINE + 1)
        return
    corners, turn = CORNERS[marker]
    angles = np.radians(turn + 360 / corners * np.arange(corners))
    draw.polygon([(x + 1.25 * r * np.cos(a), y + 1.25 * r * np.sin(a)) for a in angles], fill=colour, outline="white")


def _stars(picture: Any, scene: Scene) -> None:
    """Where the minima are."""
    from PIL import ImageDraw

    if not scene.ground.marks:
        return
    marks = np.array(scene.ground.marks, dtype=float)
    heights = scene.ground.at(marks)
    for x, y in scene.project(marks[np.isfinite(heights)], heights[np.isfinite(heights)] + 0.004):
        angles = np.radians(-90 + 36 * np.arange(10))
        radii = np.where(np.arange(10) % 2 == 0, 9, 3.6) * FINE
        points = [(x + r * np.cos(a), y + r * np.sin(a)) for a, r in zip(angles, radii)]
        ImageDraw.Draw(picture).polygon(points, fill="#24292f", outline="white")


def gif(pictures: Sequence[np.ndarray], milliseconds: int = MILLISECONDS, keep: Sequence[str] = ()) -> bytes:
    """An animated GIF that loops and rests at its end; one palette, so that the ground stays still, in which the
    colours of `keep` are exactly themselves."""
    from PIL import Image

    images = [Image.fromarray(p) for p in pictures]
    palette = _palette(np.concatenate([pictures[0], pictures[len(pictures) // 2], pictures[-1]]), keep)
    made = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
    content = io.BytesIO()
    times = [milliseconds] * (len(made) - 1) + [milliseconds * REST]
    made[0].save(content, "GIF", save_all=True, append_images=made[1:], duration=times, loop=0, optimize=False)
    return content.getvalue()


def _palette(looks: np.ndarray, keep: Sequence[str]) -> Any:
    """An image whose palette has each colour to keep, on its way to white as at the rims of lines, and the ground's."""
    from PIL import Image, ImageColor

    exact = [np.array(ImageColor.getrgb(colour)) for colour in dict.fromkeys([*keep, *INK])]
    mixed = [(share * c + (1 - share) * 255).round() for c in exact for share in (1, 0.75, 0.5, 0.25)]
    colours = np.unique(np.array(mixed, int), axis=0)[: 256 - GROUND]
    ground = Image.fromarray(looks).quantize(256 - len(colours), method=Image.Quantize.MEDIANCUT)
    found = np.array((ground.getpalette() or [])[: 3 * 256], int).reshape(-1, 3)[: 256 - len(colours)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([colours, found]).ravel().tolist())
    return palette


def mp4(pictures: Sequence[np.ndarray], milliseconds: int = MILLISECONDS) -> bytes | None:
    """The same as H.264, which every browser plays; None where ffmpeg is not installed or fails."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    height, width = pictures[0].shape[:2]
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "paths.mp4"
        command = [program, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
                   "-s", f"{width}x{height}",
                   "-r", f"{1000 / milliseconds:g}", "-i", "-", "-pix_fmt", "yuv420p", str(out)]  # fmt: skip
        data = b"".join(np.ascontiguousarray(p).tobytes() for p in pictures)
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        return out.read_bytes() if done.returncode == 0 and out.exists() else None
