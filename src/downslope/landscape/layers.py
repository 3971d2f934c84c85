"""What each layer makes of the data: hidden representations in two dimensions, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import RunError
from ..training.data import Batch
from ..training.task import Task

CLASSES = 10  # more colours than eyes tell apart are not drawn
PROBE = 1e-3


@dataclass(frozen=True)
class Bend:
    """What a layer makes of the samples: its name, how wide it is, `points` (N, 2) in the plane of their two principal
    components, `explained` the share of variance there, `separable` the share of samples that the best straight cuts
    found (one for each class) put on the right side in the layer's whole space, and `straight` the same in the plane
    drawn."""

    name: str
    width: int
    points: Tensor
    explained: float
    separable: float
    straight: float


def bends(task: Task, model: nn.Module, batch: Batch) -> tuple[list[Bend], Tensor]:
    """The input and what each layer makes of it, and the classes (N).

    Layers are the innermost modules in the order in which they run, those left out that only reshape. Each plane is
    turned (and mirrored) to lie as near as it can to the plane before, so that the eye can follow (Schönemann 1966).
    The straight cuts are those of a logistic regression. Raises RunError for a task without classes."""
    inputs, targets = batch
    if (
        not isinstance(inputs, Tensor)
        or not isinstance(targets, Tensor)
        or targets.ndim != 1
        or targets.is_floating_point()
    ):
        raise RunError(f"{task.name}: has no classes, one whole number a sample; --layers is for tasks that have")
    if int(targets.max()) >= CLASSES:
        raise RunError(f"{task.name}: has {int(targets.max()) + 1} classes; --layers draws up to {CLASSES}")
    found: list[Bend] = []
    for name, values in [("input", inputs), *_hidden(model, inputs)]:
        flat = values.reshape(len(values), -1).double()
        before = found[-1].points if found else None
        points, explained = _plane(flat, before)
        found.append(
            Bend(name, flat.shape[1], points, explained, _separable(flat, targets), _separable(points, targets))
        )
    return found, targets


def _hidden(model: nn.Module, inputs: Tensor) -> list[tuple[str, Tensor]]:
    """The outputs of the innermost modules, by what they are."""
    seen: list[tuple[str, Tensor]] = []

    def keep(module: nn.Module, given: tuple[object, ...], output: object) -> None:
        if not isinstance(output, Tensor) or output.shape[0] != len(inputs):
            return
        if (
            isinstance(given[0], Tensor)
            and output.numel() == given[0].numel()
            and output.data_ptr() == given[0].data_ptr()
        ):
            return  # reshapes only, or nothing at all
        if not isinstance(module, nn.Flatten | nn.Dropout | nn.Identity):
            seen.append((type(module).__name__, output.detach().clone()))

    hooks = [m.register_forward_hook(keep) for m in model.modules() if not list(m.children())]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(inputs)
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return [(f"{place}: {name}", values) for place, (name, values) in enumerate(seen, 1)]


def _plane(flat: Tensor, before: Tensor | None) -> tuple[Tensor, float]:
    """Two principal components, scaled to length 1 on average and turned towards the plane before."""
    if flat.shape[1] == 2:
        points = flat - flat.mean(0)
        explained = 1.0
    else:
        moved = flat - flat.mean(0)
        u, s, _ = torch.linalg.svd(moved, full_matrices=False)
        points = u[:, :2] * s[:2]
        if points.shape[1] < 2:
            points = torch.nn.functional.pad(points, (0, 2 - points.shape[1]))
        explained = float((s[:2] ** 2).sum() / (s**2).sum().clamp(min=1e-300))
    points = points / points.pow(2).sum(1).mean().sqrt().clamp(min=1e-12)
    if before is not None:
        u, _, v = torch.linalg.svd(points.T @ before)
        points = points @ (u @ v)
    return points, explained


def _separable(flat: Tensor, targets: Tensor) -> float:
    """The share that a logistic regression with hardly any penalty gets right of the samples it is fitted to."""
    x = (flat - flat.mean(0)) / flat.std(0).clamp(min=1e-9)
    x = torch.nn.functional.pad(x, (0, 1), value=1.0)
    weights = torch.zeros(x.shape[1], int(targets.max()) + 1, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([weights], lr=1, max_iter=80, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = torch.nn.functional.cross_entropy(x @ weights, targets) + PROBE / len(x) * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]
    return float(((x @ weights.detach()).argmax(1) == targets).double().mean())
