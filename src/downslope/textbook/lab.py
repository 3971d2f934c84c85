"""What experiments have in common: training runs by the dozen, and figures of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch

from ..errors import RunError
from ..race.alone import run_alone
from ..race.batched import run_batch, way
from ..race.common import Common
from ..race.trial import Record, Setting, Trial, settings
from ..training.data import Data, Part
from ..training.task import Task

TUNING = (1000, 1001, 1002)
"""Seeds that settings are chosen on, so that the choice is not part of the result."""


def runs(
    task: Task,
    optimizer: str,
    choices: Sequence[Mapping[str, Setting]],
    seeds: Iterable[int],
    *,
    epochs: int | None = None,
    batch: int | None = 0,
    schedule: str = "constant",
    exploded: float = 1000.0,
    data: Data | None = None,
) -> list[list[Record]]:
    """Train an optimizer at several choices of settings, each over the seeds; the records [choice][seed].

    They are a race's trials, trained together where that can be. Settings may be those of the task too, as `task.NAME`,
    where its data stay the same. `batch` is the task's own unless given, None the whole data; `exploded` times the
    first loss counts as diverged.
    """
    data = data or task.make_data()
    common = Common(task.batch if batch == 0 else batch, schedule, exploded=exploded)
    asked = [[Trial(optimizer, settings(each), seed, epochs or task.epochs) for seed in seeds] for each in choices]
    flat = [trial for row in asked for trial in row]
    if len(flat) > 1 and not way(task, data, common, flat).why:
        found = run_batch(task, data, common, flat)
    else:
        found = (run_alone(task, data, common, trial) for trial in flat)
    by_key = {Trial.from_json(record["trial"]).key(): record for record in found}
    return [[by_key[trial.key()] for trial in row] for row in asked]


def best_rate(
    task: Task,
    optimizer: str,
    rates: Sequence[float],
    *,
    what: str = "validation_loss",
    epochs: int | None = None,
    batch: int | None = 0,
    schedule: str = "constant",
    data: Data | None = None,
    **fixed: Setting,
) -> float:
    """The learning rate with the least mean of `what` at the end, over seeds that are used for nothing else; a rate of
    which a run diverged is out, and all of them out is an error."""
    choices = [{"lr": rate, **fixed} for rate in rates]
    found = runs(task, optimizer, choices, TUNING, epochs=epochs, batch=batch, schedule=schedule, data=data)
    means = {
        rate: math.fsum(last(records, what)) / len(records)
        for rate, records in zip(rates, found)
        if not any(share(records))
    }
    if not means:
        raise RunError(f"{task.name}: {optimizer} diverged at every rate of {', '.join(map(str, rates))}; try smaller")
    return min(means, key=lambda rate: means[rate])


def curve(records: Sequence[Record], what: str = "train_loss") -> list[list[float]]:
    """A curve for each record, by epoch: train_loss, validation_loss or validation_metric."""
    return [[value for value in record["curve"][what] if value is not None] for record in records]


def last(records: Sequence[Record], what: str = "train_loss", diverged: float | None = None) -> list[float]:
    """The last value of each record's curve; `diverged` stands for that of a run that diverged."""
    return [
        diverged if diverged is not None and record["diverged"] else values[-1]
        for record, values in zip(records, curve(records, what))
    ]


def share(records: Sequence[Record], key: str = "diverged") -> list[bool]:
    """Of each record whether `key` is true: shares of yes and no have an interval of their own."""
    return [bool(record[key]) for record in records]


def batches(part: Part, size: int, seed: int, epochs: int = 1) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Shuffled batches of a part of a task's data, for a loop of one's own."""
    order = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        yield from part.batches(size, torch.randperm(part.size or 0, generator=order))
