"""The loop watches itself: what is wrong with a run, in findings.json of its folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnose.watch import Watch, watch
from .files import write_atomic

if TYPE_CHECKING:
    from ..diagnose.finding import Report
    from .loop import Loop

FILE = "findings.json"


class Watching:
    """A callback that watches a run for a part of its step time; `end` judges it and lets go."""

    def __init__(self, budget: float):
        self.budget = budget
        self.seen: Watch | None = None

    def on_start(self, loop: Loop) -> None:
        self.seen = watch(loop.model, loop.optimizer, budget=self.budget)

    def on_record(self, loop: Loop, record: dict[str, Any]) -> None:
        if self.seen is not None and record.get("validation_loss") is not None:
            self.seen.validation(record["validation_loss"])

    def end(self, loop: Loop, folder: Path | None) -> Report | None:
        """The report, written down; None if the run was interrupted, which is judged when it has gone on to its end."""
        if self.seen is None:
            return None
        if loop.diverged_at == loop.step:
            self.seen.refused(loop.loss)
        report = None if loop.interrupted else self.seen.report()
        self.close()
        if report is not None and folder is not None:
            text = report.to_json()
            write_atomic(folder / FILE, text)
        return report

    def close(self) -> None:
        if self.seen is not None:
            self.seen.close()
            self.seen = None
