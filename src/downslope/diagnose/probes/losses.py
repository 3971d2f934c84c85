"""What a loss is, read off its graph before backward: its kind, the scores, the targets; the loop need not tell.

Only nodes of known losses are unpacked. Costs about 0.1 ms, with 512 rows of scores at most."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch

from ...optim.sharding import is_shared
from ..signals import LossSeen
from .graph import FOLLOWS, PASS, short

NEAR = 40  # nodes from the root among which the loss is looked for
ROWS = 512
WEIGHED = 1000  # classes beyond which their weights are not kept
MANY = 100_000  # classes beyond which nothing is counted


@dataclass
class Found:
    """The nodes of a loss: its kind, scores as they went in, targets, and the names of what made the scores."""

    kind: str
    node: Any
    scores: torch.Tensor | None
    targets: torch.Tensor | None
    before: tuple[str, ...]
    dim: int = 1
    weight: torch.Tensor | None = None  # of the classes
    summed: bool = False  # over the targets, not averaged


VALUES = {"MseLoss": "values", "L1Loss": "absolute", "SmoothL1Loss": "absolute", "HuberLoss": "absolute"}


def find(root: torch.Tensor) -> Found | None:
    """The loss in a graph; None if it is none of those that are known, or there are several."""
    todo: list[Any] = [root.grad_fn]
    seen: set[Any] = set()
    nll: list[Any] = []
    for node in todo:
        if len(seen) >= NEAR:
            break
        if node is None or node in seen:
            continue
        seen.add(node)
        name = short(node)
        if name in ("NllLoss", "NllLoss2D"):
            nll.append(node)
            continue
        if name == "BinaryCrossEntropyWithLogits":
            return Found("binary", node, node._saved_self, node._saved_target, _before(node), summed=_summed(node))
        if name == "BinaryCrossEntropy":
            return Found("probability", node, node._saved_self, node._saved_target, _before(node))
        if name in VALUES:
            return Found(VALUES[name], node, node._saved_self, node._saved_target, _before(node), summed=_summed(node))
        todo += [child for child, _ in node.next_functions]
    if len(nll) != 1:
        return None
    node = nll[0]
    names = _before(node)
    if names[:1] == ("log_softmax",):
        source = _source(node)
        dim = int(source._saved_dim)
        dim = dim - 2**64 if dim > 2**63 else dim
        scores, targets = source._saved_result, node._saved_target
        shape = scores.shape[:dim] + scores.shape[dim:][1:]
        if targets.numel() == shape.numel():  # of three dimensions torch makes four, in the targets as well
            targets = targets.reshape(shape)
        return Found("classes", node, scores, targets, _before(source), dim, node._saved_weight, _summed(node))
    return Found("likelihood", node, node._saved_self, node._saved_target, names, weight=node._saved_weight)


def _summed(node: Any) -> bool:
    return getattr(node, "_saved_reduction", 1) == 2


def _source(node: Any) -> Any:
    """The first node below that does something."""
    child = node.next_functions[0][0] if node.next_functions else None
    while child is not None and PASS.match(short(child)) and child.next_functions:
        child = child.next_functions[0][0]
    return child


def _before(node: Any) -> tuple[str, ...]:
    """Names of up to three operations that made the scores, nearest first."""
    found = []
    for _ in range(3):
        node = _source(node)
        if node is None:
            break
        name = short(node)
        found.append(FOLLOWS.get(name, name.lower()))
        if not node.next_functions:
            break
    return tuple(found)


def count(found: Found, step: int, loss: float, samples: int) -> LossSeen:
    """What the model said and was to say, counted."""
    kind = {"likelihood": "classes", "probability": "binary", "absolute": "absolute"}.get(found.kind, found.kind)
    got = LossSeen(step, kind, found.kind, loss, before=found.before, summed=found.summed)
    scores, targets = found.scores, found.targets
    if scores is None or targets is None or is_shared(scores) or is_shared(targets):
        return got
    scores, targets = scores.detach(), targets.detach()
    if kind == "classes":
        _classes(got, scores, targets, found, samples)
    elif kind == "binary":
        wanted = targets.flatten()[:ROWS] > 0.5
        said = scores.flatten()[:ROWS] > (0.0 if found.kind == "binary" else 0.5)
        got.classes = 2
        _count(got, said.long(), wanted.long(), samples == targets.numel())
    else:
        values = targets.flatten().double()
        got.mean, got.spread = values.mean().item(), values.var(unbiased=False).item()
        got.per_sample = samples == targets.numel()
        # broadcasting leaves an axis without a stride in one of the two, and another axis in the other
        got.broadcast = targets.ndim > 1 and _thin(targets) and _thin(scores)
    return got


def _thin(tensor: torch.Tensor) -> bool:
    return any(n > 1 and s == 0 for n, s in zip(tensor.shape, tensor.stride()))


def _classes(got: LossSeen, scores: torch.Tensor, targets: torch.Tensor, found: Found, samples: int) -> None:
    got.classes = scores.shape[found.dim]
    if found.weight is not None:
        got.weights = tuple(found.weight.detach().tolist()) if got.classes <= WEIGHED else ()
    if got.classes > MANY or scores.ndim == 1:
        return
    rows = scores.movedim(found.dim, -1).reshape(-1, got.classes)
    flat = targets.reshape(-1)
    if len(rows) != len(flat):
        return
    if len(flat) > ROWS:
        stride = len(flat) // ROWS
        rows, flat = rows[::stride], flat[::stride]
    good = (flat >= 0) & (flat < got.classes)
    rows, flat = rows[good], flat[good]
    _count(got, rows.argmax(-1), flat, samples == targets.numel())


def _count(got: LossSeen, said: torch.Tensor, wanted: torch.Tensor, per_sample: bool) -> None:
    n = len(wanted)
    if n == 0:
        return
    got.accuracy = (said == wanted).double().mean().item()
    got.predicted, got.wanted = Counter(said.tolist()), Counter(wanted.tolist())
    pairs = n * (n - 1)
    got.same = sum(k * (k - 1) for k in got.wanted.values()) / pairs if pairs else math.nan
    got.per_sample = per_sample


def scale(root: torch.Tensor) -> float:
    """The power of two that a GradScaler multiplied a loss by; else 1."""
    node = root.grad_fn
    if node is None or not node.name().startswith("Mul") or short(node) != "Mul":
        return 1.0
    other = getattr(node, "_saved_other", None)
    if not isinstance(other, torch.Tensor) or other.numel() != 1:
        return 1.0
    factor = float(other)
    return factor if factor >= 2 and math.frexp(factor)[0] == 0.5 else 1.0
