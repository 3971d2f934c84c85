"""What the checks share: the task, its data, batches, fresh models and short runs, each made when first asked for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from functools import cached_property
from typing import Any

import torch

from .. import rng
from ..training.data import Batch, Data, Part
from ..training.task import Task
from .scan import Scan, scan
from .tree import count, dense, leaves, take
from .verdict import CannotTell

SAMPLE = 512
"""Samples that statistics of inputs are taken from."""
TRACED = 256  # of which activations and gradients are taken

WORK = 20e6
"""Multiplications of a forward pass to which the batches of short runs are cut, but not below FEWEST samples."""
FEWEST = 8

MakeOptimizer = Callable[[Iterable[torch.nn.Parameter]], torch.optim.Optimizer]


class Context:
    """A task under examination. Nothing in here touches the user's model: every model is a copy of a new one."""

    def __init__(self, task: Task, data: Data, seed: int, optimizer: type[torch.optim.Optimizer], seconds: float):
        self.task, self.data, self.seed, self.optimizer = task, data, seed, optimizer
        self.seconds = seconds
        self.traces: list[Any] = []  # kept by trace.traces
        self.until = math.inf
        self.cut = False  # whether a run of this check was stopped by its time

    # ---- models

    def model(self, seed: int | None = None) -> torch.nn.Module:
        """A new model in training mode; the same weights for the same seed, by default the context's."""
        rng.start(self.seed if seed is None else seed)
        model = deepcopy(self.task.make_model())
        return model.train()

    @cached_property
    def seeds_matter(self) -> bool:
        """Whether weights are drawn; a model that comes trained has the same ones for every seed."""
        pairs = zip(self.model(self.seed).parameters(), self.model(self.seed + 1).parameters())
        return not all(torch.equal(a, b) for a, b in pairs)

    def loss(self, model: torch.nn.Module, batch: Batch, seed: int | None = None) -> torch.Tensor:
        """The loss of a batch; whatever the model draws is the same each time."""
        rng.start(self.seed if seed is None else seed)
        return self.task.loss(model(batch[0]), batch[1])

    def rule(self, lr: float) -> MakeOptimizer:
        """The chosen optimizer at a learning rate."""
        made: Callable[..., torch.optim.Optimizer] = self.optimizer
        return lambda parameters: made(parameters, lr=lr)

    # ---- data

    def batches(self, size: int | None = None, seed: int | None = None) -> Iterator[Batch]:
        """Batches of the training part without end, shuffled anew each epoch; a DataLoader's own."""
        part, generator = self.data.train, torch.Generator().manual_seed(self.seed if seed is None else seed)
        while True:
            if part.loader is not None:
                rng.start(int(torch.randint(2**31, (), generator=generator)))
                empty = True
                for inputs, targets in part.loader:
                    empty = False
                    yield inputs, targets
                if empty:
                    raise CannotTell("the DataLoader gives no batch")
            else:
                for index in torch.randperm(part.size or 0, generator=generator).split(size or self.task.batch):
                    yield part.rows(index)

    @cached_property
    def batch(self) -> Batch:
        """One batch, as training sees it."""
        return next(self.batches())

    @cached_property
    def short_rows(self) -> int:
        """How many samples a step of a short run takes: the task's batch, or less where a step is much work."""
        from .trace import traces

        size = count(self.batch) or 0
        seen = traces(self)[0][0]
        work = sum(layer.work for layer in seen.layers) / max(1, min(size, TRACED)) * size
        return size if work <= WORK else min(size, max(FEWEST, int(size * WORK / work)))

    @property
    def cut_batch(self) -> str:
        """How short runs' batches were cut, in words; "" where they were not."""
        size = count(self.batch) or 0
        return f", batches of {self.short_rows} for {size}" if self.short_rows < size else ""

    def short_batches(self, seed: int) -> Iterator[Batch]:
        """Batches for short runs."""
        rows = self.short_rows
        for batch in self.batches(rows or None, seed=seed):
            size = count(batch)
            yield take(batch, torch.arange(rows)) if size and rows and size > rows else batch

    @cached_property
    def held(self) -> Batch:
        """Training samples to compare short runs on."""
        sample, rows = self.sample[0], count(self.sample[0])
        return take(sample, torch.arange(min(rows, 256, max(32, 4 * self.short_rows)))) if rows else sample

    @cached_property
    def unseen(self) -> Batch:
        """Validation samples, or training samples where there are none."""
        part = self.data.validation
        if part is None:
            return self.held
        if part.loader is None:
            index = torch.randperm(part.size or 0, generator=torch.Generator().manual_seed(self.seed))
            return part.rows(index[: min(256, max(32, 4 * self.short_rows))])
        return next(iter(part.batches()), self.held)

    def few(self, rows: int) -> Batch:
        """The first samples of the batch, or all of it where it cannot be cut."""
        size = count(self.batch)
        return take(self.batch, torch.arange(min(rows, size))) if size else self.batch

    @cached_property
    def sample(self) -> list[Batch]:
        """Batches of at least SAMPLE training samples together, or all that there are."""
        return _gather(self.data.train, self.batches(SAMPLE), SAMPLE)

    def scan(self, part: str) -> Scan | None:
        """All rows of a part, read once: the targets and the inputs' hashes. None for a part that is not there."""
        if part not in self._scans:
            found: Part | None = getattr(self.data, part)
            self._scans[part] = None if found is None else scan(found)
        return self._scans[part]

    @cached_property
    def _scans(self) -> dict[str, Scan | None]:
        return {}

    # ---- time and training

    @property
    def late(self) -> bool:
        """Whether this check has used up its time: of the processor, not of the clock, which others slow down."""
        return time.process_time() > self.until

    def train(
        self,
        model: torch.nn.Module,
        make: MakeOptimizer,
        batches: Iterable[Batch],
        steps: int,
        enough: Callable[[float], bool] = lambda loss: False,
        each: Callable[[torch.optim.Optimizer, int], None] = lambda rule, step: None,
    ) -> list[float]:
        """The losses before each of some steps; ends early when one is not finite, or enough, or time is up.

        Sparse gradients become dense, so that every optimizer takes them."""
        rule = make([p for p in model.parameters() if p.requires_grad])
        losses: list[float] = []
        rng.start(self.seed)
        for step, (inputs, targets) in zip(range(steps), batches):
            each(rule, step)
            rule.zero_grad()
            loss = self.task.loss(model(inputs), targets)
            losses.append(loss.item())
            self.cut = self.cut or self.late
            if not math.isfinite(losses[-1]) or enough(losses[-1]) or self.cut:
                break
            loss.backward()
            for p in model.parameters():
                if p.grad is not None and p.grad.layout is not torch.strided:
                    p.grad = dense(p.grad)
            rule.step()
        return losses


def only_output(output: Any) -> torch.Tensor:
    """The model's output where it is one tensor."""
    found = leaves(output)
    if not isinstance(output, torch.Tensor) or not found:
        raise CannotTell(f"the model returns a {type(output).__name__} of {len(found)} tensors, not one tensor")
    return output


def _gather(part: Part, batches: Iterator[Batch], rows: int) -> list[Batch]:
    found, held = [], 0
    total = math.inf if part.size is None else part.size
    for batch in batches:
        found.append(batch)
        first = leaves(batch[1]) or leaves(batch[0])
        held += len(first[0]) if first and first[0].ndim else 1
        if held >= min(rows, total):
            return found
    return found
