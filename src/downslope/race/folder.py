"""The run folder: config.json, the journal records.jsonl, leaderboard.json."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from ..errors import RunError
from ..training.files import append, claim, entries, guard, open_journal, pretty, stamped, write_atomic
from .plan import Plan, Trial, check_same

Record = dict[str, Any]


class Folder:
    """A race's folder, open for appending. Made by `create` or `resume`; `notes` says what was unusual on opening."""

    def __init__(self, path: Path, records: list[Record], notes: list[str]) -> None:
        self.path = path
        self.records = records
        self.notes = notes
        self._journal = open_journal(path / "records.jsonl")

    @classmethod
    def create(cls, path: Path, plan: Plan) -> Folder:
        """A new folder; raises RunError if something is there already or it cannot be made."""
        claim(path, "race", "--resume")
        write_atomic(path / "config.json", pretty(plan.as_json()))
        return cls(path, [], [])

    @classmethod
    def resume(cls, path: Path, plan: Plan) -> Folder:
        """The folder of a race with the same plan, with the records it has; a new one where nothing was."""
        if not path.exists() or (path.is_dir() and not entries(path)):
            folder = cls.create(path, plan)
            folder.notes.append(f"{path}: nothing there to resume; starting")
            return folder
        config = path / "config.json"
        if not config.is_file():
            raise RunError(f"{path}: holds no race (no config.json); name the folder of one with --out FOLDER")
        try:
            saved = json.loads(guard(config, Path.read_bytes))
            if not isinstance(saved, dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise RunError(f"{config}: cannot be read ({error}); start anew with another --out FOLDER") from None
        check_same(str(path), saved, plan)
        records, notes = _read_journal(path / "records.jsonl")
        return cls(path, records, notes)

    def done(self) -> set[Trial]:
        return {Trial(r["optimizer"], r["lr"], r["seed"]) for r in self.records}

    def append(self, record: Record) -> None:
        """Add one line to the journal, in one write, at once. Raises RunError when the disk will not take it."""
        append(self.path / "records.jsonl", self._journal, record)
        self.records.append(record)

    def write_leaderboard(self, board: dict[str, Any]) -> None:
        write_atomic(self.path / "leaderboard.json", pretty(board))

    def close(self) -> None:
        if self._journal >= 0:
            os.close(self._journal)
            self._journal = -1


def default_path(task: str) -> Path:
    """runs/NAME-TIME, with a number added when that is taken."""
    return stamped(task, time.strftime("%Y%m%d-%H%M%S"))


def _read_journal(path: Path) -> tuple[list[Record], list[str]]:
    """All records. A broken last line, left by a kill during a write, is cut off; one elsewhere is an error."""
    if not path.exists():
        return [], []
    content = guard(path, Path.read_bytes)
    records: dict[Trial, Record] = {}
    good = 0
    lines = content.splitlines(keepends=True)
    for number, line in enumerate(lines, 1):
        record = _parse(line)
        if record is None and number < len(lines):
            raise RunError(f"{path}: line {number} is not a record; delete that line to run its trial again")
        if record is None:
            guard(path, os.truncate, good)
            return list(records.values()), [f"{path}: dropped a broken last line; its trial runs again"]
        records.setdefault(Trial(record["optimizer"], record["lr"], record["seed"]), record)
        good += len(line)
    return list(records.values()), []


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    whole = isinstance(record, dict) and {"optimizer", "lr", "seed", "curve", "diverged"} <= record.keys()
    return record if whole else None
