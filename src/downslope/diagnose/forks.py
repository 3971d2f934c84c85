"""A fork: a copy of model and optimizer with one thing changed, which takes a few steps and is thrown away."""

from __future__ import annotations

import contextlib
import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from ..errors import SettingError
from ..schedules import Schedule, by

Step = Callable[[nn.Module, torch.optim.Optimizer, Any], float]
"""(model, optimizer, batch) -> the loss: zero_grad, forward, backward, step, as the user's loop has them."""


@dataclass(frozen=True)
class Change:
    """One thing that is otherwise: learning rates times `lr_factor`; `settings` of every param group; the norm that
    gradients are clipped to (`max_norm`; infinity for not at all); `optimizer`, a function of the fork's model that
    makes another one, whose states start empty; `edit` does something to the fork before it steps; `step` and `score`
    stand in for those of the comparison."""

    name: str
    lr_factor: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    max_norm: float | None = None
    optimizer: Callable[[nn.Module], torch.optim.Optimizer] | None = None
    edit: Callable[[nn.Module, torch.optim.Optimizer], None] | None = None
    step: Step | None = None
    score: Callable[[nn.Module], Sequence[float]] | None = None


def run(
    model: nn.Module, optimizer: torch.optim.Optimizer, step: Step, batches: Sequence[Any], change: Change
) -> nn.Module | None:
    """The model of a fork after a step on each batch; None if its loss was not finite in one.

    The originals are not touched; costs a copy of the model and of the optimizer's states."""
    twin, own = copy.deepcopy((model, optimizer))
    own = changed(twin, own, change)
    if change.edit is not None:
        change.edit(twin, own)
    with _clipped(own, change.max_norm):
        for batch in batches:
            if not math.isfinite((change.step or step)(twin, own, batch)):
                return None
    return twin


def changed(model: nn.Module, optimizer: torch.optim.Optimizer, change: Change) -> torch.optim.Optimizer:
    """A fork's optimizer with the change's settings."""
    if change.optimizer is not None:
        return change.optimizer(model)
    kind = type(optimizer).__name__
    factor = 1.0 if change.lr_factor is None else change.lr_factor
    schedules = getattr(optimizer, "schedules", [{} for _ in optimizer.param_groups])
    for group, scheduled in zip(optimizer.param_groups, schedules):
        for name in change.settings:
            if name not in group:
                known = ", ".join(key for key in group if key not in ("params", "param_names"))
                raise SettingError(f"{change.name}: {kind} has no setting {name!r}; it has {known}")
            scheduled.pop(name, None)
        group.update(change.settings)
        if factor == 1.0:
            continue
        if "lr" not in group:
            raise SettingError(f"{change.name}: {kind} has no learning rate")
        schedule = scheduled.get("lr")
        if isinstance(schedule, Schedule):  # it would set the rate again in the next step
            group["lr"] = by(_Times(schedule, factor))
        else:
            scheduled.pop("lr", None)
            group["lr"] = group["lr"] * factor
    return optimizer


@dataclass(frozen=True)
class _Times:
    schedule: Schedule
    factor: float

    def __call__(self, step: int) -> float:
        return self.factor * self.schedule(step)


@contextlib.contextmanager
def _clipped(optimizer: torch.optim.Optimizer, max_norm: float | None) -> Any:
    """Inside, gradients are clipped before each step, by the optimizer itself where it can."""
    if max_norm is None:
        yield
    elif hasattr(optimizer, "max_norm"):
        optimizer.max_norm = None if math.isinf(max_norm) else max_norm
        yield
    else:
        params = [p for group in optimizer.param_groups for p in group["params"]]
        handle = optimizer.register_step_pre_hook(lambda *_: _clip(params, max_norm))
        try:
            yield
        finally:
            handle.remove()


def _clip(params: list[torch.Tensor], max_norm: float) -> None:
    nn.utils.clip_grad_norm_(params, max_norm)
