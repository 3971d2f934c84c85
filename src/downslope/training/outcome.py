"""One run in memory, as a race trains many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch

from .. import rng
from .data import Data
from .loop import Loop
from .order import Order
from .score import evaluate
from .task import Task

EXPLODED = 1000.0
"""A batch loss this many times the first one ends a race's run as diverged. On digits, Adagrad at lr 0.3 jumps to 180
times its first loss and still ends at 97 %; no run seen beyond 1,000 times came back within ten points of the best."""


@dataclass
class Outcome:
    """How one run went: one value per finished epoch in each curve, the scores, and where it diverged if it did.

    A diverged run has no scores. `seconds` is training alone, without the evaluations.
    """

    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    test_accuracy: float | None = None
    diverged_at: int | None = None
    steps: int = 0
    seconds: float = 0.0


def train(
    task: Task,
    data: Data,
    optimizer: Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer],
    *,
    seed: int,
    epochs: int,
    batch: int | None,
) -> Outcome:
    """Train a new model of the task with `optimizer(parameters)`, in memory alone, as a race does.

    The seed fixes the initial weights, the order of the data, and whatever the model draws, whichever optimizer it is;
    the caller's random state stays as it was. Divergence is an outcome: the run ends at the step whose loss is not
    finite or is EXPLODED times the first.
    """
    with rng.seeded(seed):
        model = task.make_model()
        order = Order(data.train, seed)
        loop = Loop(
            task, data, model, optimizer(model.parameters()), order, epochs=epochs, batch=batch, exploded=EXPLODED
        )
        loop.run()
        outcome = Outcome(diverged_at=loop.diverged_at, steps=loop.step, seconds=loop.seconds)
        for record in loop.records:
            if record["event"] == "epoch":
                outcome.train_loss.append(record["train_loss"])
                outcome.validation_loss.append(record["validation_loss"])
                outcome.validation_accuracy.append(record["validation_metric"])
        if loop.diverged_at is None and data.test is not None:
            outcome.test_accuracy = evaluate(task, model, data.test)[1]
    return outcome
