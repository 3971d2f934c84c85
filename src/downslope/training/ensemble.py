"""Several trained models as one: their predictions averaged, scored beside their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..errors import RunError, SettingError, nearest
from ..modes import evaluating
from .data import Part
from .task import Task


@dataclass(frozen=True)
class Score:
    """Means over the samples of a part; no metric where the task has none."""

    loss: float
    metric: float | None = None


@dataclass(frozen=True)
class Scores:
    """Of each model alone, in their order, and of the averaged prediction; `kind` says how it was averaged."""

    single: tuple[Score, ...]
    average: Score
    kind: str


def _softmax(outputs: torch.Tensor) -> torch.Tensor:
    """The logarithm of the mean probability: what a softmax turns into that probability again."""
    return outputs.log_softmax(2).logsumexp(0) - math.log(len(outputs))


def _sigmoid(outputs: torch.Tensor) -> torch.Tensor:
    """The log-odds of the mean probability, without rounding it near 0 or 1."""
    return F.logsigmoid(outputs).logsumexp(0) - F.logsigmoid(-outputs).logsumexp(0)


AVERAGES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "softmax": _softmax,
    "sigmoid": _sigmoid,
    "mean": lambda outputs: outputs.mean(0),
}
"""Outputs of all models (members, samples, ...) -> one output, of the kind that loss and metric take."""


@torch.no_grad()
def scores(
    models: Sequence[nn.Module], task: Task, part: Part, batch: int | None = None, *, kind: str | None = None
) -> Scores:
    """Loss and metric of each model and of their averaged prediction, in evaluation mode.

    Where outputs are scores of classes, the probabilities are averaged and given to loss and metric as their
    logarithms, which is the same in other words; else the outputs themselves (Lakshminarayanan et al. 2017,
    arXiv:1612.01474, section 2.4). The averaged probability's cross-entropy, and the averaged output's squared error,
    is never above the mean of the single ones (Jensen). Which one it is, the task's loss shows on the first batch:

    - `softmax`: adding a number to all classes of a sample, dimension 1, does not change the loss, as in cross-entropy,
      or the outputs are log-probabilities already, as for `nll_loss`;
    - `sigmoid`: outputs z have the shape of the targets, and the loss for targets 1 is that for 0 minus the mean z, as
      in binary cross-entropy with logits;
    - `mean`: all others, regression and outputs that are probabilities.

    `kind` says it instead, for a loss that shows something else, such as a weighted one. `batch` samples are taken at
    a time, all at once by default; a DataLoader has its own. Costs a forward pass and the outputs of one batch per
    model. Raises RunError for no model, and for outputs that are not tensors of the same shape.
    """
    if kind is not None and kind not in AVERAGES:
        raise SettingError(f"ensemble: unknown kind {kind!r}; {nearest(str(kind), AVERAGES)}")
    if not models:
        raise RunError(f"{task.name}: an ensemble needs at least one model, got none")
    sums: list[list[tuple[float, float | None]]] = []
    sizes = []
    with evaluating(*models):
        for inputs, targets in part.batches(batch):
            outputs = [model(inputs) for model in models]
            _check(task, outputs)
            kind = kind or _kind(task, outputs[0], targets)
            average = AVERAGES[kind](torch.stack(outputs))
            sizes.append(len(targets))
            sums.append([_score(task, output, targets) for output in (*outputs, average)])
    *single, together = (_mean(column, sizes) for column in zip(*sums))
    return Scores(tuple(single), together, str(kind))


def _check(task: Task, outputs: list[Any]) -> None:
    for place, output in enumerate(outputs):
        if not isinstance(output, torch.Tensor):
            raise RunError(
                f"{task.name}: model {place} returns {type(output).__name__}; only tensors can be averaged over models"
            )
        if output.shape != outputs[0].shape:
            raise RunError(
                f"{task.name}: model {place} returns shape {list(output.shape)} and model 0 "
                f"{list(outputs[0].shape)}; an ensemble's models answer in the same form"
            )


def _kind(task: Task, output: torch.Tensor, target: Any) -> str:
    if output.min() >= 0 and output.max() <= 1:  # perhaps probabilities; a GPU does not survive a loss's complaint
        output, target = output.cpu(), target.cpu() if isinstance(target, torch.Tensor) else target

    def loss_of(output: torch.Tensor, target: Any) -> torch.Tensor:
        try:
            return task.loss(output, target)
        except Exception:  # not what this loss takes, so not the same
            return torch.tensor(math.nan)

    loss = loss_of(output, target)
    if output.ndim >= 2 and output.size(1) >= 2 and output.is_floating_point():
        shift = torch.arange(1, len(output) + 1, dtype=output.dtype, device=output.device).remainder(3) - 1.5
        shifted = output + shift.view(-1, *[1] * (output.ndim - 1))
        total = output.logsumexp(1)
        if _same(loss_of(shifted, target), loss) or _same(total, torch.zeros_like(total)):
            return "softmax"
    if isinstance(target, torch.Tensor) and target.shape == output.shape and target.is_floating_point():
        zeros, ones = torch.zeros_like(target), torch.ones_like(target)
        if _same(loss_of(output, zeros) - loss_of(output, ones), output.mean()):
            return "sigmoid"
    return "mean"


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return torch.allclose(a.double(), b.double(), rtol=1e-4, atol=1e-5)


def _score(task: Task, output: torch.Tensor, target: Any) -> tuple[float, float | None]:
    return float(task.loss(output, target)), None if task.metric is None else float(task.metric(output, target))


def _mean(column: Sequence[tuple[float, float | None]], sizes: list[int]) -> Score:
    loss, metric = (
        None if values[0] is None else math.fsum(v * n for v, n in zip(values, sizes)) / sum(sizes)
        for values in zip(*column)
    )
    return Score(loss, metric)  # type: ignore[arg-type]
