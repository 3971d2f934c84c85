"""What kind of answer the task wants, found out by asking its own loss: classes, yes or no, or values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..training.data import Batch
from .context import Context, only_output
from .tree import Tensor, leaves

CLOSE = 1e-3  # how near a loss must be to a known value to be recognised


@dataclass(frozen=True)
class Fit:
    """`kind` is classes, binary, values or unknown; `dim` the output's dimension of classes, `classes` their number.

    `output` says what the outputs are (scores, log-probabilities, probabilities) and `wants` what the loss takes for
    them ("" where that is not clear). `blind` makes the output of a model that knows nothing but the targets' mean."""

    kind: str
    dim: int = 1
    classes: int = 0
    output: str = "scores"
    wants: str = ""
    blind: Callable[[Tensor, Tensor], Tensor] | None = None


def fit(context: Context) -> Fit:
    """Judge by one batch of a new model."""
    batch = context.few(64)
    with torch.no_grad():
        output = only_output(context.model()(batch[0])).double()
        found = leaves(batch[1])
        if len(found) != 1 or not output.is_floating_point():
            return Fit("unknown")
        return judge(context, output, found[0])


def judge(context: Context, output: Tensor, target: Tensor) -> Fit:
    """The kind of an output and its target."""

    def loss(values: Tensor, goal: Tensor = target) -> float:
        try:
            return float(context.task.loss(values.to(torch.get_default_dtype()), goal))
        except (RuntimeError, ValueError, IndexError, TypeError):
            return math.nan

    whole = not target.is_floating_point() and target.dtype is not torch.bool
    dims = class_dims(output, target) if whole else []
    if dims:
        dim = min(dims, key=lambda d: _hit(loss, output, target, d)) if len(dims) > 1 else dims[0]
        return _classes(loss, output, dim)
    if output.ndim > 1 and not whole and output.shape == target.shape and target.is_floating_point():
        sums = target.double().sum(1)
        if output.shape[1] > 1 and bool((target >= 0).all()) and torch.allclose(sums, torch.ones_like(sums), atol=1e-4):
            found = _classes(loss, output, 1)
            if found.wants:
                return found
    if output.numel() == target.numel():
        unit = bool(((target == 0) | (target == 1)).all())
        soft = target.is_floating_point() and bool(((target >= 0) & (target <= 1)).all())
        if unit or soft:
            scale = (1, output.numel())
            level, half = loss(torch.zeros_like(output)), loss(torch.full_like(output, 0.5))
            if any(abs(level / s - math.log(2)) < CLOSE for s in scale):
                return Fit("binary", output=_range(output), wants="scores", blind=lambda o, t: torch.zeros_like(o))
            if any(abs(half / s - math.log(2)) < CLOSE for s in scale):
                return Fit("binary", output=_range(output), wants="probabilities", blind=_halves)
    if target.is_floating_point() and output.numel() == target.numel():
        return Fit("values", blind=lambda o, t: t.double().mean(0, keepdim=True).expand_as(t).reshape(o.shape).to(o))
    return Fit("unknown")


def class_dims(output: Tensor, target: Tensor) -> list[int]:
    """Which dimensions of the output may be those of classes, for targets of whole numbers."""
    goals = [tuple(target.shape), (target.numel(),), tuple(target.squeeze().shape)]
    shapes = {d: tuple(n for i, n in enumerate(output.shape) if i != d) for d in range(1, output.ndim)}
    return [d for d, shape in shapes.items() if shape in goals and output.shape[d] > 1]


def _classes(loss: Callable[[Tensor], float], output: Tensor, dim: int) -> Fit:
    count = output.shape[dim]
    kind = _range(output, dim)
    zero, shifted = loss(torch.zeros_like(output)), loss(torch.full_like(output, -1.0))
    even = loss(torch.full_like(output, -math.log(count)))
    wants = ""
    if abs(zero - shifted) < CLOSE * max(1, abs(zero)) and zero > CLOSE:
        wants = "scores"
    elif abs(zero) < CLOSE and abs(even - math.log(count) * shifted) < CLOSE * max(1, abs(even)):
        wants = "log-probabilities"
    level = -math.log(count) if wants == "log-probabilities" else 0.0
    if not wants and kind == "probabilities":
        level = 1 / count
    return Fit("classes", dim, count, kind, wants, lambda o, t: torch.full_like(o, level))


def _halves(output: Tensor, target: Tensor) -> Tensor:
    return torch.full_like(output, 0.5)


def _range(output: Tensor, dim: int | None = None) -> str:
    """Whether outputs are probabilities or their logarithms already."""
    positive = bool((output >= 0).all())
    if dim is None:
        return "probabilities" if positive and bool((output <= 1).all()) else "scores"
    for name, sums in (("probabilities", output.sum(dim)), ("log-probabilities", output.exp().sum(dim))):
        if torch.allclose(sums, torch.ones_like(sums), atol=1e-4) and (positive or name != "probabilities"):
            return name
    return "scores"


def _hit(loss: Callable[[Tensor], float], output: Tensor, target: Tensor, dim: int) -> float:
    """The loss of outputs that are right if this is the dimension of classes."""
    zeros = torch.zeros_like(output)
    index = target.reshape([n for i, n in enumerate(output.shape) if i != dim]).unsqueeze(dim)
    return loss(zeros.scatter(dim, index.clamp(0, output.shape[dim] - 1), 10.0))


def blind_loss(context: Context, found: Fit, batch: Batch) -> float | None:
    """The loss of knowing nothing about the inputs, by the task's own loss."""
    if found.blind is None:
        return None
    with torch.no_grad():
        output = only_output(context.model()(batch[0]))
        target = leaves(batch[1])[0]
        return float(context.task.loss(found.blind(output, target), batch[1]))
