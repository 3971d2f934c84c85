"""One trial by itself: what every other way of training it is held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from .. import rng
from ..training.data import Data
from ..training.loop import Loop
from ..training.order import Order
from ..training.score import evaluate
from ..training.task import Task
from .common import Common
from .trial import Record, Trial


def run_alone(task: Task, data: Data, common: Common, trial: Trial) -> Record:
    """Train one trial in memory, and its record. `data` are those of the trial's task settings.

    The seed fixes the initial weights, the order of the data and whatever the model draws; the caller's random state
    stays as it was. Divergence is a result: the run ends at the step whose loss is not finite or is `common.exploded`
    times the first. Raises RunError where the task fails otherwise."""
    device = torch.device(common.device)
    with rng.seeded(trial.seed):
        model = task.with_settings(**trial.of_task).make_model().to(device)
        optimizer = common.make(trial, model, count_steps(data, common, trial))
        loop = Loop(
            task,
            data,
            model,
            optimizer,
            Order(data.train, trial.seed),
            epochs=trial.epochs,
            batch=common.batch,
            exploded=common.exploded,
            device=device,
        )
        loop.run()
        made = Made(loop.records, loop.step, loop.seconds, bytes_of(optimizer.state.values()), loop.diverged_at)
        if loop.diverged_at is None and data.test is not None:
            with loop.average():
                made.test = evaluate(task, model, data.test, device=device)
    return made.record(trial, "alone")


class Made:
    """What a training run gave, on its way to a record. `test` is the loss and the metric on the test data."""

    def __init__(
        self, records: list[dict[str, Any]], steps: int, seconds: float, state_bytes: int, diverged_at: int | None
    ) -> None:
        self.records, self.steps, self.seconds, self.state_bytes = records, steps, seconds, state_bytes
        self.diverged_at = diverged_at
        self.test: tuple[float | None, float | None] = (None, None)

    def record(self, trial: Trial, how: str) -> Record:
        """The line of a journal. Scores that are not finite are None."""
        epochs = [each for each in self.records if each["event"] == "epoch"]
        diverged = self.diverged_at is not None
        last = {} if diverged or not epochs else epochs[-1]
        names = ("step", "train_loss", "validation_loss", "validation_metric")
        return {
            "trial": trial.as_json(),
            "diverged": diverged,
            "diverged_at_step": self.diverged_at,
            "steps": self.steps,
            "validation_loss": _finite(last.get("validation_loss")),
            "validation_metric": _finite(last.get("validation_metric")),
            "test_loss": _finite(self.test[0]),
            "test_metric": _finite(self.test[1]),
            "curve": {name: [each.get(name) for each in epochs] for name in names},
            "seconds": round(self.seconds, 4),
            "state_bytes": self.state_bytes,
            "how": how,
        }


def count_steps(data: Data, common: Common, trial: Trial) -> int | None:
    """The optimizer's steps in a trial, or None where a stream does not tell its length."""
    batches = data.train.count_batches(common.batch)
    return None if batches is None else trial.epochs * batches


def bytes_of(states: Iterable[Mapping[str, Any]]) -> int:
    """The memory of an optimizer's states, without the step counts."""
    found = ((name, value) for state in states for name, value in state.items() if isinstance(value, torch.Tensor))
    return sum(value.nbytes for name, value in found if name != "step")


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
