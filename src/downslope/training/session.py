"""One run on its way: its loop, its folder, who looks on, and what comes of it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .. import rng
from ..diagnose.finding import Report
from ..errors import DownslopeError, RunError, SettingError
from . import faults, shards
from .build import make_loop
from .config import Config
from .data import Data
from .distributed import Team
from .folder import Folder
from .logged import Logged
from .loop import Loop
from .stopping import copied
from .task import Task
from .watching import Watching, WatchingLosses

AGAIN = 1.0  # seconds: torchrun passes on a Ctrl-C that the processes have perhaps heard themselves


@dataclass
class Result:
    """How a run ended. `model` has the weights scored last: the best with `patience`, the average with `ema`.

    `records` are the lines of records.jsonl. `diverged_at` is the step whose loss was not finite, or None.
    `interrupted` says that it was stopped by Ctrl-C and can go on with `resume=folder`. Scores are None where there is
    no data."""

    config: Config
    folder: Path | None
    model: torch.nn.Module
    records: list[dict[str, Any]]
    steps: int
    seconds: float
    diverged_at: int | None = None
    interrupted: bool = False
    validation_loss: float | None = None
    validation_metric: float | None = None
    test_loss: float | None = None
    test_metric: float | None = None
    report: Report | None = None  # of what is wrong, if the run was watched: one with a folder, unless watch=0
    members: list[Result] = field(default_factory=list)  # of an ensemble, whose averaged prediction is what is scored


def train_one(
    config: Config,
    task: Task,
    data: Data,
    callbacks: Iterable[Any],
    resume: Path | None,
    team: Team | None = None,
    name: str = "",
) -> Result:
    """Train by itself, from its start or from where the folder to resume has it. `name` is what callbacks call it."""
    with Session(config, task, data, callbacks, team) as session:
        if resume is not None:
            session.open(resume)
        with rng.seeded(config.seed):
            loop = session.begin()
            loop.name = name
            with interrupts([loop]) if session.folder is not None else contextlib.nullcontext():
                loop.run()
            if team is not None:
                loop.interrupted = team.total(loop.interrupted)[0] > 0
            return session.end()


class Session:
    """A run from its start, or from the state in a folder (`open`), to its result. `begin` and `end` draw random
    numbers as the run does; leaving the `with` lets go of its folder and of who looks on. A run that is not `apart`
    takes its steps together with others."""

    loop: Loop

    def __init__(
        self,
        config: Config,
        task: Task,
        data: Data,
        callbacks: Iterable[Any],
        team: Team | None = None,
        apart: bool = True,
    ) -> None:
        self.config, self.task, self.data, self.team = config, task, data, team
        leads = team is None or team.leads
        self.logged = Logged(config if leads else replace(config, loggers=[]))
        watched = config.watch > 0 and config.out is not None
        if not isinstance(callbacks, Iterable):
            raise SettingError(f"callbacks={callbacks!r:.80}: give a list of them")
        given = [*callbacks]
        self.watching: Watching | WatchingLosses | None = None
        if watched:
            self.watching = (
                Watching(config.watch, leads, scheduled=bool(given)) if apart else WatchingLosses(config.watch)
            )
        self.callbacks = [*given, self.logged, *([] if self.watching is None else [self.watching])]
        self.folder: Folder | None = None
        self._opened: tuple[dict[str, Any], list[Any], Any] | None = None

    def open(self, path: Path, state: dict[str, Any] | None = None) -> None:
        """Go on with what is in a folder, or with a state that is kept elsewhere."""
        self.folder, found, records, best = Folder.open(path, self.config, self.team, state)
        self._opened = None if found is None else (found, records, best)

    def begin(self) -> Loop:
        """Its loop, ready to run."""
        self.loop, self.config = make_loop(self.config, self.task, self.data, self.callbacks, self._keeper, self.team)
        if self.team is not None:
            self.team.spread(self.config.seed)
        if self.folder is not None and self._opened is not None:
            _load(self.loop, self.task, self.folder, *self._opened)
        return self.loop

    def _keeper(self, complete: Config) -> Folder | None:
        if self.folder is None and complete.out is not None:
            self.folder = Folder.create(Path(complete.out), complete, self.team)
        return self.folder

    def end(self) -> Result:
        """What came of it; a run that came to its end is scored, and its weights are written down."""
        loop, path = self.loop, None if self.folder is None else self.folder.path
        result = Result(self.config, path, loop.model, loop.records, loop.step, loop.seconds, loop.diverged_at)
        result.interrupted = loop.interrupted
        if self.watching is not None:
            result.report = self.watching.end(loop, path)
        if loop.diverged_at is None and not loop.interrupted:
            _finish(result, loop, self.folder)
        for tell in loop.callbacks.on_end:
            tell(loop)
        return result

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.watching is not None:
            self.watching.close(None if self.folder is None else self.folder.path, error)
        self.logged.close()
        if self.folder is not None:
            loop = getattr(self, "loop", None)
            no_step = isinstance(error, DownslopeError) and (loop is None or not loop.step)
            self.folder.discard() if no_step else self.folder.close()


def _finish(result: Result, loop: Loop, folder: Folder | None) -> None:
    """Put the weights in that were best, and score them."""
    config, weights = result.config, "last"
    if config.patience is not None and loop.best is not None and loop.best.weights is not None:
        loop.model.load_state_dict(loop.best.weights)
        weights = "best"
    elif getattr(loop.optimizer, "scores_elsewhere", False):
        with loop.average():
            averaged = copied(loop.model)
        loop.model.load_state_dict(averaged)
        weights = "average"
    if config.batchnorm:
        from .batchnorm import recompute

        batch = config.batch if isinstance(config.batch, int) else None
        moved = ((faults.moved(x, loop.device), y) for x, y in loop.data.train.batches(batch))
        recompute(loop.model, moved)
    record: dict[str, Any] = {"event": "end", "epoch": loop.epoch, "step": loop.step, "weights": weights}
    if weights == "best" and loop.best is not None:
        record["best_step"] = loop.best.step
    unchanged = loop.records[-1] if weights != "best" and not config.batchnorm and loop.records else {}
    for name in ("validation", "test"):
        part = getattr(loop.data, name)
        if part is not None:
            if name == "validation" and unchanged.get("step") == loop.step and "validation_loss" in unchanged:
                loss, metric = unchanged["validation_loss"], unchanged["validation_metric"]
            else:
                loss, metric = loop.score(part)
            record |= {f"{name}_loss": loss, f"{name}_metric": metric}
            setattr(result, f"{name}_loss", loss)
            setattr(result, f"{name}_metric", metric)
    loop.emit(record)
    if folder is not None:
        folder.save_model(shards.whole(copied(loop.model)))


def _load(loop: Loop, task: Task, folder: Folder, state: dict[str, Any], records: list[Any], best: Any) -> None:
    try:
        if folder.parts is not None:
            state = shards.fill(folder.parts, state, loop)
            best = state["best_weights"]
        state["model"] = shards.fitted(state["model"], loop.model)
        best = best and shards.fitted(best, loop.model)
        loop.load_state_dict(state, records, best)
    except (RuntimeError, KeyError, ValueError) as error:
        if isinstance(error, RunError):
            raise
        raise RunError(
            f"{task.name}: the checkpoint does not fit what the task makes now ({str(error).splitlines()[0]}); "
            "was the task changed since?"
        ) from error


@contextlib.contextmanager
def interrupts(loops: Sequence[Loop]) -> Iterator[None]:
    """Inside, the first Ctrl-C lets the step end, of all, and the state be saved; a second one is as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    first = 0.0

    def heard(*_: Any) -> None:
        nonlocal first
        if loops[0].team is None:
            signal.signal(signal.SIGINT, before)
        elif first and time.monotonic() - first > AGAIN:
            raise KeyboardInterrupt
        first = first or time.monotonic()
        for loop in loops:
            loop.interrupted = True
            loop.stop()

    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
