"""Each gradient is consumed and freed as the backward pass produces it: no time has all of them in memory."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from ..errors import SettingError, StateError
from . import around
from .device import DeviceBatch
from .sharding import is_shared
from .states import name_of

if TYPE_CHECKING:
    from .base import Optimizer


def fuse_backward(optimizer: Optimizer) -> FusedBackward:
    """Have an optimizer's step taken in the backward pass, parameter by parameter; gradients are gone afterwards.

    ```python
    fused = fuse_backward(optimizer)
    for x, y in batches:
        loss(model(x), y).backward()  # updates and frees each gradient as soon as it is there
        optimizer.step()              # counts the step, for schedules; updates what still has a gradient
    ```

    Saves the memory of all gradients but the largest. Costs a native call for each parameter instead of one for all,
    about 20 us each. Everything around a formula works that needs one gradient at a time: clipping by value, weight
    decay, averages, schedules, `cautious`. To sum gradients over several batches, all but the last backward pass go
    into `with fused.accumulate():`; they keep their gradients. `fused.remove()` undoes it.

    Raises SettingError for what needs all gradients before the first update: `max_norm`, `skip_nonfinite`, rules with
    numbers over all tensors, and models copied to several processes (DistributedDataParallel averages gradients after
    this would have consumed them; FSDP2's parts work). Raises StateError in a second backward pass without a step in
    between, and for GradScaler, which knows only at the end whether the gradients count.
    """
    return FusedBackward(optimizer)


class FusedBackward:
    """What `fuse_backward` has put on an optimizer's parameters."""

    def __init__(self, optimizer: Optimizer):
        self._check(optimizer)
        self._optimizer = optimizer
        self._batches: dict[torch.Tensor, Any] = {}
        self._places: dict[torch.Tensor, int] = {}
        self._done: set[torch.Tensor] = set()
        self._waiting = False
        params = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        self._hooks: list[Any] = [p.register_post_accumulate_grad_hook(self._consume) for p in params]
        self._hooks.append(optimizer.register_step_pre_hook(self._before_step))
        self._hooks.append(optimizer.register_step_post_hook(self._after_step))

    def remove(self) -> None:
        """Leave gradients to `step()` again."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()

    @contextlib.contextmanager
    def accumulate(self) -> Iterator[None]:
        """Backward passes inside keep their gradients, which add up; the next one outside consumes the sums."""
        before, self._waiting = self._waiting, True
        try:
            yield
        finally:
            self._waiting = before

    @staticmethod
    def _check(optimizer: Optimizer) -> None:
        kind = type(optimizer).__name__
        needs_all = {
            "max_norm": "the global norm is known when the last gradient is there, and the first ones are consumed by "
            "then; clip_value clips each element by itself",
            "skip_nonfinite": "whether all gradients are finite is known when the last one is there",
        }
        for name, why in needs_all.items():
            if getattr(optimizer, name):
                raise SettingError(f"fuse_backward: {kind} has {name}={getattr(optimizer, name)!r}, and {why}")
        for group in optimizer.param_groups:
            if group.get("differentiable"):
                raise SettingError(f"fuse_backward: {kind} is differentiable, and needs its gradients afterwards")
            for plan in optimizer._plans(group):
                if any(n.op == "overall" for n in plan.graph.nodes):
                    raise SettingError(
                        f"fuse_backward: {plan.graph.name} sums over all tensors before it moves the first"
                    )
            copied = torch.distributed.is_available() and torch.distributed.is_initialized()
            if copied and torch.distributed.get_world_size() > 1 and not all(map(is_shared, group["params"])):
                raise SettingError(
                    "fuse_backward: several processes, and parameters that are no DTensors: their gradients would be "
                    "consumed before they are averaged; shard the model with FSDP2 (fully_shard)"
                )

    def _consume(self, param: torch.Tensor) -> None:
        """Update a parameter whose gradient has just been accumulated, and let the gradient go."""
        if self._waiting:
            return
        optimizer = self._optimizer
        if param in self._done:
            raise StateError(
                f"fuse_backward: {name_of(optimizer.param_groups, param)} got a second gradient before step(); call "
                "step() after each backward pass, or have all but the last one in `with fused.accumulate():`"
            )
        with torch.no_grad():
            if not self._done:
                self._check(optimizer)
                optimizer._check_not_swapped("the next step")
                optimizer._follow()
            grads = [param.grad]
            batch = self._batch(param, grads)
            batch.take(grads)
            there = isinstance(batch, DeviceBatch)
            batch.run(batch.options(optimizer) if there else around.options(optimizer, batch))
        self._done.add(param)
        param.grad = None

    def _batch(self, param: torch.Tensor, grads: list[Any]) -> Any:
        optimizer = self._optimizer
        plans = [optimizer._plans(group) for group in optimizer.param_groups]
        state = optimizer.state[param]
        found = self._batches.get(param)
        if found is not None:
            batch, made_for, held, numbers = found
            same_numbers = all(state.get(name) is value for name, value in numbers.items())
            if made_for == plans and held is state and same_numbers and batch.fits(grads):
                return batch
        flat = [p for group in optimizer.param_groups for p in group["params"]]
        place = next(i for i, p in enumerate(flat) if p is param)
        batch = optimizer._build(flat, [place], plans, grads)
        state = optimizer.state[param]
        names = dict.fromkeys(["step", *(n for both in plans for plan in both for n in plan.numbers)])
        self._batches[param] = batch, plans, state, {n: state[n] for n in names if n in state}
        return batch

    def _before_step(self, optimizer: Any, *_: Any) -> None:
        if getattr(optimizer, "grad_scale", None) is not None or getattr(optimizer, "found_inf", None) is not None:
            raise StateError(
                "fuse_backward: GradScaler tells after the backward pass what to divide the gradients by, and they are "
                "consumed by then; train in bfloat16, which needs no scaling"
            )

    def _after_step(self, *_: Any) -> None:
        self._done.clear()
