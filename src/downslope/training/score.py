"""How good a model is on a part of the data."""

from __future__ import annotations

import math

import torch

from ..errors import RunError
from . import faults
from .data import Part
from .distributed import Team
from .task import Task

ROWS = 1024  # scored at once
CPU = torch.device("cpu")


@torch.no_grad()
def evaluate(
    task: Task,
    model: torch.nn.Module,
    part: Part,
    *,
    rows: int = ROWS,
    device: torch.device = CPU,
    team: Team | None = None,
) -> tuple[float, float | None]:
    """Loss and metric over a part of the data, in evaluation mode: the means over all samples, `rows` at once.

    The metric is None for a task without one. Each process of a `team` scores its turn of the batches, and all get the
    same numbers."""
    model.eval()
    losses, metrics, total = 0.0, 0.0, 0.0
    for place, (inputs, targets) in enumerate(part.batches(rows)):
        if team is not None and place % team.size != team.rank:
            continue
        if device.type != "cpu":
            inputs, targets = faults.moved(inputs, device), faults.moved(targets, device)
        size = faults.size(inputs, targets)
        try:
            output = model(inputs)
        except Exception as error:
            raise faults.model_failed(task, part, inputs, error) from error
        name = "loss"
        try:
            loss = float(task.loss(output, targets))
            name = "metric"
            metrics += 0.0 if task.metric is None else float(task.metric(output, targets)) * size
        except Exception as error:
            raise faults.loss_failed(task, part, output, targets, error, name) from error
        if not math.isfinite(loss):
            faults.check_finite(part, inputs, targets)
        losses += loss * size
        total += size
    if team is not None:
        losses, metrics, total = team.total(losses, metrics, total)
    if total == 0:
        raise RunError(f"{part.where}: its DataLoader gave no batch")
    return losses / total, None if task.metric is None else metrics / total
