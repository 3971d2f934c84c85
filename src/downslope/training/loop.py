"""The loop: one model, one optimizer, one seed, from start to finish."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

import torch

from .. import rng
from . import faults
from .callback import Callbacks
from .data import Batch, Data, Part
from .distributed import Team
from .order import Order
from .parallel import level_buffers
from .passes import Passes
from .score import CPU, evaluate
from .stepper import Beyond, Stepper
from .stopping import Best
from .task import Task


class Keeper(Protocol):
    """What writes a run down: its records at once, its state when `due` says so or it ends."""

    def record(self, loop: Loop, record: dict[str, Any]) -> None: ...
    def due(self) -> bool: ...
    def save(self, loop: Loop) -> None: ...


class Loop:
    """A run and its state. `run()` goes on from wherever it is; `state_dict()` is all it takes to go on later.

    `epoch`, `batch` (in that epoch) and `step` say how far it is. It ends after `epochs`, when `best` has waited long
    enough, at the step whose loss is not finite or is `exploded` times the first (`diverged_at`), or after `stop()`.
    A step is one of the optimizer's, on the mean over `accumulate` batches. `precision` is the type to autocast to,
    `penalty` adds to the loss that is minimised and not to the loss that is reported. The processes of a `team` each
    take their share of every batch, through `forward`, and decide alike.
    """

    def __init__(
        self,
        task: Task,
        data: Data,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        order: Order,
        *,
        epochs: int,
        batch: int | None,
        accumulate: int = 1,
        exploded: float = math.inf,
        precision: torch.dtype | None = None,
        penalty: Callable[[torch.nn.Module], torch.Tensor] | None = None,
        eval_epochs: int = 1,
        eval_steps: int | None = None,
        best: Best | None = None,
        callbacks: Iterable[Any] = (),
        keeper: Keeper | None = None,
        device: torch.device = CPU,
        team: Team | None = None,
        forward: torch.nn.Module | None = None,
    ):
        self.task, self.data, self.model, self.optimizer = task, data, model, optimizer
        self.epochs, self.batch_size, self.accumulate, self.exploded = epochs, batch, accumulate, exploded
        self.precision, self.penalty, self.device = precision, penalty, device
        self.team, self.forward = team, model if forward is None else forward
        self._wishes_stop = False  # of this process of a team; it stops when all know of it
        self.eval_epochs, self.eval_steps, self.best, self.keeper = eval_epochs, eval_steps, best, keeper
        self.callbacks = Callbacks(callbacks)
        self.passes = Passes(data.train, order, batch, accumulate, team)
        self.stepper = Stepper(task, data.train, model, optimizer, precision, penalty, device, team, self.forward)
        self.scaler = self.stepper.scaler
        self.records: list[dict[str, Any]] = []
        self.epoch = self.batch = self.step = 0
        self.loss = math.nan  # of the last step
        self.loss_sum, self.samples = 0.0, 0  # of this epoch
        self.limit = sys.float_info.max  # finite, so that an infinite loss is beyond it
        self.diverged_at: int | None = None
        self.stopped = self.interrupted = False
        self.seconds, self.name = 0.0, ""  # which one it is of several
        self.losses: Any = None  # a list of them, of all steps, for who asks for them
        self._since = 0.0

    def stop(self) -> None:
        """End the run after the step that is being taken."""
        if self.team is None:
            self.stopped = True
        self._wishes_stop = True

    def run(self) -> None:
        """Train to the end, or to where something stops it."""
        for tell in self.callbacks.on_start:
            tell(self)
        while not self.ended:
            self._run_epoch()
        self.passes.restore_rng()
        if self.keeper is not None:
            self.keeper.save(self)

    @property
    def ended(self) -> bool:
        """Whether something has stopped it, or it has gone through its epochs."""
        enough = self.best is not None and self.best.enough
        return self.epoch >= self.epochs or self.stopped or enough or self.diverged_at is not None

    # ---- an epoch

    def _run_epoch(self) -> None:
        groups = self.passes.groups(self.epoch, self.batch)
        self.model.train()
        self._since = time.perf_counter()
        for group in groups:
            if not self._take(group):
                break
            if self.callbacks.on_step:
                for tell in self.callbacks.on_step:
                    tell(self)
            if self.eval_steps is not None and self.step % self.eval_steps == 0:
                self._clock()
                self.evaluation("evaluation")
                self.model.train()
                self._since = time.perf_counter()
            if self._is_due() and not self.stopped:
                self._clock()
                self.keeper.save(self)  # type: ignore[union-attr]
                self._since = time.perf_counter()
            if self.ended:
                break
        else:
            self._clock()
            return self.end_epoch()
        self._clock()
        if self.diverged_at is not None:
            self.emit({"event": "diverged", **self.where(), "train_loss": None})

    def _is_due(self) -> bool:
        """Whether to save. The processes of a team agree on that, and on whether one of them wishes to stop."""
        due = self.keeper is not None and not self.stopped and self.keeper.due()
        if self.team is None:
            return due
        stop, due_somewhere = self.team.total(self._wishes_stop, due)
        self.stopped = self.stopped or stop > 0
        return due_somewhere > 0

    def _clock(self) -> None:
        self.seconds += time.perf_counter() - self._since

    def end_epoch(self) -> None:
        """Score and record, as asked for; the next epoch is the one to go on with."""
        for tell in self.callbacks.on_epoch:
            tell(self)
        last = self.epoch + 1 == self.epochs
        scored = self.eval_steps is None and ((self.epoch + 1) % self.eval_epochs == 0 or last)
        if scored:
            self.evaluation("epoch")
        else:
            self.emit(self._progress("epoch"))
        if self.diverged_at is None:
            self.epoch, self.batch = self.epoch + 1, 0
            self.loss_sum, self.samples = 0.0, 0
            self.passes.end()
        if self.diverged_at is None and self._is_due() and self.keeper is not None:
            self.keeper.save(self)

    # ---- a step

    def _take(self, group: tuple[Batch, ...]) -> bool:
        """One step on the mean over a group of batches; False if its loss is beyond the limit, and nothing stepped."""
        alone = self.team is None
        sizes = [faults.size(*batch) for batch in group] if alone else self.passes.sizes(self.batch, len(group))
        taken = self.stepper.take(group, sizes, self.limit, first=self.step == 0)
        if isinstance(taken, Beyond):
            self.diverge(taken.loss, taken.inputs, taken.targets)
            return False
        self.took(taken, sum(sizes), len(group))
        return True

    def took(self, loss_sum: float, samples: int, batches: int = 1) -> None:
        """Count a step of the optimizer on so many samples, whose losses have this sum."""
        self.loss = loss_sum / samples
        if self.losses is not None:
            self.losses.append(self.loss)
        if self.step == 0:
            self.limit = min(self.limit, self.exploded * self.loss)
        self.loss_sum += loss_sum
        self.samples += samples
        self.batch += batches
        self.step += 1

    def diverge(self, value: float, inputs: Any, targets: Any) -> None:
        """End here, at a loss that is beyond the limit. Raises RunError where the data are to blame."""
        check = partial(faults.check_finite, self.data.train, inputs, targets)
        check() if self.team is None else self.team.all_raise(check)
        self.loss, self.diverged_at = value, self.step

    # ---- scores and records

    def average(self) -> contextlib.AbstractContextManager[None]:
        """Inside, the model has the weights it is to be scored with: their average, if the optimizer keeps one."""
        if not getattr(self.optimizer, "scores_elsewhere", False):
            return contextlib.nullcontext()
        return self.optimizer.scoring()  # type: ignore[attr-defined, no-any-return]

    def score(self, part: Part) -> tuple[float, float | None]:
        """Loss and metric of the model as it is; the same numbers in all processes."""
        if self.team is not None:
            level_buffers(self.model)
        shares = self.team is not None and self.forward is not self.model  # a model in parts runs in all at once
        return evaluate(self.task, self.model, part, device=self.device, team=self.team if shares else None)

    def evaluation(self, event: str) -> None:
        """Score on the validation data and record it."""
        record = self._progress(event)
        if self.data.validation is not None:
            with self.average(), _draws_of(self.data.validation):
                loss, metric = self.score(self.data.validation)
                if not math.isfinite(loss):
                    self.diverged_at = self.step
                    return self.emit({"event": "diverged", **self.where(), "train_loss": record["train_loss"]})
                if self.best is not None:
                    self.best.update(loss, metric, self.model, self.step)
            record |= {"validation_loss": loss, "validation_metric": metric}
            for schedules in getattr(self.optimizer, "schedules", ()):
                for schedule in schedules.values():
                    if hasattr(schedule, "update"):
                        schedule.update(metric if schedule.settings.mode == "max" and metric is not None else loss)
        self.emit(record)

    def where(self) -> dict[str, Any]:
        return {"epoch": self.epoch + 1, "step": self.step}

    def _progress(self, event: str) -> dict[str, Any]:
        lr = self.optimizer.param_groups[0].get("lr")
        return {
            "event": event,
            **self.where(),
            "train_loss": self.loss_sum / self.samples if self.samples else None,
            "lr": None if lr is None else float(lr),
            "seconds": round(self.seconds, 4),
        }

    def emit(self, record: dict[str, Any]) -> None:
        """Add a line to the records."""
        record = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in record.items()}  # JSON
        self.records.append(record)
        if self.keeper is not None:
            self.keeper.record(self, record)
        for tell in self.callbacks.on_record:
            tell(self, record)

    # ---- state

    POSITION = ("epoch", "batch", "step", "loss", "loss_sum", "samples", "limit", "seconds")

    def state_dict(self) -> dict[str, Any]:
        """Tensors, numbers, strings, lists and dictionaries only; the best weights are apart."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "position": {name: getattr(self, name) for name in self.POSITION},
            **self.passes.state_dict(),
            "best": None if self.best is None else self.best.state_dict(),
            "records": len(self.records),
        }

    def load_state_dict(
        self, state: dict[str, Any], records: list[dict[str, Any]], best: dict[str, Any] | None
    ) -> None:
        """Go on from a state, with the records until then and the best weights. The model and the optimizer must be
        made the same way; they raise what does not fit."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None:
            self.scaler.load_state_dict(state["scaler"])
        for name, value in state["position"].items():
            setattr(self, name, value)
        self.passes.load_state_dict(state, self.step)
        if self.best is not None:
            self.best.load_state_dict(state["best"], best)
        self.records = records


def _draws_of(part: Part) -> contextlib.AbstractContextManager[None]:
    """Inside, a DataLoader or dataset draws what it draws; for the training that comes after, it has drawn nothing."""
    return contextlib.nullcontext() if part.tensors is not None else rng.kept()
