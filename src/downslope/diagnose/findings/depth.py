"""Gradients over depth."""

from __future__ import annotations

import math
from statistics import median

from ..finding import Finding
from ..signals import Signals
from .units import dead

GONE, BLOWN = 1e-4, 1e4
"""First layer's gradient (root mean square of elements) over the last's. Healthy plain networks stay within 1e-2 to 30,
those of eight layers of ReLU under torch's own start at 1e-3."""
LAYERS = 4


def _profile(s: Signals) -> list[tuple[str, float]]:
    """Root mean square of the gradient's elements by weight, in the order of use, from the first samples on.

    Left out: weights before a norm, whose size sets their gradient's, and those that began at zero, which pass none."""
    found = []
    for i in s.weights():
        p = s.parameters[i]
        if p.follows in ("batchnorm", "norm") or (p.std == 0 and p.mean == 0):
            continue
        seen = [x.grad[i] for x in s.samples if math.isfinite(x.grad[i])]
        if seen:
            found.append((p.name, float(median(seen)) / math.sqrt(math.prod(p.shape))))
    return found


def _ordered(values: list[float]) -> float:
    """Share of neighbours' pairs at any distance that fall from the end to the start."""
    pairs = [(a, b) for i, a in enumerate(values) for b in values[i + 1 :]]
    return sum(a < b for a, b in pairs) / len(pairs)


def vanishing(s: Signals) -> Finding | None:
    """They shrink by a factor with every layer from the loss back, and the loss has not come far."""
    found = _profile(s)
    if len(found) < LAYERS or len(s.samples) < 3 or s.end() < 0.7 * s.start() or dead(s) is not None:
        return None
    sizes = [g for _, g in found]
    if not sizes[-1] > 0 or min(sizes[: len(sizes) // 2]) > GONE * sizes[-1] or _ordered(sizes) < 0.75:
        return None
    kinds = {s.parameters[i].follows for i in s.weights()}
    cause = (
        "sigmoid's slope is 1/4 at most, at each layer" if "sigmoid" in kinds else "each layer scales the gradient down"
    )
    return Finding(
        "vanishing-gradients",
        f"the gradient of {found[0][0]} is {sizes[0] / sizes[-1]:.1e} of that of {found[-1][0]}",
        f"{cause}: the first layers of {len(found)} hardly learn",
        "use ReLU or GELU with He's start, a norm between layers, or residual connections",
        since_step=0,
        confidence=0.9,
        evidence={"layers": [name for name, _ in found], "gradient": sizes},
    )


def exploding(s: Signals) -> Finding | None:
    """They grow by a factor with every layer from the loss back."""
    found = _profile(s)
    if len(found) < LAYERS or len(s.samples) < 3 or s.end() < 0.7 * s.start():
        return None
    sizes = [g for _, g in found]
    if not sizes[-1] > 0 or max(sizes[: len(sizes) // 2]) < BLOWN * sizes[-1] or _ordered(sizes) > 0.25:
        return None
    return Finding(
        "exploding-gradients",
        f"the gradient of {found[0][0]} is {sizes[0] / sizes[-1]:.1e} times that of {found[-1][0]}",
        f"each of the {len(found)} layers scales the gradient up",
        "smaller weights at the start (He, Xavier, orthogonal), a norm between layers, or clipping by norm",
        since_step=0,
        confidence=0.9,
        evidence={"layers": [name for name, _ in found], "gradient": sizes},
    )
