"""A run's folder: config.json, records.jsonl, last.pt, best.pt, and at the end model.pt."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from . import checkpoint, shards
from .cadence import Cadence
from .config import FORMAT, Config
from .distributed import Team
from .files import append, claim, give_up, guard, open_journal, pretty, write_atomic

if TYPE_CHECKING:
    from .loop import Loop

Record = dict[str, Any]
FREE = ("out", "device", "save_seconds", "loggers", "shard", "watch")  # options that a resumed run may have otherwise


class Folder:
    """The folder of one run; the loop's keeper. `create` a new one or `open` one to go on with."""

    def __init__(self, path: Path, config: Config, team: Team | None = None):
        self.path, self.cadence, self.team = path, Cadence(config.save_seconds), team
        self.writes = team is None or team.leads
        self.in_parts = config.shard
        self.journal = -1
        self.parts: Path | None = None
        self.fresh: bool | None = None  # whether the folder itself was made by this run, which has written nothing yet

    @classmethod
    def create(cls, path: Path, config: Config, team: Team | None = None) -> Folder:
        """Raises RunError if something is there already or it cannot be made."""
        folder = cls(path, config, team)

        def begin() -> None:
            if folder.writes:
                folder.fresh = claim(path, "run", f"--resume {path} instead of it")
                write_atomic(path / "config.json", pretty(config.as_json()))
                folder.journal = open_journal(path / "records.jsonl")

        begin() if team is None else team.all_raise(begin)
        return folder

    @classmethod
    def open(
        cls, path: Path, config: Config, team: Team | None = None, state: dict[str, Any] | None = None
    ) -> tuple[Folder, dict[str, Any] | None, list[Record], Any]:
        """The folder, its last state (None if it was stopped before the first one), the records until then, the best
        weights. What was recorded after that state is dropped: it will be done again. A state of parts is to be filled
        by `shards.fill` from `folder.parts`. `state` is one that was kept elsewhere, with the best weights in it."""
        folder = cls(path, config, team)
        folder.parts = None if state is not None else shards.newest(path)
        if folder.parts is not None and _newer(path / "last.pt", folder.parts / shards.REST):
            folder.parts = None
        best = None
        if state is not None:
            best = state["best_weights"]
        elif folder.parts is not None:
            state = shards.load(folder.parts)
        elif (path / "last.pt").exists():
            state = checkpoint.load(path / "last.pt")
            if (state["best"] or {}).get("value") is not None:
                best = checkpoint.load(path / "best.pt")["model"]
        count = 0 if state is None else state["records"]
        if folder.writes:
            records = _cut(path / "records.jsonl", count)
            folder.journal = open_journal(path / "records.jsonl")
        if team is not None:
            records = team.told(records if folder.writes else None)
        return folder, state, records, best

    # ---- the loop's keeper

    def record(self, loop: Loop, record: Record) -> None:
        if self.writes:
            self.fresh = None
            append(self.path / "records.jsonl", self.journal, record)

    def due(self) -> bool:
        return self.writes and self.cadence.due()

    def save(self, loop: Loop) -> None:
        """The best weights first, if they are new, then the state: it is never newer than what it refers to."""
        if loop.diverged_at is not None:
            return  # the last good one is kept
        with self.cadence.saving():
            self._save(loop)

    def _save(self, loop: Loop) -> None:
        self.sync()
        best, state = loop.best, loop.state_dict()
        if self.in_parts and self.team is not None:
            shards.save(self.path, {**state, "best_weights": None if best is None else best.weights}, self.team)
            others: list[Path] = [self.path / name for name in ("last.pt", "best.pt")]
        else:
            others = [*self.path.glob("state-*")]
            if self.writes:
                self._save_whole(loop, state)
        if self.writes:
            _remove(others)

    def sync(self) -> None:
        """Have the records on the disk, so that no state is newer than them."""
        if self.writes:
            guard(self.path / "records.jsonl", lambda _: os.fsync(self.journal))

    def _save_whole(self, loop: Loop, state: dict[str, Any]) -> None:
        best = loop.best
        if best is not None and best.fresh:
            checkpoint.save(self.path / "best.pt", {"model": best.weights, "step": best.step, "value": best.value})
            best.fresh = False
        checkpoint.save(self.path / "last.pt", state)

    def save_model(self, weights: dict[str, Any]) -> None:
        """model.pt, a plain state dict, as model.load_state_dict takes it."""
        if self.writes:
            checkpoint.save_plain(self.path / "model.pt", weights)

    def discard(self) -> None:
        """Leave things as they were before a run that came to nothing."""
        self.close()
        if self.fresh is not None:
            give_up(self.path, {"config.json", "records.jsonl"}, self.fresh)

    def close(self) -> None:
        if self.journal >= 0:
            os.close(self.journal)
            self.journal = -1


def saved_config(path: Path) -> dict[str, Any]:
    """The options of the run in a folder. Raises RunError if there is none, or one of another version."""
    file = path / "config.json"
    if not file.is_file():
        raise RunError(f"{path}: holds no run (no config.json); give the folder of one, as in --resume runs/digits-1")
    try:
        saved = json.loads(guard(file, Path.read_bytes))
        found = saved.pop("format")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise RunError(f"{file}: is not the configuration of a run ({error}); start anew with --out FOLDER") from None
    if found != FORMAT or "optimizer_settings" not in saved:
        raise RunError(f"{file}: is not of a training run of this version, which writes format {FORMAT}")
    return saved  # type: ignore[no-any-return]


def check_same(path: Path, saved: dict[str, Any], now: dict[str, Any]) -> None:
    """Check that options are those of the run in a folder. Raises RunError that names those that are not."""
    differ = [name for name in now if name not in FREE and name != "format" and saved.get(name) != now[name]]
    if differ:
        found = "; ".join(f"{name} was {saved.get(name)!r}, now {now[name]!r}" for name in differ)
        raise RunError(
            f"{path}: was started with other settings ({found}); leave them out to go on with it, or start anew with "
            "--out FOLDER"
        )


def _newer(path: Path, than: Path) -> bool:
    return path.exists() and path.stat().st_mtime_ns > than.stat().st_mtime_ns


def _remove(paths: list[Path]) -> None:
    """What the state just saved takes the place of."""
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _cut(path: Path, count: int) -> list[Record]:
    """The first records of a journal; the rest is cut off."""
    content = guard(path, Path.read_bytes) if path.exists() else b""
    lines = content.splitlines(keepends=True)[:count]
    try:
        records = [json.loads(line) for line in lines]
    except ValueError:
        records = []
    if len(records) < count:
        raise RunError(
            f"{path}: has {len(records)} whole records where last.pt was saved after {count}; put it back, or start "
            "anew with --out FOLDER"
        )
    if path.exists():
        guard(path, os.truncate, sum(map(len, lines)))
    return records
