"""What a folder of claims holds beside their figures: one page, and the picture of each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..textbook.run import Finished
from ..training.files import write_atomic
from .textbook_html import html
from .textbook_png import picture


def write_textbook(every: Sequence[Finished], folder: Path) -> list[Path]:
    """Write textbook.html and NAME.png of each claim; their paths. Raises RunError if they cannot be written."""
    contents: dict[str, str | bytes] = {f"{one.slug}.png": picture(one.pictured()) for one in every}
    contents["textbook.html"] = html(every)
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]
