"""One step of an optimizer: the gradient of the mean over a group of batches, and the update."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from . import faults
from .data import Batch, Part
from .distributed import Team
from .parallel import deferred, weighted
from .task import Task


@dataclass(frozen=True)
class Beyond:
    """A loss beyond the limit, and the batch that it is of."""

    loss: float
    inputs: Any
    targets: Any


class Stepper:
    """Takes steps on batches of a part of a task's data, which are moved to the `device`.

    `precision` is the type to autocast to; in float16 a `scaler` finds the scale of the loss. `penalty` adds to what is
    minimised, not to the loss that is reported. The processes of a `team` sum up their shares, through `forward`."""

    def __init__(
        self,
        task: Task,
        part: Part,
        model: torch.nn.Module,
        optimizer: torch.optim.Optimizer,
        precision: torch.dtype | None,
        penalty: Callable[[torch.nn.Module], torch.Tensor] | None,
        device: torch.device,
        team: Team | None,
        forward: torch.nn.Module,
    ):
        self.task, self.part, self.model, self.optimizer = task, part, model, optimizer
        self.precision, self.penalty, self.device = precision, penalty, device
        self.moves = device.type != "cpu"
        self.team, self.forward = team, forward
        self.scaler = torch.amp.GradScaler(device.type) if precision is torch.float16 else None

    def take(self, group: Sequence[Batch], sizes: Sequence[int], limit: float, first: bool) -> float | Beyond:
        """One step on the mean over batches of these sizes: the sum of the losses of their samples. A loss beyond the
        limit ends it, and nothing steps. The `first` of a run is looked at more closely."""
        self.optimizer.zero_grad()
        total, loss_sum = sum(sizes), 0.0
        for place, ((inputs, targets), size) in enumerate(zip(group, sizes)):
            if self.moves:
                inputs, targets = faults.moved(inputs, self.device), faults.moved(targets, self.device)
            with _AT_ONCE if self.team is None or place + 1 == len(group) else deferred(self.forward):
                value = self._gradient(inputs, targets, size, total, limit, first)
            loss_sum += value * size
            if not value <= limit:
                return Beyond(value, inputs, targets)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
        return loss_sum

    def _gradient(self, inputs: Any, targets: Any, size: int, total: int, limit: float, first: bool) -> float:
        """The loss of a batch; unless it is beyond the limit, its gradient is added, by its size in the total."""
        loss = self._first_loss(inputs, targets) if first else self._loss(inputs, targets)
        value = loss.item()
        if self.team is not None:
            value, loss = weighted(self.team, value, loss, size)
        if value <= limit:
            if self.penalty is not None:
                loss = loss + self.penalty(self.model)
            if size != total:
                loss = loss * (size / total)
            try:
                (loss if self.scaler is None else self.scaler.scale(loss)).backward()  # type: ignore[no-untyped-call]
            except RuntimeError as error:
                raise faults.backward_failed(self.task, error) from error
        return value

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
                raise faults.model_failed(self.task, self.part, inputs, error) from error
            raise faults.loss_failed(self.task, self.part, output, targets, error) from error

    def _first_loss(self, inputs: Any, targets: Any) -> torch.Tensor:
        """torch only warns of an output and target that it must broadcast."""
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Using a target size")
            loss = self._loss(inputs, targets)
        faults.check_loss(self.task, loss)
        return loss


_AT_ONCE = contextlib.nullcontext()
