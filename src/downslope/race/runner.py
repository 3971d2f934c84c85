"""A race from start to finish."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple, Protocol

from ..errors import SettingError
from ..training.extras import need
from .folder import Folder, Record, default_path
from .leaderboard import leaderboard
from .plan import Plan, make_plan
from .workers import default_count, run_trials


class Watcher(Protocol):
    """What is told how a race goes on; the live table is one."""

    def start(self, plan: Plan, folder: Path, records: list[Record], notes: list[str]) -> None: ...
    def finished(self, record: Record) -> None: ...
    def stop(self) -> None: ...


class Result(NamedTuple):
    """A race: its plan, its folder, the records of all finished trials, and the leaderboard made from them."""

    plan: Plan
    folder: Path
    records: list[Record]
    board: dict[str, Any]
    interrupted: bool


def race(
    plan: Plan | None = None,
    *,
    out: str | Path | None = None,
    resume: bool = False,
    workers: int | None = None,
    watch: Watcher | None = None,
) -> Result:
    """Run every trial of a plan (`make_plan(...)`) that is not in the folder yet, and write the leaderboard.

    `out` is a new or empty folder, by default runs/NAME-TIME; with `resume` one that holds a race with the same plan.
    `workers` processes, one per core by default, change the time but no result. Ctrl-C ends the race early: the result
    is then marked as interrupted, and all finished trials are in the folder.

    Raises RunError when the folder is in the way or cannot be written, or when a trial fails otherwise than by
    diverging.
    """
    need("sklearn", "scipy", extra="race", job="a race")
    plan = plan or make_plan()
    if workers is not None and workers < 1:
        raise SettingError(f"workers={workers}: must be at least 1")
    if resume and out is None:
        raise SettingError("resume: which race? name its folder with --out FOLDER")
    path = Path(out) if out is not None else default_path(plan.task)
    folder = Folder.resume(path, plan) if resume else Folder.create(path, plan)
    interrupted = False
    try:
        if watch:
            watch.start(plan, path, folder.records, folder.notes)
        done = folder.done()
        todo = [trial for trial in plan.trials() if trial not in done]
        for record in run_trials(plan, todo, workers or default_count()):
            folder.append(record)
            if watch:
                watch.finished(record)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        if watch:
            watch.stop()
        folder.close()
    board = leaderboard(plan, folder.records)
    folder.write_leaderboard(board)
    return Result(plan, path, folder.records, board, interrupted)
