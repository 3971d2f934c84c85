"""The report's files in a run folder."""

from __future__ import annotations

import json
from pathlib import Path

from ..race import Result
from ..race.board import board
from ..race.folder import saved_folder
from ..race.result import Several
from ..training.files import write_atomic
from .html import html
from .png import pngs
from .several import several_html, several_pngs


def write_report(result: Result | Several) -> list[Path]:
    """Write report.html and its pictures as PNG into a race's folder, or those of several races into theirs and
    what they say together into the folder around them; their paths. Raises RunError if they cannot be written."""
    if isinstance(result, Several):
        paths = [path for one in result.results for path in write_report(one)]
        if result.together is None:
            return paths
        return [*paths, *_write(result.folder, several_html(result), several_pngs(result))]
    return _write(result.folder, html(result), pngs(result))


def _write(folder: Path, page: str, pictures: dict[str, bytes]) -> list[Path]:
    contents: dict[str, str | bytes] = {"report.html": page, **pictures}
    for name, content in contents.items():
        write_atomic(folder / name, content)
    return [folder / name for name in contents]


def read_result(folder: str | Path) -> Result | Several:
    """The race in a folder, or the races in the folders in it, as they ended or as far as they got, so that their
    report can be written again.

    Trains nothing. Raises RunError for a folder without a race of this version, and while a race is running in it."""
    folder = Path(folder)
    inside = sorted(path.parent for path in folder.glob("*/config.json"))
    if inside and not (folder / "config.json").is_file():
        results = [_read(one) for one in inside]
        return Several.of(folder, results, complete=not any(one.interrupted for one in results))
    return _read(folder)


def _read(folder: Path) -> Result:
    opened = saved_folder(folder)
    opened.close()
    plan, folder, journal, notes = opened.plan, opened.path, opened.journal, opened.notes
    records = list(journal.records.values())
    made = folder / "board.json"
    before = json.loads(made.read_text(encoding="utf-8")) if made.is_file() else {}
    whole = bool(before.get("complete"))
    found = board(
        plan, records, journal.decisions, expected=before.get("trials_expected") or len(records) + (not whole)
    )
    found["notes"] = [*dict.fromkeys([*found["notes"], *before.get("notes", []), *notes])]
    return Result(plan, folder, records, journal.decisions, found, interrupted=not whole)
