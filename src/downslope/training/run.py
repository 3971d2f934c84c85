"""`downslope.train`: a run from its options to its result, in a folder if it has one."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from .. import rng
from ..diagnose.finding import Report
from ..errors import RunError, SettingError
from . import distributed, faults, shards
from .build import make_loop, optimizer_class, resolve
from .config import Config, from_toml, known, plain
from .data import Data
from .distributed import Team
from .files import stamped
from .folder import Folder, check_same, saved_config
from .logged import Logged
from .loop import Loop
from .stopping import copied
from .task import Task, by_name
from .watching import Watching

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


def train(
    task: Task | str | None = None,
    *,
    config: str | Path | Config | Mapping[str, Any] | None = None,
    resume: str | Path | None = None,
    callbacks: Iterable[Any] = (),
    **options: Any,
) -> Result:
    """Train a task: by name, a file of your own, or a `Task`.

    The options are the fields of `downslope.training.Config`; they come from `config`, a TOML file or a Config, and
    from keywords, which win. With `out`, a new or empty folder, everything is written down there, and after any stop
    `resume=FOLDER` goes on to bitwise the same result. Without it the run is in memory alone.

    Raises SettingError for options that do not fit, RunError for a task, data or folder that is wrong. A loss that
    becomes infinite or nan is a result: `diverged_at`.
    """
    given = _given(config, options)
    if task is not None:
        given["task"] = task.name if isinstance(task, Task) else task
    path = Path(resume) if resume is not None else None
    if path is not None:
        given = _resumed(path, given)
    if not given.get("task"):
        raise SettingError("train what? give a task: its name, or its file")
    if not isinstance(task, Task):
        task = by_name(str(given["task"]))
        given["task"] = _named(str(given["task"]))
    chosen = Config(**given)
    task = task.with_settings(**chosen.task_settings)
    team = distributed.join() or (distributed.alone() if chosen.shard else None)
    with rng.seeded(0):  # the same data for every seed
        data = task.make_data() if team is None else team.leader_first(task.make_data)
    chosen = resolve(chosen, task, data)
    if team is not None:
        _check_team(chosen, data, team)
        with distributed.lost(team):
            return _train_one(chosen, task, data, callbacks, path, team)
    if chosen.members > 1:
        from .members import train_members

        return train_members(chosen, task, data, lambda c, at: _train_one(c, task, data, callbacks, at), path)
    return _train_one(chosen, task, data, callbacks, path)


def _check_team(config: Config, data: Data, team: Team) -> None:
    """Raise SettingError for what takes one process alone."""
    if config.members > 1:
        raise SettingError(f"members={config.members}: train an ensemble in one process, without torchrun or --shard")
    if data.train.loader is not None:
        raise SettingError(
            f"{data.train.where}: is a DataLoader, whose batches {team.size} processes cannot share; give the dataset "
            "or the tensors themselves, of whose batches each process takes its share"
        )


def _train_one(
    config: Config, task: Task, data: Data, callbacks: Iterable[Any], resume: Path | None, team: Team | None = None
) -> Result:
    folder: Folder | None = None
    opened: Any = None
    leads = team is None or team.leads
    logged = Logged(config if leads else replace(config, loggers=[]))
    # a model in parts has norms that all processes must take together, but they do not look at the same steps
    watching = (
        Watching(config.watch) if config.watch > 0 and config.out is not None and leads and not config.shard else None
    )
    if resume is not None:
        folder, *opened = Folder.open(resume, config, team)

    def keeper(complete: Config) -> Folder | None:
        nonlocal folder
        if folder is None and complete.out is not None:
            folder = Folder.create(Path(complete.out), complete, team)
        return folder

    try:
        with rng.seeded(config.seed):
            loop, config = make_loop(
                config, task, data, [*callbacks, logged, *([] if watching is None else [watching])], keeper, team
            )
            if team is not None:
                team.spread(config.seed)
            if folder is not None and opened is not None and opened[0] is not None:
                _load(loop, task, folder, *opened)
            with _interrupts(loop) if folder is not None else contextlib.nullcontext():
                loop.run()
            if team is not None:
                loop.interrupted = team.total(loop.interrupted)[0] > 0
            result = Result(
                config,
                None if folder is None else folder.path,
                loop.model,
                loop.records,
                loop.step,
                loop.seconds,
                loop.diverged_at,
            )
            result.interrupted = loop.interrupted
            if watching is not None:
                result.report = watching.end(loop, result.folder)
            if loop.diverged_at is None and not loop.interrupted:
                _finish(result, loop, folder)
            for tell in loop.callbacks.on_end:
                tell(loop)
    finally:
        if watching is not None:
            watching.close()
        logged.close()
        if folder is not None:
            folder.close()
    return result


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


# ---- options


def _given(config: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    if config is None:
        found: dict[str, Any] = {}
    elif isinstance(config, Config):
        found = {name: value for name, value in vars(config).items() if value != getattr(Config(), name)}
    elif isinstance(config, Mapping):
        found = dict(config)
    else:
        found = from_toml(config)
    found = {**known("config", found), **known("train", options)}
    if isinstance(found.get("out"), Path):
        found["out"] = str(found["out"])
    return found


def _resumed(path: Path, given: dict[str, Any]) -> dict[str, Any]:
    """The options of the run in a folder; those given beside must be the same."""
    saved = saved_config(path)
    now = {name: plain(value) for name, value in given.items() if name != "out"}
    if "task" in now:
        now["task"] = _named(now["task"])
    if isinstance(now.get("optimizer"), str):
        made = optimizer_class(given["optimizer"])
        now["optimizer"] = made.__name__.lower() if made and isinstance(given["optimizer"], str) else now["optimizer"]
    for name, value in now.items():
        if isinstance(value, dict):  # the saved ones are complete
            now[name] = {**saved[name], **value}
    check_same(path, saved, now)
    return {**saved, **{name: value for name, value in given.items() if name != "optimizer_settings"}, "out": str(path)}


def _named(task: str) -> str:
    """A task by a name that holds in another folder too."""
    return str(Path(task).resolve()) if task.endswith(".py") else task


def default_out(task: str) -> Path:
    """runs/NAME-TIME, new."""
    return stamped(Path(task).stem, time.strftime("%Y%m%d-%H%M%S"))


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
def _interrupts(loop: Loop) -> Iterator[None]:
    """Inside, the first Ctrl-C lets the step end and the state be saved; a second one is as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    first = 0.0

    def heard(*_: Any) -> None:
        nonlocal first
        if loop.team is None:
            signal.signal(signal.SIGINT, before)
        elif first and time.monotonic() - first > AGAIN:
            raise KeyboardInterrupt
        first = first or time.monotonic()
        loop.interrupted = True
        loop.stop()

    before = signal.signal(signal.SIGINT, heard)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
