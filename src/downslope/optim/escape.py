"""A step along a direction, such as one of negative curvature, of a length that the loss itself decides."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .. import rng
from ..errors import SettingError
from .untraced import untraced

SHRINKS, GROWTHS = 8, 12
"""How often the distance is cut to a quarter until the loss falls, and doubled while it goes on falling."""


@dataclass(frozen=True)
class Escape:
    """What came of it: whether the parameters moved, how far (signed: against the direction is negative), the loss
    before and after, and how often it was evaluated."""

    moved: bool
    distance: float
    before: float
    after: float
    evaluations: int
    why: str

    def __str__(self) -> str:
        return self.why


class Escaping:
    """The part of an optimizer that leaves a saddle when it is told which way."""

    param_groups: list[dict[str, Any]]
    _check_not_swapped: Callable[[str], None]

    @untraced
    def escape(self, direction: Any, closure: Callable[[], Any], *, distance: float | None = None) -> Escape:
        """Move the parameters along a direction, as far as the loss falls, or not at all.

        `direction` is what `downslope.critical_point` returned, or a tensor for each parameter, in the optimizer's
        order and shapes; its length does not matter. `closure` gives the loss, as for `step`, best in evaluation mode
        and over much data. Both signs are tried at `distance` (default: the critical point's radius, or 1 % of the
        parameters' length, at least 0.01), then the better one shorter or farther. If the loss falls nowhere, by more
        than two evaluations at the same place differ, nothing is changed, and the result says so.

        Gradients, random states and the optimizer's own states stay as they are; the direction is no gradient, so that
        averages of gradients do not learn of it. Costs 4 to 24 evaluations, and two copies of the parameters. Raises
        SettingError for a direction that does not fit, StateError where the parameters hold an average."""
        self._check_not_swapped("escape()")
        return escape(self, direction, closure, distance=distance)


def escape(optimizer: Any, direction: Any, closure: Callable[[], Any], *, distance: float | None = None) -> Escape:
    """`Escaping.escape` for any torch optimizer."""
    kind = type(optimizer).__name__
    parameters, along = _pairs(kind, optimizer, direction)
    if not callable(closure):
        raise SettingError(f"{kind}: escape() needs the loss as a function of nothing, got {closure!r:.60}")
    if distance is None:
        length = math.sqrt(sum(float(p.detach().double().square().sum()) for p in parameters))
        distance = getattr(direction, "radius", None) or 0.01 * max(1.0, length)
    elif isinstance(distance, bool) or not isinstance(distance, int | float) or not 0 < distance < math.inf:
        raise SettingError(f"{kind}: escape() got distance={distance!r}; give a number above 0")
    with torch.no_grad():
        start = [p.detach().clone() for p in parameters]
        line = _Line(parameters, start, along, closure)
        try:
            return _search(line, float(distance))
        except BaseException:
            line.go(0.0)
            raise


class _Line:
    """The loss along a direction, always with the same random numbers."""

    def __init__(
        self, parameters: list[Tensor], start: list[Tensor], along: list[Tensor], closure: Callable[[], Any]
    ) -> None:
        self.parameters, self.start, self.along, self.closure = parameters, start, along, closure
        self.evaluations = 0

    def go(self, distance: float) -> None:
        for p, s, d in zip(self.parameters, self.start, self.along):
            p.copy_(s if distance == 0 else s + distance * d)

    def at(self, distance: float) -> float:
        self.go(distance)
        self.evaluations += 1
        with _as_found(self.parameters), torch.enable_grad():
            loss = self.closure()
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise SettingError(f"escape(): the closure returned shape {tuple(loss.shape)}; return a scalar loss")
        if not isinstance(loss, Tensor | int | float):
            raise SettingError(f"escape(): the closure returned {loss!r:.60}; return the loss")
        return float(loss)


def _search(line: _Line, distance: float) -> Escape:
    before, again = line.at(0.0), line.at(0.0)
    noise = 2 * abs(before - again)
    if not math.isfinite(before):
        return _stay(line, before, f"the loss is {before} here")

    def falls(value: float, than: float) -> bool:
        return math.isfinite(value) and value < than - noise

    best, after = 0.0, before
    for _ in range(SHRINKS):
        for signed in (distance, -distance):
            value = line.at(signed)
            if falls(value, before) and value < after:
                best, after = signed, value
        if best:
            break
        distance /= 4
    else:
        return _stay(line, before, f"the loss did not fall to either side, down to a distance of {4 * distance:.2g}")
    for _ in range(GROWTHS):
        value = line.at(2 * best)
        if not falls(value, after):
            break
        best, after = 2 * best, value
    line.go(best)
    why = f"moved {abs(best):.3g} {'along' if best > 0 else 'against'} the direction: the loss fell from {before:.6g} "
    return Escape(True, best, before, after, line.evaluations, f"{why}to {after:.6g}")


def _stay(line: _Line, before: float, why: str) -> Escape:
    line.go(0.0)
    return Escape(False, 0.0, before, before, line.evaluations, f"nothing was changed: {why}")


def _pairs(kind: str, optimizer: Any, direction: Any) -> tuple[list[Tensor], list[Tensor]]:
    """The parameters to move, and a unit direction for them in their dtype."""
    owned = [p for group in optimizer.param_groups for p in group["params"]]
    if hasattr(direction, "direction"):
        tensors, parameters = direction.direction, list(getattr(direction, "parameters", owned))
        if tensors is None:
            outcome = getattr(direction, "outcome", "none")
            raise SettingError(f"{kind}: escape() got a point without a certified direction ({outcome})")
        known = set(map(id, owned))
        foreign = sum(id(p) not in known for p in parameters)
        if foreign:
            raise SettingError(
                f"{kind}: {foreign} of the direction's {len(parameters)} parameters are none of this optimizer's; "
                "look at the model that it trains"
            )
    else:
        tensors, parameters = direction, owned
    if isinstance(tensors, Tensor):
        tensors = [tensors]
    if not isinstance(tensors, Sequence) or not all(isinstance(t, Tensor) for t in tensors):
        raise SettingError(f"{kind}: escape() got {type(tensors).__name__}; give a tensor for each parameter")
    if len(tensors) != len(parameters):
        raise SettingError(f"{kind}: escape() got {len(tensors)} tensors for {len(parameters)} parameters")
    for place, (t, p) in enumerate(zip(tensors, parameters)):
        if t.shape != p.shape:
            raise SettingError(
                f"{kind}: tensor {place} of the direction has shape {tuple(t.shape)}, its parameter {tuple(p.shape)}"
            )
    length = math.sqrt(sum(float(t.detach().double().square().sum()) for t in tensors))
    if not 0 < length < math.inf:
        raise SettingError(f"{kind}: the direction has length {length}; give one that leads somewhere")
    return parameters, [(t.detach() / length).to(p.device, p.dtype) for t, p in zip(tensors, parameters)]


@contextmanager
def _as_found(parameters: list[Tensor]) -> Iterator[None]:
    """Gradients and random states as they were, whatever the closure does: it may run backward."""
    kept = [(p, p.grad, None if p.grad is None else p.grad.detach().clone()) for p in parameters]
    try:
        with rng.kept():
            yield
    finally:
        for p, grad, content in kept:
            p.grad = grad
            if grad is not None and content is not None:
                grad.detach().copy_(content)
