"""The learning rate: too high, too low. Where it can be, confirmed by short forked runs."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np

from ..finding import Finding
from ..signals import Sample, Signals

LARGE = 0.03
"""Update over weight, in the median of the weight matrices. cs231n's rule of thumb is 1e-3, healthy runs pass 1e-2 at
their start; only with a loss that goes nowhere does it count."""
EDGE = 1.5
"""The curvature that the optimizer feels over its own limit. Full-batch descent hovers at 1 in health."""
CREEPS = 1e-3
"""Update over weight, at most: the usual size."""
LINEAR = 6.0
"""A rate 10 times higher falls at least so many times as far: the run is still in a straight line from its start."""


def ratio(sample: Sample, s: Signals) -> float:
    """Update over weight of a step: median of the weight matrices."""
    found = [
        sample.update[i] / sample.weight[i]
        for i in s.weights()
        if np.isfinite(sample.update[i]) and sample.weight[i] > 0
    ]
    return float(median(found)) if found else math.nan


def too_high(s: Signals) -> Finding | None:
    """Steps are a large part of the weights, the loss goes nowhere or up, and a lower rate from the same start, or from
    here, does clearly better."""
    if s.steps < 5 or not s.samples or s.facts.get("maximize"):
        return None
    start, end = s.start(), s.end()
    bad = s.not_finite is not None
    blocks = s.blocks()
    thrown = bool(blocks) and max(blocks) > 1.2 * start and end > 0.4 * start
    lost = bad or not end < 0.85 * start or _lost(s) or thrown
    rests = bool(blocks) and s.steps >= 100 and blocks[5] - blocks[-1] < 0.1 * start and end > 0.05 * start
    early = [r for r in (ratio(x, s) for x in s.samples[:30]) if math.isfinite(r)]
    late = [r for r in (ratio(x, s) for x in s.late()) if math.isfinite(r)]
    largest, usual = max(early + late, default=math.nan), median(late) if late else math.nan
    cosines = [d / math.sqrt(a * b) for _, _, d, a, b in s.dots if 0 < a * b < math.inf]
    turning = len(cosines) >= 3 and median(cosines) < -0.3
    share = math.nan
    if not (lost and (largest > LARGE or turning)) and not (rests and (usual > LARGE or turning)):
        share = s.edge() if rests and s.edge is not None else math.nan
        if not share > EDGE:
            return None
    tried, factor = None, None
    if lost:
        found = _asked(s, ("start", 0.001, 0.01, 0.1))
        best = _best(found)
        if found is not None and (
            best is None or best[1] > (0.97 * start if bad or end > 1.2 * start else 0.8 * min(end, start))
        ):
            return None
        if best is not None:
            factor, loss = best
            came = f"lr x {factor:g} came to {loss:.3g} in {found.steps} steps"
            tried = f"from the same start, {came}; the run is at {end:.3g}"
    else:
        found = _asked(s, (0.01, 0.1))
        best = _best(found)
        own = _own(found)
        if best is None or not best[1] < 0.5 * own:
            return None
        factor, loss = best
        tried = f"from here, lr x {factor:g} came to {loss:.3g} in {found.steps} steps, the rate as it is to {own:.3g}"
    how = "opposite gradients from step to step" if turning else f"updates of {max(largest, usual):.1g} of the weights"
    if share > EDGE:
        how = f"a curvature {share:.2g} times what the optimizer is stable at"
    return Finding(
        "lr-too-high",
        f"the learning rate ({max(s.lr):.3g}) is too high: the loss went from {start:.3g} to {end:.3g}, with {how}",
        "steps overshoot: the loss oscillates, or has been thrown to where it cannot learn",
        f"lr {max(s.lr) * (factor or 0.1):.2g}" + ("" if factor else " or lower") + ", or a warm-up",
        since_step=0,
        confidence=0.95 if tried else 0.75,
        evidence={
            "update_over_weight": [ratio(x, s) for x in s.samples[:50]],
            "curvature_over_the_limit": share,
            "loss": list(s.loss)[:300],
        },
        tried=tried,
    )


def too_low(s: Signals) -> Finding | None:
    """The loss creeps: forked runs at 3 and 10 times the rate fall nearly 3 and 10 times as far.

    Not while the rate rises in a warm-up, nor at the end of a schedule, when it is low on purpose."""
    start, end = s.start(), s.end()
    if s.steps < 60 or not start > 0 or not 0.3 * start < end < 1.5 * start:
        return None
    top = max(s.lr)
    if s.lr[-1] < 0.5 * top or s.lr[-1] > 1.05 * s.lr[s.steps // 2]:
        return None
    usual = [r for r in (ratio(x, s) for x in s.late()) if math.isfinite(r)]
    if not usual or median(usual) > CREEPS:
        return None
    found = _asked(s, (3.0, 10.0))
    if found is None:
        return None
    falls = {o.change.lr_factor: found.start - _mean(o.losses) for o in found.outcomes}
    own, three, ten = (falls.get(f, math.nan) for f in (1.0, 3.0, 10.0))
    sure = all(o.verdict == "better" for o in found.outcomes if o.change.lr_factor != 1.0)  # paired: noise is no matter
    if not (sure and ten > LINEAR * max(own, 0.0) and three > 2.0 * max(own, 0.0)):
        return None
    return Finding(
        "lr-too-low",
        f"the learning rate ({s.lr[-1]:.3g}) is too low: {start:.3g} became {end:.3g} in {s.steps} steps",
        "each step is in the right direction and far too short",
        f"lr {s.lr[-1] * 10:.2g}",
        since_step=0,
        confidence=0.9,
        evidence={"update_over_weight": median(usual), "falls": falls},
        tried=f"in {found.steps} steps lr x 10 fell by {ten:.2g}, x 3 by {three:.2g}, as it is by {own:.2g}",
    )


def _lost(s: Signals) -> bool:
    """Had the loss been far lower, and for long?"""
    blocks = s.blocks()
    return bool(blocks) and min(blocks) > 0 and s.end() > max(3 * min(blocks), 0.5 * s.start())


def _asked(s: Signals, factors: Any) -> Any:
    return None if s.trial is None else s.trial(factors)


def _mean(losses: Any) -> float:
    return math.fsum(losses) / len(losses) if all(map(math.isfinite, losses)) else math.inf


def _best(found: Any) -> tuple[float, float] | None:
    """(factor, loss) of the lowest, if any is finite and it is not the rate as it is."""
    if found is None:
        return None
    losses = {o.change.lr_factor: _mean(o.losses) for o in found.outcomes}
    factor = min(losses, key=losses.__getitem__)
    return (factor, losses[factor]) if factor != 1.0 and math.isfinite(losses[factor]) else None


def _own(found: Any) -> float:
    return math.nan if found is None else next(_mean(o.losses) for o in found.outcomes if o.change.lr_factor == 1.0)
