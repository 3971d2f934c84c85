"""The loop watches itself: what is wrong with a run, in findings.json and report.html of its folder."""

from __future__ import annotations

import contextlib
from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..diagnose import course
from ..diagnose.probes.origin import origin
from ..diagnose.watch import Watch, watch
from ..errors import RunError

if TYPE_CHECKING:
    from ..diagnose.finding import Report
    from .loop import Loop


FORKS = 0.25
"""Of a run's time, for forked runs that nobody has asked for, where something is suspected; of a run that is looked at
as closely as can be, whatever they take."""


class Watching:
    """A callback that watches a run for a part of its step time; `end` judges it and lets go. Of several processes the
    one that leads judges, and the others tell it what they have seen. Only where others call back too can the
    optimizer be `scheduled` by torch's means, which takes time to find out."""

    def __init__(self, budget: float, leads: bool = True, scheduled: bool = True):
        self.budget, self.leads, self.scheduled = budget, leads, scheduled
        self.seen: Watch | None = None

    def on_start(self, loop: Loop) -> None:
        self.seen = watch(loop.model, loop.optimizer, budget=self.budget)
        self.seen.scheduled = self.scheduled

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
        forks = True if self.budget >= 1 else FORKS * self.seen.seconds
        report = None if loop.interrupted or not self.leads else self.seen.report(forks)
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
                _write(seen.report(forks=False), folder, error)
        finally:
            seen.close()


class WatchingLosses:
    """The same of a member that takes its steps together with others: nothing passes through its layers alone, so that
    it is judged by its losses, which are kept, 8 bytes a step."""

    WHY = "members that train together pass through no layer alone; together=no (--together no) looks into each"

    def __init__(self, budget: float):
        self.budget = budget
        self.losses: Any = array("d")
        self.validation: list[tuple[int, float]] = []

    def on_start(self, loop: Loop) -> None:
        loop.losses = self.losses

    def on_record(self, loop: Loop, record: dict[str, Any]) -> None:
        if record.get("validation_loss") is not None:
            self.validation.append((len(self.losses), record["validation_loss"]))

    def end(self, loop: Loop, folder: Path | None) -> Report | None:
        """As of Watching."""
        found: dict[str, Any] = {}
        if loop.diverged_at == loop.step:
            self.losses.append(loop.loss)
            found = origin(loop.model, None)
        report = None if loop.interrupted else course.report(self.losses, self.validation, found, self.budget, self.WHY)
        if report is not None and folder is not None:
            report.save(folder, loop.name or loop.task.name)
        return report

    def close(self, folder: Path | None = None, error: BaseException | None = None) -> None:
        """As of Watching."""
        if folder is None or error is None or not self.losses:
            return
        report = course.report(self.losses, self.validation, {}, self.budget, self.WHY)
        _write(report, folder, error)


def _write(report: Report, folder: Path, error: BaseException) -> None:
    """The report of a run that something has ended before its time."""
    report.notes.append(f"the run ended by {type(error).__name__} after {report.steps} steps")
    with contextlib.suppress(RunError):  # what has ended the run is the error to be heard
        report.save(folder, folder.name)
