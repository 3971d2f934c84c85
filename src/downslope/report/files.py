"""The report's files in a run folder."""

from __future__ import annotations

from pathlib import Path

from ..race import Result
from ..training.files import write_atomic
from .html import html
from .png import png


def write_report(result: Result) -> list[Path]:
    """Write report.html and race.png into the race's folder; their paths. Raises RunError if they cannot be written."""
    contents: dict[str, str | bytes] = {"report.html": html(result), "race.png": png(result)}
    for name, content in contents.items():
        write_atomic(result.folder / name, content)
    return [result.folder / name for name in contents]
