"""Runs that take their steps together; everything else each does by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch

from ...optim.stacked_join import hand_back, join
from ..loop import Loop
from . import memory
from .feed import Feed
from .model import StackedModel


class Keeper(Protocol):
    """What writes the state of all down, when it is due and at the end."""

    def due(self) -> bool: ...
    def save(self, loops: Sequence[Loop]) -> None: ...


class Lockstep:
    """Loops of one task, at the same place, of which each differs in its seed alone.

    Parameters, buffers and optimizer states of the loops are views of the stacked ones, so that scoring, records,
    averages, early stopping and callbacks are each loop's own; a step is one forward, backward and update for all. One
    that has come to its end leaves the stacks. Where one diverges or is interrupted, all end there.
    """

    def __init__(self, loops: Sequence[Loop], keeper: Keeper | None = None):
        self.loops, self.keeper = list(loops), keeper
        self.active: list[Loop] = []
        self._since = 0.0

    def run(self) -> None:
        """Train all to their ends, or to where something stops them."""
        for loop in self.loops:
            loop.passes.restore_rng()  # the same for all: nothing in a step draws
            for tell in loop.callbacks.on_start:
                tell(loop)
        with memory.kept():
            while any(not loop.ended for loop in self.loops) and not self._over:
                self._stack([loop for loop in self.loops if not loop.ended])
                self._run_epoch()
        if self.active:
            self._part()
        if self.keeper is not None and not self._diverged:
            self.keeper.save(self.loops)

    @property
    def _diverged(self) -> bool:
        return any(loop.diverged_at is not None for loop in self.loops)

    @property
    def _over(self) -> bool:
        """Whether what came to one of them ends all."""
        return self._diverged or any(loop.interrupted for loop in self.loops)

    # ---- stacks

    def _stack(self, loops: list[Loop]) -> None:
        """Let these loops, and no others, train on; costs a copy of all they have, where it was others before."""
        if loops == self.active:
            return
        if self.active:
            self._part()
        self.active, first = loops, loops[0]
        self.model = StackedModel(first.task, [loop.model for loop in loops])
        self.optimizers: list[Any] = [loop.optimizer for loop in loops]
        self.optimizer = join(self.model.learned, self.optimizers)
        self.feed = Feed(first.data.train, range(len(loops)), first.batch_size, first.device)
        for k, loop in enumerate(loops):
            _bind(loop.model, self.model, k)
        hand_back(self.optimizer, self.optimizers)

    def _part(self) -> None:
        """Give each loop what is its own, in memory of its own."""
        hand_back(self.optimizer, self.optimizers)
        for loop in self.active:
            for tensor in (*loop.model.parameters(), *loop.model.buffers()):
                tensor.data, tensor.grad = tensor.detach().clone(), None
            for state in loop.optimizer.state.values():
                state.update({name: value.clone() for name, value in state.items() if isinstance(value, torch.Tensor)})
        self.active = []

    # ---- an epoch

    def _run_epoch(self) -> None:
        active = self.active
        rows = torch.stack([loop.passes.rows(loop.epoch) for loop in active])  # type: ignore[misc]
        self._since = time.perf_counter()
        for batch, size in self.feed.batches(rows, active[0].batch):
            if not self._take(batch, size):
                return
            if any(loop.callbacks.on_step for loop in active):
                self._show()
            cadence = active[0].eval_steps
            if cadence is not None and active[0].step % cadence == 0:
                self._apart(lambda loop: loop.evaluation("evaluation"))
            self._save_if_due()
            if any(loop.ended for loop in active):
                return
        self._apart(Loop.end_epoch)
        self._save_if_due()

    def _take(self, batch: Any, size: int) -> bool:
        """One step of all; False if a loss is beyond its limit, and nothing stepped."""
        losses = self.model.backward(batch, self.feed.apart).tolist()
        for k, (loop, loss) in enumerate(zip(self.active, losses)):
            if not loss <= loop.limit:
                loop.diverge(loss, *self.feed.of_trial(batch, k))
        if self._diverged:
            self._clock()
            for loop in self.active:
                if loop.diverged_at is not None:
                    loop.emit({"event": "diverged", **loop.where(), "train_loss": None})
            return False
        self.optimizer.step()
        for loop, loss in zip(self.active, losses):
            loop.took(loss * size, size)
        return True

    def _clock(self) -> None:
        """The time since it was last asked, in equal parts to those that train."""
        now = time.perf_counter()
        for loop in self.active:
            loop.seconds += (now - self._since) / len(self.active)
        self._since = now

    def _apart(self, call: Callable[[Loop], None]) -> None:
        """What each loop does by itself, which is not training time."""
        self._clock()
        hand_back(self.optimizer, self.optimizers)
        for loop in self.active:
            call(loop)
        self._since = time.perf_counter()

    def _show(self) -> None:
        """Tell of a step, with the gradients where callbacks look for them."""
        hand_back(self.optimizer, self.optimizers)
        for k, loop in enumerate(self.active):
            for own, stacked in zip(loop.model.parameters(), self.model.params.values()):
                own.grad = None if stacked.grad is None else stacked.grad[k]
            for tell in loop.callbacks.on_step:
                tell(loop)

    def _save_if_due(self) -> None:
        if self.keeper is not None and not self._diverged and self.keeper.due():
            keeper = self.keeper
            self._clock()
            hand_back(self.optimizer, self.optimizers)
            keeper.save(self.loops)
            self._since = time.perf_counter()


def _bind(model: torch.nn.Module, stacked: StackedModel, k: int) -> None:
    """Make a network's parameters and buffers views of its place in the stacked ones."""
    for name, parameter in model.named_parameters():
        parameter.data = stacked.params[name].detach()[k]
    for name, buffer in model.named_buffers():
        buffer.data = stacked.buffers[name].detach()[k]
