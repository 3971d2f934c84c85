"""`downslope.train`: a run from its options to its result, in a folder if it has one."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import rng
from ..errors import SettingError
from . import distributed
from .build import optimizer_class, resolve
from .config import Config, from_toml, known, plain
from .data import Data
from .distributed import Team
from .files import stamped
from .folder import check_same, saved_config
from .session import Result, train_one
from .task import Task, as_task, by_name


def train(
    task: Task | str | Path | None = None,
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
    if isinstance(task, str | Path):
        given["task"] = str(task)
    elif task is not None:
        task = as_task(task)
        given["task"] = task.name
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
            return train_one(chosen, task, data, callbacks, path, team)
    if chosen.members > 1:
        from .members import train_members

        return train_members(chosen, task, data, callbacks, path)
    return train_one(chosen, task, data, callbacks, path)


def _check_team(config: Config, data: Data, team: Team) -> None:
    """Raise SettingError for what takes one process alone."""
    if config.members > 1:
        raise SettingError(f"members={config.members}: train an ensemble in one process, without torchrun or --shard")
    if data.train.loader is not None:
        raise SettingError(
            f"{data.train.where}: is a DataLoader, whose batches {team.size} processes cannot share; give the dataset "
            "or the tensors themselves, of whose batches each process takes its share"
        )


# ---- options


def _given(config: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    if config is None:
        found: dict[str, Any] = {}
    elif isinstance(config, Config):
        found = {name: value for name, value in vars(config).items() if value != getattr(Config(), name)}
    elif isinstance(config, Mapping):
        found = dict(config)
    elif isinstance(config, str | Path):
        found = from_toml(config)
    else:
        raise SettingError(f"config={config!r}: give a TOML file, a Config or a dictionary of options")
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
