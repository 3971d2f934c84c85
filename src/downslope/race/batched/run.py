"""Trains trials together, each as it would be trained alone."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from ... import rng
from ...errors import RunError
from ...optim.stacked import Stacked
from ...training import faults
from ...training.data import Data, Part
from ...training.score import ROWS
from ...training.task import Task
from ...training.together import memory
from ...training.together.feed import Feed
from ...training.together.model import StackedModel
from ...training.together.networks import networks, streams
from ..alone import Made, count_steps, run_alone
from ..common import Common
from ..trial import Record, Trial
from .check import Way, way

COMPACT = 8
"""Trials that diverged leave their stacks when they are one in so many of those that still train, and at the end of an
epoch: to leave costs about as much as a step, to stay one part in so many of each step."""


@dataclass
class Lane:
    """A trial on its way: its record so far, and what it takes to go on."""

    trial: Trial
    limit: float = sys.float_info.max  # finite, so that an infinite loss is beyond it
    loss_sum: float = 0.0
    steps: int = 0
    seconds: float = 0.0
    diverged_at: int | None = None
    state_bytes: int = 0
    test: tuple[float | None, float | None] = (None, None)
    records: list[dict[str, Any]] = field(default_factory=list)

    def record(self) -> Record:
        made = Made(self.records, self.steps, self.seconds, self.state_bytes, self.diverged_at)
        made.test = self.test
        return made.record(self.trial, "batched")


def run_batch(task: Task, data: Data, common: Common, trials: Sequence[Trial]) -> Iterator[Record]:
    """Train trials of one optimizer together; the record of each when it is done.

    They may differ in everything that is a number, in the seed, and in the schedule; `can_batch` says beforehand
    whether it can be done. Each has the initial weights, the data in the order, and the random numbers that it has
    alone, and gives the same record, up to rounding. A trial that diverges ends at once and the others go on. Trials of
    a network that draws random numbers, such as dropout, share a forward pass with those of their seed only; where
    there are fewer than two to a seed, each is trained alone, as its record says.

    Raises RunError where they cannot train together and where the task fails, RuntimeError of torch or MemoryError
    where memory is short."""
    found = way(task, data, common, trials)
    if found.why:
        raise RunError(f"{task.name}: {len(trials)} trials cannot train together: {found.why}")
    alike = {(trial.seed, repr(sorted(trial.of_task.items()))) for trial in trials}
    if found.draws and 2 * len(alike) > len(trials):
        # Trials that draw random numbers of their own go forward one by one: there would be nothing to share.
        yield from (run_alone(task, data, common, trial) for trial in trials)
        return
    with memory.kept():
        batch = Training(task, data, common, trials, found)
        while batch.lanes:
            with rng.kept():
                finished = batch.epoch()
            yield from (lane.record() for lane in finished)


class Training:
    """Trials that train together, and where they are."""

    def __init__(self, task: Task, data: Data, common: Common, trials: Sequence[Trial], way: Way) -> None:
        self.task, self.data, self.common = task, data, common
        self.device = torch.device(common.device)
        order = sorted(trials, key=lambda trial: (trial.seed, repr(sorted(trial.of_task.items()))))
        self.lanes = [Lane(trial) for trial in order]  # those that draw the same random numbers side by side
        starts = networks(task, order, self.device)
        self.model = StackedModel(task, [start.network for start in starts], inner=way.inner)
        if way.draws:
            self.model.draw_from(*streams(starts))
        self.optimizer = Stacked(
            self.model.learned,
            lambda k, own: common.make(order[k], own, count_steps(data, common, order[k])),
            len(order),
        )
        self.feed = Feed(data.train, [lane.trial.seed for lane in self.lanes], common.batch, self.device)
        self.at = self.step = 0  # epochs and steps that are done
        self._since = 0.0

    # ---- an epoch

    def epoch(self) -> list[Lane]:
        """Train for an epoch; the trials that ended in it."""
        ended: list[Lane] = []
        samples = 0
        self.begin()
        for batch, size in self.feed.epoch(self.at):
            alive = [lane for lane in self.lanes if lane.diverged_at is None]
            if not alive:
                break
            ended += self.take(batch, size)
            samples += size
            self._clock(alive)
            dead = sum(lane.diverged_at is not None for lane in self.lanes)
            if dead and dead * COMPACT >= len(self.lanes) - dead:
                self._compact()
        self._compact()
        self.at += 1
        for lane, total in zip(self.lanes, self._sums):
            lane.loss_sum = float(total)
        self._score(samples, ended)
        self._compact({id(lane) for lane in ended})
        return ended

    def _clock(self, alive: list[Lane]) -> None:
        """A step's time in equal parts to those that took it."""
        now = time.perf_counter()
        share, self._since = (now - self._since) / len(alive), now
        for lane in alive:
            lane.seconds += share

    def begin(self) -> None:
        """Before the first step of an epoch."""
        self._limits = np.array([lane.limit for lane in self.lanes])
        self._sums = np.zeros(len(self.lanes))
        self._since = time.perf_counter()

    def take(self, batch: Any, size: int) -> list[Lane]:
        """A step on a batch of so many samples each; the trials whose loss is beyond their limit."""
        beyond_it = []
        losses = self.model.backward(batch, self.feed.apart).to("cpu", torch.float64).numpy()
        beyond = ~(losses <= self._limits)
        if beyond.any():
            for k in np.flatnonzero(beyond).tolist():
                if self.lanes[k].diverged_at is None:
                    faults.check_finite(self.data.train, *self.feed.of_trial(batch, k))
                    self.lanes[k].diverged_at = self.lanes[k].steps = self.step
                    beyond_it.append(self.lanes[k])
        self.optimizer.step()
        weighted = losses * size
        if self.step == 0:
            for lane, loss in zip(self.lanes, (weighted / size).tolist()):
                lane.limit = min(lane.limit, self.common.exploded * loss)
            self._limits = np.array([lane.limit for lane in self.lanes])
        self._sums += weighted
        self.step += 1
        return beyond_it

    # ---- scores

    def _score(self, samples: int, ended: list[Lane]) -> None:
        if not self.lanes:
            return
        with self.optimizer.swap_average():
            scores = self._evaluate(self.data.validation)
            last = [k for k, lane in enumerate(self.lanes) if lane.trial.epochs == self.at]
            tests = self._evaluate(self.data.test) if last else [(None, None)] * len(self.lanes)
        for lane, (loss, metric), test in zip(self.lanes, scores, tests):
            lane.steps = self.step
            if loss is not None and not math.isfinite(loss):
                lane.diverged_at = self.step
                ended.append(lane)
                continue
            record = {"event": "epoch", "step": self.step, "train_loss": _finite(lane.loss_sum / samples)}
            record |= {"validation_loss": loss, "validation_metric": _finite(metric)}
            lane.records.append(record)
            if lane.trial.epochs == self.at:
                lane.test = test
                ended.append(lane)

    def _evaluate(self, part: Part | None) -> list[tuple[float | None, float | None]]:
        """Loss and metric of each trial over a part of the data: the means over all samples, as alone."""
        count, metric = len(self.lanes), self.task.metric
        if part is None:
            return [(None, None)] * count
        losses, metrics, total = np.zeros(count), np.zeros(count), 0
        for inputs, targets in part.batches(ROWS):
            if self.device.type != "cpu":
                inputs, targets = faults.moved(inputs, self.device), faults.moved(targets, self.device)
            size = faults.size(inputs, targets)
            for k, output in enumerate(self.model.outputs(inputs, size)):
                losses[k] += (loss := float(self.task.loss(output, targets))) * size
                if metric is not None:
                    metrics[k] += float(metric(output, targets)) * size
                if not math.isfinite(loss):
                    faults.check_finite(part, inputs, targets)
            total += size
        found = (metrics / total).tolist() if metric is not None else [None] * count
        return [*zip((losses / total).tolist(), found)]

    # ---- trials that leave

    def _compact(self, ended: Collection[int] = ()) -> None:
        """Take the trials that diverged, and those that ended otherwise, out of the stacks."""
        keep = [k for k, lane in enumerate(self.lanes) if lane.diverged_at is None and id(lane) not in ended]
        if len(keep) == len(self.lanes):
            return
        for lane, size in zip(self.lanes, self.optimizer.state_bytes()):
            lane.state_bytes = 0 if lane.diverged_at == 0 else size
        if keep:
            self.model.compact(keep, self.optimizer.compact(keep))
            self._limits, self._sums = self._limits[keep], self._sums[keep]
        self.lanes = [self.lanes[k] for k in keep]
        if keep:
            self.feed.keep([lane.trial.seed for lane in self.lanes])


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
