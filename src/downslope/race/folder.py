"""The run folder: config.json, the journal records.jsonl, board.json, and a lock while a race writes there."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..training.files import append, entries, guard, open_journal, pretty, stamped, write_atomic
from .journal import Decision, Journal
from .lock import Lock
from .plan import Plan, check_same
from .trial import Record, Trial

LOCK = ".lock"


class Folder:
    """A race's folder, locked and open for appending. `notes` says what was unusual on opening.

    `Folder(path, plan)` is a new one in a place where nothing is, or goes on with the same race. Raises RunError when
    something else is there, another race writes there, or it cannot be made.
    """

    def __init__(self, path: Path, plan: Plan, *, resume: bool = False) -> None:
        self.path, self.plan = path, plan
        self.notes: list[str] = []
        if path.exists() and not path.is_dir():
            raise RunError(f"{path}: is a file, and a race needs a folder; name another one with --out FOLDER")
        found = [name for name in entries(path) if name != LOCK] if path.exists() else []
        if found and "config.json" not in found:
            raise RunError(
                f"{path}: holds no race (no config.json) and is not empty ({found[0]}{', ...' * (len(found) > 1)}); "
                "name another folder with --out FOLDER"
            )
        guard(path, lambda p: os.makedirs(p, exist_ok=True))
        self._lock = Lock(path / LOCK)
        try:
            self.journal = self._open(resume)
            self._file = open_journal(path / "records.jsonl")
        except BaseException:
            self._lock.release()
            raise

    def _open(self, resume: bool) -> Journal:
        config = self.path / "config.json"
        if not config.is_file():
            write_atomic(config, pretty(self.plan.as_json()))
            if resume:
                self.notes.append(f"{self.path}: nothing there to resume; starting")
            return Journal()
        saved = saved_config(config)
        check_same(str(self.path), saved, self.plan)
        self.plan = Plan.from_json(saved)  # with the untrained scores that it was started with
        journal, notes = read_journal(self.path / "records.jsonl")
        self.notes += notes
        return journal

    def append(self, line: Record | Decision) -> bool:
        """Add a line to the journal, at once; False for a trial that is in it already. Raises RunError when the disk
        will not take it."""
        if "trial" in line and Trial.from_json(line["trial"]) in self.journal.records:
            return False
        append(self.path / "records.jsonl", self._file, line)
        return self.journal.add(line)

    def write_board(self, board: dict[str, Any]) -> None:
        write_atomic(self.path / "board.json", pretty(board))

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._lock.release()


def saved_config(config: Path) -> dict[str, Any]:
    """What a config.json holds. Raises RunError for what is none."""
    try:
        saved = json.loads(guard(config, Path.read_bytes))
        if not isinstance(saved, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise RunError(f"{config}: cannot be read ({error}); start anew with another --out FOLDER") from None
    return saved


def saved_folder(path: Path) -> Folder:
    """The folder of a race that was begun, locked. Raises RunError for one without a race of this version, and while a
    race is running in it."""
    if not (path / "config.json").is_file():
        raise RunError(f"{path}: there is no race in it (no config.json)")
    saved = saved_config(path / "config.json")
    try:
        return Folder(path, Plan.from_json(saved))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RunError(
            f"{path}: its config.json is not of this version; downslope {saved.get('downslope', '(older)')} wrote it"
        ) from None


def default_path(task: str) -> Path:
    """runs/NAME-TIME, with a number added when that is taken."""
    return stamped(Path(task).stem, time.strftime("%Y%m%d-%H%M%S"))


def read_journal(path: Path) -> tuple[Journal, list[str]]:
    """All lines. A broken last line, left by a kill during a write, is cut off; one elsewhere is an error."""
    journal = Journal()
    if not path.exists():
        return journal, []
    content = guard(path, Path.read_bytes)
    good = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        found = _parse(line)
        if found is None and number < len(lines):
            raise RunError(f"{path}: line {number} is not a record; delete that line to run its trial again")
        if found is None:
            guard(path, os.truncate, good)
            return journal, [f"{path}: dropped a broken last line; its trial runs again"]
        journal.add(found)
        good += len(line)
    return journal, []


WHOLE = {"trial", "diverged", "steps", "curve", "seconds"}  # what every record has


def _parse(line: bytes) -> Record | Decision | None:
    try:
        found = json.loads(line) if line.endswith(b"\n") else None
        if not isinstance(found, dict):
            return None
        if "decision" in found:
            return found
        Trial.from_json(found["trial"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return found if found.keys() >= WHOLE else None
