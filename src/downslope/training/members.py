"""An ensemble: the same run from several seeds, and the average of their predictions."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import nn

from .config import Config
from .data import Data
from .ensemble import scores
from .files import claim, pretty, write_atomic
from .run import Result
from .task import Task

One = Callable[[Config, Path | None], Result]


def train_members(config: Config, task: Task, data: Data, one: One, resume: Path | None) -> Result:
    """Train `config.members` models from the seeds `seed`, `seed + 1`, ..., each with `one`, and score them together.

    Each has a folder in the run's, member-0, member-1, ...; a resumed run goes on with the first that is not done. The
    scores of the result are those of the averaged prediction; its model is the list of all. One that diverges or is
    interrupted ends the run."""
    out = None if config.out is None else Path(config.out)
    if out is not None and resume is None:
        claim(out, "run", f"--resume {out} instead of it")
        write_atomic(out / "config.json", pretty(config.as_json()))
    members: list[Result] = []
    for number in range(config.members):
        own = None if out is None else out / f"member-{number}"
        started = own is not None and resume is not None and (own / "config.json").exists()
        options = replace(config, members=1, seed=config.seed + number, out=None if own is None else str(own))
        members.append(one(options, own if started else None))
        if members[-1].interrupted or members[-1].diverged_at is not None:
            break
    last = members[-1]
    result = replace(last, config=config, folder=out, model=nn.ModuleList(m.model for m in members))
    result.steps, result.seconds = sum(m.steps for m in members), sum(m.seconds for m in members)
    result.members = members
    if last.interrupted or last.diverged_at is not None:
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
