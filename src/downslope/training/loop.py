"""The loop: one model, one optimizer, one seed, from start to finish."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch

from .data import Batch, Data, Part
from .task import Task

EXPLODED = 1000.0
"""A batch loss this many times the first one ends a run as diverged. On digits, Adagrad at lr 0.3 jumps to 180 times
its first loss and still ends at 97 %; no run seen beyond 1,000 times came back within ten points of the best."""


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
    batch: int,
) -> Outcome:
    """Train a new model of the task with `optimizer(parameters)`.

    The seed fixes the initial weights, the order of the data, and whatever the model draws, whichever optimizer it is;
    the caller's random state stays as it was. Divergence is an outcome: the run ends at the step whose loss is not
    finite or is EXPLODED times the first.
    """
    outcome = Outcome()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.make_model()
        rule = optimizer(model.parameters())
        order = torch.Generator().manual_seed(seed)
        limit = sys.float_info.max  # finite, so that an infinite loss is beyond it
        for _ in range(epochs):
            started = time.perf_counter()
            losses = []
            for rows in torch.randperm(data.train.size, generator=order).split(batch):
                value = _step(task, model, rule, data.train.rows(rows), limit)
                losses.append(value * len(rows))
                if not value <= limit:
                    outcome.diverged_at = outcome.steps
                    break
                limit = EXPLODED * value if outcome.steps == 0 else limit
                outcome.steps += 1
            outcome.seconds += time.perf_counter() - started
            if outcome.diverged_at is None:
                loss, accuracy = evaluate(task, model, data.validation)
                if not math.isfinite(loss):
                    outcome.diverged_at = outcome.steps
            if outcome.diverged_at is not None:
                return outcome
            outcome.train_loss.append(math.fsum(losses) / data.train.size)
            outcome.validation_loss.append(loss)
            outcome.validation_accuracy.append(accuracy)
        outcome.test_accuracy = evaluate(task, model, data.test)[1]
    return outcome


def _step(
    task: Task,
    model: torch.nn.Module,
    rule: torch.optim.Optimizer,
    batch: Batch,
    limit: float,
) -> float:
    """One step on a batch; returns its loss before it. Nothing is stepped when the loss is beyond the limit."""
    model.train()
    rule.zero_grad()
    inputs, targets = batch
    loss = task.loss(model(inputs), targets)
    value = loss.item()
    if value <= limit:
        loss.backward()
        rule.step()
    return value


@torch.no_grad()
def evaluate(task: Task, model: torch.nn.Module, part: Part) -> tuple[float, float]:
    """Loss and accuracy over a part of the data, in evaluation mode."""
    model.eval()
    ((inputs, targets),) = part.batches()
    output = model(inputs)
    return task.loss(output, targets).item(), task.metric(output, targets).item()
