"""`downslope.watch`: looks on as any loop trains, at a cost that is set, and says what is wrong."""

from __future__ import annotations

import math
import weakref
from typing import Any

import torch
from torch import nn

from ..errors import SettingError
from .finding import Report
from .follow import Follower
from .forensics import inquire
from .probes.schedulers import schedulers

_open: weakref.WeakKeyDictionary[Any, weakref.ref[Follower]] = weakref.WeakKeyDictionary()


def watch(model: nn.Module, optimizer: torch.optim.Optimizer, budget: float = 0.02, loss: Any = None) -> Watch:
    """Watch a model and its optimizer as any loop trains them; `report()` says what is wrong.

    `budget` is the part of the step time that watching may cost, measured on the processor (0.02 by default; 1 looks
    closely at every step). `loss`, a module such as `nn.CrossEntropyLoss()`, lets it see validation losses too; without
    it, tell them by `validation(value)`. Weights, random numbers, batch-norm statistics and optimizer states stay
    bitwise those of a run that nobody watches. A probe that fails switches itself off and says so in the report.

    Raises SettingError for a model without parameters, an optimizer of another model, one that is watched already, or
    a budget that is no positive number."""
    return Watch(model, optimizer, budget, loss)


class Watch:
    """One model and optimizer under watch; made by `watch`. A context manager: it closes at the end of the block."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, budget: float = 0.02, loss: Any = None):
        _check(model, optimizer, budget, loss)
        self._follower = Follower(_bare(model), optimizer, float(budget), loss)
        self.signals = self._follower.signals
        self.signals.trial, self.signals.inquest = self._rates, self._inquest
        _open[optimizer] = weakref.ref(self._follower)

    def report(self) -> Report:
        """What is wrong so far, worst first; may be asked at any time, and after a crash in the loop.

        Where a suspicion can be tested by short forked runs they are made now, on copies: some seconds."""
        from .findings import judge

        seen, s = self._follower, self.signals
        seen.guard.paused = True
        seen.trial.answers.clear()
        try:
            self._state()
            found, failed = judge(s)
            notes = [*seen.guard.notes, *self._notes(), *failed]
        finally:
            seen.guard.paused = False
        return Report(found, s.steps, seen.guard.budget.overhead, seen.guard.budget.allowed, notes)

    def validation(self, loss: float | torch.Tensor) -> None:
        """Tell the loss on the validation data, after it was scored: what overfitting is judged by."""
        self._follower.tell_validation(float(loss))

    def loss(self, value: float | torch.Tensor) -> None:
        """Tell the loss of this step, where it cannot be seen (no backward of torch's) or is scaled."""
        self._follower.tell_loss(float(value))

    def refused(self, loss: float | torch.Tensor) -> None:
        """Tell the loss of a last batch from which no step was taken, as it was infinite or out of bounds."""
        self._follower.refused(float(loss))

    def close(self) -> None:
        """Take all hooks away. What was seen stays; `report()` may be called after."""
        if not self._follower.guard.closed:
            self._follower.close()
        _open.pop(self._follower.optimizer, None)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def _state(self) -> None:
        """How weights and schedulers stand now."""
        seen, s = self._follower, self.signals
        held = [p.detach() for p in seen.tensors]
        s.facts["schedulers"] = schedulers(seen.optimizer)
        s.facts["versions_now"] = [p._version for p in seen.tensors]
        s.facts["alike_now"] = [q.alike and bool((p == p[:1]).all()) for p, q in zip(held, s.parameters)]
        s.facts["std_now"] = [float(p.float().std()) if p.numel() > 1 else 0.0 for p in held]
        s.facts["mean_now"] = [float(p.float().mean()) if p.numel() else 0.0 for p in held]

    def _rates(self, factors: tuple[float, ...]) -> Any:
        try:
            return self._follower.trial.rates(factors)
        except Exception as error:
            self._follower.guard.note(f"forked runs failed ({type(error).__name__}: {error})")
            return None

    def _inquest(self, step: int) -> Any:
        seen = self._follower
        if seen.ring.spike is None or seen.ring.spike.step != step:
            return "the steps before it were not kept" if seen.ring.usable else "a copy of the model is too large"
        try:
            return inquire(seen.ring.spike, seen.model, seen.optimizer, self.signals.clipped_to())
        except Exception as error:
            return f"{type(error).__name__}: {error}"

    def _notes(self) -> list[str]:
        from .findings.noise import note

        s = self.signals
        found = []
        if s.steps and not s.counts["seen_backward"]:
            found.append("no backward pass was seen, so that losses are not known; tell them by watch.loss(value)")
        elif s.steps and not s.losses:
            found.append("the loss is none that is known by its graph: nothing is said of targets and predictions")
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, size = torch.distributed.get_rank(), torch.distributed.get_world_size()
            found.append(f"process {rank} of {size}: losses and batches are those of its own share")
        words = note(s)
        return [*found, words] if words else found


def _bare(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel: its forks and replays must not wait for other processes."""
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    return model.module if isinstance(model, wrappers) else model


def _check(model: Any, optimizer: Any, budget: Any, loss: Any) -> None:
    if not isinstance(model, nn.Module):
        raise SettingError(f"watch: the model is a {type(model).__name__}; give a torch.nn.Module")
    if not isinstance(optimizer, torch.optim.Optimizer):
        kind = type(optimizer).__name__
        raise SettingError(f"watch: the optimizer is a {kind}; give a torch.optim.Optimizer, the one inside a wrapper")
    if not next(model.parameters(), None) is not None:
        raise SettingError(f"watch: {type(model).__name__} has no parameters; there is nothing to train")
    if isinstance(budget, bool) or not isinstance(budget, int | float) or not 0 < budget < math.inf:
        raise SettingError(f"watch: budget is {budget!r}; give a part of the step time above 0, such as 0.02")
    own = {id(p) for p in model.parameters()}
    if not any(id(p) in own for g in optimizer.param_groups for p in g["params"]):
        raise SettingError(
            "watch: the optimizer has no parameter of this model; make it from model.parameters(), after the model is "
            "moved or wrapped"
        )
    if loss is not None and not isinstance(loss, nn.Module):
        raise SettingError(f"watch: loss is {loss!r}; give the loss module, such as nn.CrossEntropyLoss()")
    before = _open.get(optimizer)
    if before is not None and before() is not None:
        raise SettingError("watch: this optimizer is watched already; close() that watch first")
