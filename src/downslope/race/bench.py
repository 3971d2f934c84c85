"""Where trials are trained: a task with its data at hand, in whatever process."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import DownslopeError, RunError
from ..training.task import Task
from ..user_code import where
from .common import Common
from .engine import Job, NotElsewhere, short_of_memory
from .entrants import Entrant
from .ship import packed, unpacked
from .trial import Record, Setting, Trial

NOTE = "note"
"""Where a record, on its way to the journal, has something for the user in it."""


class Bench:
    """A task, its data, and what trials share. `run` trains the trials of a job, one after the other or together.

    The data are made once for each choice of the task's settings, from the same seed in every process."""

    def __init__(self, task: Any, common: Common, data: Any = None) -> None:
        self.task, self.common = task, common
        self._made: dict[str, tuple[Any, Any]] = {} if data is None else {repr({}): (task, data)}

    def run(self, job: Job) -> list[Record]:
        """The records of a job's trials. Raises MemoryError where memory is short, RunError that names the trial where
        one fails otherwise than by diverging."""
        since = time.perf_counter()
        try:
            task, data = self.at(job.trials[0].of_task)
            records, note = self._together(job, task, data) if job.batched else ([], "")
            records = records or [self._alone(trial, task, data) for trial in job.trials]
        except DownslopeError as error:
            raise RunError(f"{job.words()}: {error}") from error
        except Exception as error:
            if short_of_memory(error):
                raise MemoryError(str(error)) from error
            raise RunError(f"{job.words()}: {type(error).__name__}: {error}") from error
        each = (time.perf_counter() - since) / len(records)
        told = [{**record, "wall": round(each, 4)} for record in records]
        return [{**told[0], NOTE: note}, *told[1:]] if note else told

    def _together(self, job: Job, task: Any, data: Any) -> tuple[list[Record], str]:
        """The records, or none and why not: what a short try has not met may come later in a run."""
        from .batched import run_batch

        try:
            return list(run_batch(task, data, self.common, list(job.trials))), ""
        except Exception as error:
            if short_of_memory(error):
                raise
            return [], f"{job.words()} failed together ({where(error)}) and were trained alone"

    def _alone(self, trial: Trial, task: Any, data: Any) -> Record:
        from .alone import run_alone

        _restart(data, trial)
        return run_alone(task, data, self.common, trial)

    def at(self, settings: Mapping[str, Setting]) -> tuple[Any, Any]:
        """The task with some of its settings, and its data."""
        key = repr(dict(sorted(settings.items())))
        if key not in self._made:
            from ..rng import seeded

            task = self.task.with_settings(**settings) if settings else self.task
            with seeded(0):
                self._made[key] = task, task.make_data()
        return self._made[key]


def _restart(data: Any, trial: Trial) -> None:
    """A DataLoader with a generator of its own starts from the trial's seed, whatever was trained before."""
    for part in (data.train, data.validation, data.test):
        if part is not None and part.loader is not None and part.loader.generator is not None:
            part.loader.generator.manual_seed(trial.seed)


@dataclass(frozen=True)
class Kit:
    """What another process needs to set up the same bench, and can be pickled.

    `task` is a name or file, or a packed Task; `common` are the fields of Common that are no classes; `origins` says
    where a user's optimizers come from, `loose` has the packed formulas of those that cannot be imported. A kit that
    cannot leave this process says `why` not.
    """

    task: str | bytes
    task_settings: Mapping[str, Any]
    common: Mapping[str, Any]
    origins: Mapping[str, str]
    loose: bytes = b""
    threads: int = 1
    why: str = ""
    path: list[str] = field(default_factory=list)

    def bench(self) -> Bench:
        """The bench. Raises NotElsewhere where the task or an optimizer cannot be had here."""
        import torch

        from ..training.task import by_name
        from .entrants import as_class, load

        if self.why:
            raise NotElsewhere(self.why)
        torch.set_num_threads(self.threads)
        try:
            task = by_name(self.task) if isinstance(self.task, str) else unpacked(self.task)
            classes = {name: load(origin) for name, origin in self.origins.items()}
            formulas = unpacked(self.loose) if self.loose else {}
            classes |= {name: as_class(formula, name) for name, formula in formulas.items()}
        except Exception as error:
            raise NotElsewhere(str(error)) from error
        bench = Bench(task.with_settings(**self.task_settings), Common(**self.common, classes=classes))
        with contextlib.suppress(Exception):  # said by the trial that meets it
            bench.at({})  # before the first trial, whose time may be what a budget is told by
        return bench


def make_kit(given: Any, task: Any, common: Mapping[str, Any], racing: Sequence[Entrant], threads: int) -> Kit:
    """The kit for those who race on a task, which was `given` as a name, a file or itself."""
    sent: str | bytes = "" if isinstance(given, Task) else str(given)
    loose, why = b"", ""
    origins = {one.name: one.origin for one in racing if one.origin and not one.loose}
    try:
        if isinstance(given, Task):
            sent = packed(task, task.model, task.data, task.loss, task.metric)
        if formulas := {one.name: one.made.formula.function for one in racing if one.loose}:
            loose = packed(formulas, *formulas.values())
    except Exception as error:
        why = f"the task or a formula cannot be sent to another process ({error})"
    return Kit(sent, dict(task.settings), common, origins, loose, threads, why, [p or "." for p in sys.path])
