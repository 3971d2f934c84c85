"""An ensemble: the same run from several seeds, and the average of their predictions."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from .. import rng
from ..errors import DownslopeError, SettingError
from . import checkpoint
from .cadence import Cadence
from .config import Config
from .data import Data
from .ensemble import scores
from .files import claim, give_up, pretty, write_atomic
from .folder import Folder
from .loop import Loop
from .session import Result, Session, interrupts, train_one
from .task import Task
from .together.choose import gain, why_apart
from .together.lockstep import Lockstep

STATE = "last.pt"  # of all members, where they train together


def train_members(config: Config, task: Task, data: Data, callbacks: Iterable[Any], resume: Path | None) -> Result:
    """Train `config.members` models from the seeds `seed`, `seed + 1`, ... and score them together.

    They take their steps together where that is asked for, or quicker. Each has a folder in the run's, member-0,
    member-1, ... The scores of the result are those of the averaged prediction; its model is the list of all. One that
    diverges or is interrupted ends the run."""
    config = replace(config, together=_decided(config, task, data, resume))
    out = None if config.out is None else Path(config.out)
    if out is not None and resume is None:
        made = claim(out, "run", f"--resume {out} instead of it")
        write_atomic(out / "config.json", pretty(config.as_json()))
    train = _together if config.together == "yes" else _one_by_one
    try:
        members = train(config, task, data, list(callbacks), out if resume is not None else None)
    except DownslopeError:
        if out is not None and resume is None:
            give_up(out, {"config.json"}, made)
        raise
    return _scored(config, task, data, members)


def _decided(config: Config, task: Task, data: Data, resume: Path | None) -> str:
    """Whether they take their steps together, "yes" or "no". Raises SettingError where that is asked for and cannot
    be."""
    if config.together == "no" or (config.together == "auto" and resume is not None):  # of a version without the choice
        return "no"
    why = why_apart(config, task, data)
    if why and config.together == "yes":
        raise SettingError(f'together="yes": {task.name}: {why}; leave it out, and they train one after the other')
    if why or config.together == "yes":
        return "no" if why else "yes"
    return "yes" if gain(config, task, data) > 1 else "no"


def _member(config: Config, number: int) -> Config:
    """The options of one; a plateau has its memory for itself."""
    own = None if config.out is None else str(Path(config.out) / f"member-{number}")
    apart = {"schedule": deepcopy(config.schedule), "optimizer_settings": deepcopy(config.optimizer_settings)}
    return replace(config, members=1, seed=config.seed + number, out=own, **apart)


def _one_by_one(config: Config, task: Task, data: Data, callbacks: Sequence[Any], resume: Path | None) -> list[Result]:
    """A resumed run goes on with the first that is not done."""
    members: list[Result] = []
    for number in range(config.members):
        own = _member(config, number)
        started = resume is not None and (Path(str(own.out)) / "config.json").exists()
        at = Path(str(own.out)) if started else None
        members.append(train_one(own, task, data, callbacks, at, name=f"member {number}"))
        if members[-1].interrupted or members[-1].diverged_at is not None:
            break
    return members


def _together(config: Config, task: Task, data: Data, callbacks: Sequence[Any], resume: Path | None) -> list[Result]:
    """A resumed run goes on from the state of all, which is one file."""
    whole = None
    if resume is not None and (resume / STATE).exists():
        whole = checkpoint.load(resume / STATE)["members"]
    with contextlib.ExitStack() as stack, rng.seeded(config.seed):
        sessions = []
        for number in range(config.members):
            own = _member(config, number)
            session = stack.enter_context(Session(own, task, data, callbacks, apart=False))
            if resume is not None and (Path(str(own.out)) / "config.json").exists():
                session.open(Path(str(own.out)), None if whole is None else whole[number])
            with rng.seeded(own.seed):
                session.begin().name = f"member {number}"
            sessions.append(session)
        loops = [session.loop for session in sessions]
        folders = [session.folder for session in sessions if session.folder is not None]
        keeper = None if config.out is None else Together(Path(config.out), config, folders)
        for loop, folder in zip(loops, folders):
            loop.keeper = Records(folder)
        lockstep = Lockstep(loops, keeper)
        with interrupts(loops) if keeper is not None else contextlib.nullcontext():
            lockstep.run()
        ended = not any(loop.interrupted or loop.diverged_at is not None for loop in loops)
        if ended:
            for loop, folder in zip(loops, folders):  # so that each folder is that of a whole run
                if loop.best is not None:
                    loop.best.fresh = loop.best.value is not None
                folder.save(loop)
        return [session.end() for session in sessions]


class Records:
    """A member's keeper, which leaves its state to that of all."""

    def __init__(self, folder: Folder):
        self.folder = folder

    def record(self, loop: Loop, record: dict[str, Any]) -> None:
        self.folder.record(loop, record)

    def due(self) -> bool:
        return False

    def save(self, loop: Loop) -> None: ...


class Together:
    """Writes the state of all members into one file: they never stand at different steps."""

    def __init__(self, path: Path, config: Config, folders: Sequence[Folder]):
        self.path, self.cadence, self.folders = path, Cadence(config.save_seconds), folders

    def due(self) -> bool:
        return self.cadence.due()

    def save(self, loops: Sequence[Loop]) -> None:
        with self.cadence.saving():
            for folder in self.folders:
                folder.sync()
            best = [None if loop.best is None else loop.best.weights for loop in loops]
            states = [{**loop.state_dict(), "best_weights": weights} for loop, weights in zip(loops, best)]
            checkpoint.save(self.path / STATE, {"members": states})


def _scored(config: Config, task: Task, data: Data, members: list[Result]) -> Result:
    """The result of all, with the averaged prediction scored beside each one's."""
    out = None if config.out is None else Path(config.out)
    worst = next((m for m in members if m.diverged_at is not None or m.interrupted), members[-1])
    result = replace(worst, config=config, folder=out, model=nn.ModuleList(m.model for m in members))
    result.steps, result.seconds = sum(m.steps for m in members), sum(m.seconds for m in members)
    result.members = members
    if worst.interrupted or worst.diverged_at is not None:
        return result
    record: dict[str, Any] = {"event": "ensemble", "members": config.members}
    batch = config.batch if isinstance(config.batch, int) else None
    for name in ("validation", "test"):
        part = getattr(data, name)
        if part is not None:
            found = scores([m.model for m in members], task, part, batch)
            record |= {f"{name}_loss": found.average.loss, f"{name}_metric": found.average.metric}
            record |= {f"{name}_single": [asdict(score) for score in found.single], "average": found.kind}
            setattr(result, f"{name}_loss", found.average.loss)
            setattr(result, f"{name}_metric", found.average.metric)
    result.records = [record]
    if out is not None:
        write_atomic(out / "records.jsonl", json.dumps(record, separators=(",", ":")) + "\n")
    return result
