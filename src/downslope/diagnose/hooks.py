"""Where a watch is told of a step: at as few places as the step needs, since each costs time in every step.

A step that rests is told of when the optimizer has stepped; one that is followed also when the model is called and
around backward; one that a probe looks at also when the model is through and when the optimizer begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from .probes import backward
from .probes.hook import Hook
from .probes.layers import compiled

if TYPE_CHECKING:
    from .follow import Follower

REST, FOLLOW, LOOK = range(3)
COLD = 6.0
"""A hook in a loop takes so many times what it takes when nothing else runs, as its code has left the caches meanwhile.
Measured on the digits CNN, by runs with one hook that does nothing."""
SOON, DEAR = 8, 0.05
"""In a rest of so many steps the model's hook is taken away, if it costs such a part of the budget. Where it stays, the
watch knows of every time that the model is scored, and of steps that a scaler leaves out."""


class Hooks:
    """The hooks of one watch. Those of a compiled model stay, as it would be compiled anew for each change."""

    def __init__(self, follower: Follower, loss: nn.Module | None):
        model, optimizer, timed = follower.model, follower.optimizer, follower.guard.timed
        called, through = Hook(timed(follower.forward_pre, always=True)), Hook(timed(follower.forward_post))
        steps = Hook(timed(follower.step_pre))
        self._places: tuple[tuple[int, Callable[[], Any]], ...] = (
            (FOLLOW, lambda: model.register_forward_pre_hook(called, with_kwargs=True)),
            (FOLLOW, lambda: backward.follow(follower)),
            (LOOK, lambda: model.register_forward_hook(through)),
            (LOOK, lambda: optimizer.register_step_pre_hook(steps)),
        )
        self._handles: list[Any] = [None] * len(self._places)
        self._fixed: list[Any] = [optimizer.register_step_post_hook(Hook(follower.step_over))]
        if loss is not None:
            self._fixed.append(loss.register_forward_hook(Hook(timed(follower.criterion, always=True))))
        self._guard, self._stay, self._level = follower.guard, compiled(model), REST
        self.scaled = False  # there is a scaler, which may leave out steps for ever: then backward tells
        call, hook = dispatch()
        self.unseen = tuple(COLD * seconds for seconds in (2 * hook, 4 * hook + call, 6 * hook + call))
        """Seconds that a step of each level costs outside of what is timed."""
        self.told(LOOK)

    def next_step(self) -> None:
        """Be told of what the next step needs; charge what that costs."""
        guard = self._guard
        if guard.closed:
            return
        if guard.resting:
            level = REST if guard.resting >= SOON and self._dear() else FOLLOW
            guard.budget.spent += self.unseen[level] * guard.resting
        else:
            level = LOOK if guard.looks else FOLLOW
            guard.budget.spent += self.unseen[level]
        if level != self._level:
            self.told(level)

    def _dear(self) -> bool:
        """Does the model's hook cost a good part of the budget?"""
        budget = self._guard.budget
        return not self.scaled and self.unseen[FOLLOW] - self.unseen[REST] > DEAR * budget.allowed * budget.seconds

    def told(self, level: int) -> None:
        """Be told of what a step of this level needs, and of no more."""
        if level == self._level or (self._stay and level < self._level):
            return
        self._level = level
        for i, (least, register) in enumerate(self._places):
            handle = self._handles[i]
            if level >= least and handle is None:
                self._handles[i] = register()
            elif level < least and handle is not None:
                handle.remove()
                self._handles[i] = None

    def remove(self) -> None:
        """Take all away."""
        for handle in (*self._handles, *self._fixed):
            if handle is not None:
                handle.remove()
        self._handles, self._fixed = [None] * len(self._places), []


@cache
def dispatch() -> tuple[float, float]:
    """Seconds that a module's call takes longer for having a hook, and that the call of a hook takes. Measured once."""
    module, given = nn.Identity(), torch.zeros(1)
    hook = Hook(lambda *args: None)

    def seconds(what: Callable[[], Any]) -> float:
        def once() -> float:
            began = time.perf_counter()
            for _ in range(20):
                what()
            return (time.perf_counter() - began) / 20

        return median(once() for _ in range(9))

    without = seconds(lambda: module(given))
    module.register_forward_pre_hook(hook, with_kwargs=True)
    called = seconds(lambda: hook(module, given, None))
    return max(0.0, seconds(lambda: module(given)) - without - called), called
