"""The last steps, so that a spike of the loss can be replayed: batches, random numbers, rates, a copy to start from.

Kept in stretches, as the budget allows: a copy of weights, buffers and optimizer states, then up to STRETCH steps by
reference. Memory: at most three such copies and BYTES of batches; a model whose copies take over STATES is not kept."""

from __future__ import annotations

import copy
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .batch import Known, tensors

STRETCH, AFTER = 16, 4
BYTES, STATES = 64 << 20, 256 << 20


@dataclass
class Entry:
    """One step: its loss, its rates before it, its batches."""

    step: int
    loss: float
    rates: list[Any]
    batches: list[Known]
    bytes: int = 0


@dataclass(frozen=True)
class Copy:
    """Model and optimizer just before a step."""

    step: int
    model: dict[str, Any]
    optimizer: dict[str, Any]


@dataclass
class Kept:
    """What is left of a spike: the copy, the steps from there to a few after it, the level it rose from."""

    step: int
    loss: float
    usual: float
    begin: Copy
    entries: list[Entry]

    @property
    def at(self) -> int:
        """The place of the spike among the entries."""
        return next(i for i, entry in enumerate(self.entries) if entry.step == self.step)

    @property
    def whole(self) -> bool:
        """Is every batch still what it was, and no step missing?"""
        steps = [entry.step for entry in self.entries]
        unbroken = steps == list(range(self.begin.step, self.begin.step + len(steps)))
        return unbroken and all(batch.whole for entry in self.entries for batch in entry.batches)


@dataclass
class Ring:
    """The copies and steps of late, and the highest spike so far."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    copies: deque[Copy] = field(default_factory=lambda: deque(maxlen=2))
    entries: deque[Entry] = field(default_factory=deque)
    pending: list[Known] = field(default_factory=list)  # batches of the step under way
    spike: Kept | None = None
    left: int = 0  # steps of this stretch
    follow: int = 0  # steps until what came after a spike is complete
    usable: bool = True

    @property
    def live(self) -> bool:
        """A stretch is under way."""
        return self.usable and self.left > 0

    def begin(self, step: int) -> None:
        """Start a stretch with a copy of everything, before a step."""
        if not (self.entries and self.entries[-1].step == step - 1):
            self.lose()
        state = self.model.state_dict()
        weights = {k: v.detach().clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()}
        kept = Copy(step, weights, copy.deepcopy(self.optimizer.state_dict()))
        size = sum(t.numel() * t.element_size() for t in tensors([kept.model, list(kept.optimizer["state"].values())]))
        if 3 * size > STATES:
            self.usable = False
            return self.lose()
        self.copies.append(kept)
        while self.entries and self.entries[0].step < self.copies[0].step:
            self.entries.popleft()
        self.left = STRETCH

    def lose(self) -> None:
        """A step was not seen: nothing before it can be replayed. A spike that is kept stays."""
        self.copies.clear()
        self.entries.clear()
        self.pending, self.left = [], 0

    def ended(self, step: int, loss: float, rates: list[Any]) -> None:
        """A step of the stretch is over."""
        if not self.pending or not math.isfinite(loss):
            return self.lose()
        self.entries.append(Entry(step, loss, rates, self.pending, sum(batch.bytes for batch in self.pending)))
        self.pending = []
        self.left -= 1
        while sum(entry.bytes for entry in self.entries) > BYTES and len(self.entries) > 1:
            self.entries.popleft()
        if self.follow > 0 and self.spike is not None:
            self.spike.entries.append(self.entries[-1])
            self.follow -= 1
            self.left = max(self.left, self.follow)

    def spiked(self, step: int, loss: float, usual: float) -> None:
        """The step that has just ended was a spike; only the highest is kept."""
        if self.spike is not None and loss - usual <= self.spike.loss - self.spike.usual:
            return
        begin = next((c for c in self.copies if self.entries and self.entries[0].step <= c.step < step), None)
        if begin is None or self.entries[-1].step != step:
            return
        entries = [e for e in self.entries if e.step >= begin.step]
        self.spike = Kept(step, loss, usual, begin, entries)
        self.follow = AFTER
        self.left = max(self.left, AFTER)
