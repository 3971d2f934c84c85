"""The loop: one model, one optimizer, one seed, from start to finish."""

from __future__ import annotations

import contextlib
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Protocol

import torch

from .. import rng
from . import faults
from .callback import Callbacks
from .data import Batch, Data, Part
from .distributed import Team
from .order import Order
from .parallel import deferred, level_buffers, weighted
from .score import CPU, evaluate
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
        self.task, self.data, self.model, self.optimizer, self.order = task, data, model, optimizer, order
        self.epochs, self.batch_size, self.accumulate, self.exploded = epochs, batch, accumulate, exploded
        self.precision, self.penalty, self.device = precision, penalty, device
        self.moves = device.type != "cpu"
        self.team, self.forward = team, model if forward is None else forward
        self._wishes_stop = False  # of this process of a team; it stops when all know of it
        self.eval_epochs, self.eval_steps, self.best, self.keeper = eval_epochs, eval_steps, best, keeper
        self.callbacks = Callbacks(callbacks)
        self.scaler = torch.amp.GradScaler(device.type) if precision is torch.float16 else None
        self.records: list[dict[str, Any]] = []
        self.epoch = self.batch = self.step = 0
        self.loss = math.nan  # of the last step
        self.loss_sum, self.samples = 0.0, 0  # of this epoch
        self.limit = sys.float_info.max  # finite, so that an infinite loss is beyond it
        self.diverged_at: int | None = None
        self.stopped = self.interrupted = False
        self.seconds, self.name = 0.0, ""  # which one it is of several
        self._since = 0.0
        self._resume_rng: dict[str, Any] | None = None
        self._epoch_start: dict[str, Any] = {}

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
        self.restore_rng()
        if self.keeper is not None:
            self.keeper.save(self)

    @property
    def ended(self) -> bool:
        """Whether something has stopped it, or it has gone through its epochs."""
        enough = self.best is not None and self.best.enough
        return self.epoch >= self.epochs or self.stopped or enough or self.diverged_at is not None

    # ---- an epoch

    def _run_epoch(self) -> None:
        groups = self._groups()
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
            self._epoch_start = {}
        if self.diverged_at is None and self._is_due() and self.keeper is not None:
            self.keeper.save(self)

    def rows(self) -> torch.Tensor | None:
        """The rows of this epoch in their order, the same when it is asked for again; None for a DataLoader."""
        part = self.data.train
        if not self._epoch_start:
            self._epoch_start = {"order": self.order.generator.get_state()}
            if part.loader is not None:  # draws its order, and perhaps the samples themselves, from global state
                self._epoch_start |= {"rng": rng.capture(), "loader": _state(part.loader.generator)}
        else:
            self.order.generator.set_state(self._epoch_start["order"])
            if part.loader is not None:
                rng.restore(self._epoch_start["rng"])
                if part.loader.generator is not None:
                    part.loader.generator.set_state(self._epoch_start["loader"])
        rows = self.order.rows(self.epoch)
        self._epoch_rows = 0 if rows is None else len(rows)
        return rows

    def _groups(self) -> Iterator[tuple[Batch, ...]]:
        """The batches of each step that is left of this epoch."""
        part, skip, rows = self.data.train, self.batch, self.rows()
        share = None if self.team is None else self.team.share
        batches = part.batches(self.batch_size, rows, 0 if part.loader is not None else skip, share)
        if part.loader is not None:
            for _ in range(skip):
                next(batches)
        self.restore_rng()
        if self.accumulate == 1:
            return ((batch,) for batch in batches)
        return iter(lambda: tuple(islice(batches, self.accumulate)), ())

    def restore_rng(self) -> None:
        """What was drawn until the state was saved has been drawn."""
        if self._resume_rng is not None:
            rng.restore(self._resume_rng)
            self._resume_rng = None

    # ---- a step

    def _take(self, group: tuple[Batch, ...]) -> bool:
        """One step on the mean over a group of batches; False if its loss is beyond the limit, and nothing stepped."""
        self.optimizer.zero_grad()
        sizes = [faults.size(*batch) for batch in group] if self.team is None else self._sizes(len(group))
        total, mean = sum(sizes), 0.0
        for place, ((inputs, targets), size) in enumerate(zip(group, sizes)):
            if self.moves:
                inputs, targets = faults.moved(inputs, self.device), faults.moved(targets, self.device)
            with _AT_ONCE if self.team is None or place + 1 == len(group) else deferred(self.forward):
                value = self._gradient(inputs, targets, size, total)
            mean += value * size
            if not value <= self.limit:
                self.diverge(value, inputs, targets)
                return False
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        self.took(mean, total, len(group))
        return True

    def took(self, loss_sum: float, samples: int, batches: int = 1) -> None:
        """Count a step of the optimizer on so many samples, whose losses have this sum."""
        self.loss = loss_sum / samples
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

    def _gradient(self, inputs: Any, targets: Any, size: int, total: int) -> float:
        """The loss of a batch; unless it is beyond the limit, its gradient is added, by its size in the total."""
        loss = self._first_loss(inputs, targets) if self.step == 0 else self._loss(inputs, targets)
        value = loss.item()
        if self.team is not None:
            value, loss = weighted(self.team, value, loss, size)
        if value <= self.limit:
            if self.penalty is not None:
                loss = loss + self.penalty(self.model)
            if size != total:
                loss = loss * (size / total)
            try:
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
            except RuntimeError as error:
                raise faults.backward_failed(self.task, error) from error
        return value

    def _sizes(self, count: int) -> list[int]:
        """The sizes of the next batches, of all processes together."""
        size = self.batch_size or self._epoch_rows
        return [min(size, self._epoch_rows - size * (self.batch + i)) for i in range(count)]

    def _loss(self, inputs: Any, targets: Any) -> torch.Tensor:
        output = None
        try:
            if self.precision is None:
                output = self.forward(inputs)
                return self.task.loss(output, targets)
            with torch.autocast(self.device.type, self.precision):
                output = self.forward(inputs)
                return self.task.loss(output, targets)
        except Exception as error:
            if output is None:
                raise faults.model_failed(self.task, self.data.train, inputs, error) from error
            raise faults.loss_failed(self.task, self.data.train, output, targets, error) from error

    def _first_loss(self, inputs: Any, targets: Any) -> torch.Tensor:
        """The first is looked at more closely: torch only warns of an output and target that it must broadcast."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size")
            loss = self._loss(inputs, targets)
        faults.check_loss(self.task, loss)
        return loss

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
            "epoch_start": self._epoch_start,
            "order": self.order.generator.get_state(),
            "loader": _state(self.data.train.loader.generator) if self.data.train.loader is not None else None,
            "rng": rng.capture(),
            **({} if self.team is None else {"rngs": self.team.collected(rng.capture())}),
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
        self.order.generator.set_state(state["order"])
        if state["loader"] is not None:
            self.data.train.loader.generator.set_state(state["loader"])  # type: ignore[union-attr]
        self._epoch_start, self._resume_rng = state["epoch_start"], state["rng"]
        if self.team is not None:
            self._resume_rng = self.team.rng_of(state, self.step)
        if self.best is not None:
            self.best.load_state_dict(state["best"], best)
        self.records = records


_AT_ONCE = contextlib.nullcontext()


def _draws_of(part: Part) -> contextlib.AbstractContextManager[None]:
    """Inside, a DataLoader or dataset draws what it draws; for the training that comes after, it has drawn nothing."""
    return contextlib.nullcontext() if part.tensors is not None else rng.kept()


def _state(generator: torch.Generator | None) -> torch.Tensor | None:
    return None if generator is None else generator.get_state()
