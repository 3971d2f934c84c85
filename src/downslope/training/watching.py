"""The loop watches itself: what is wrong with a run, in findings.json and report.html of its folder."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnose.watch import Watch, watch
from ..errors import RunError

if TYPE_CHECKING:
    from ..diagnose.finding import Report
    from .loop import Loop


class Watching:
    """A callback that watches a run for a part of its step time; `end` judges it and lets go. Of several processes the
    one that leads judges, and the others tell it what they have seen."""

    def __init__(self, budget: float, leads: bool = True):
        self.budget, self.leads = budget, leads
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
        if not self.leads:
            self.seen.close()
        if loop.team is not None:
            loop.team.total(0)  # the others have told what they have seen
        report = None if loop.interrupted or not self.leads else self.seen.report()
        self.seen.close()
        self.seen = None
        if report is not None and folder is not None:
            report.save(folder, loop.name or loop.task.name)
        return report

    def close(self, folder: Path | None = None, error: BaseException | None = None) -> None:
        """Let go. Of a run that something has ended before its time, what was seen is written down without forks."""
        if self.seen is None:
            return
        seen, self.seen = self.seen, None
        try:
            if folder is not None and self.leads and error is not None and seen.signals.steps:
                report = seen.report(forks=False)
                report.notes.append(f"the run ended by {type(error).__name__} after {report.steps} steps")
                with contextlib.suppress(RunError):  # what has ended the run is the error to be heard
                    report.save(folder, folder.name)
        finally:
            seen.close()
