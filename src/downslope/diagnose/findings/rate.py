"""The learning rate: too high, too low. Where it can be, confirmed by short forked runs."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np

from ..finding import Finding
from ..signals import Sample, Signals
from .loss import sharp

LARGE = 0.03
"""Update over weight, in the median of the weight matrices. cs231n's rule of thumb is 1e-3, healthy runs pass 1e-2 at
their start; only with a loss that goes nowhere does it count."""
EDGE = 1.5
"""The curvature that the optimizer feels over its own limit. Full-batch descent hovers at 1 in health."""
CREEPS = 1e-3
"""Update over weight, at most: the usual size."""
SLOW = 5e-3
"""Update over weight up to which a higher rate is tried from the start."""
LONG = 100
"""Steps of a run that a fork of 40 from the same start is not to beat by a quarter."""
LOWER = ("start", 0.001, 0.01, 0.1)
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
    """Steps are a large part of the weights, or gradients turn around, and the loss goes nowhere, up, or up again after
    it was low; and a lower rate from the same start, or from here, does better.

    A fork from the start takes 40 steps. That it beats a run of hundreds needs a reason; a healthy run has none."""
    start, end, blocks = s.start(), s.end(), s.blocks()
    if s.steps < 5 or not s.samples or s.facts.get("maximize") or start < 0:
        return None
    early = [r for r in (ratio(x, s) for x in s.samples[:30]) if math.isfinite(r)]
    late = [r for r in (ratio(x, s) for x in s.late()) if math.isfinite(r)]
    largest, usual = max(early + late, default=math.nan), median(late) if late else math.nan
    cosines = [d / math.sqrt(a * b) for _, _, d, a, b in s.dots if 0 < a * b < math.inf]
    turning = len(cosines) >= 3 and median(cosines) < -0.3
    bad = s.not_finite is not None and not s.not_finite.get("inputs")  # of bad inputs no rate is the cause
    blown = bad or end > 1.2 * start
    lost = blown or not end < 0.85 * start
    fallen = _fallen_back(s)
    slow = s.steps >= LONG and end > 0.3 * start and not sharp(s)  # after a spike, the spike is to be explained
    rests = s.steps >= 100 and bool(blocks) and blocks[5] - blocks[-1] < 0.1 * start and end > 0.05 * start
    share = math.nan
    if not ((lost or fallen or slow) and (largest > LARGE or turning)) and not (rests and (usual > LARGE or turning)):
        share = s.edge() if rests and s.edge is not None else math.nan
        if not share > EDGE:
            return None
    found = _asked(s, LOWER)
    best = _best(found)
    low = min(end, start) if math.isfinite(end) else start
    own = s.facts.get("own_loss", True)
    if not own and found is not None:  # losses of forks are other ones: compared among themselves alone
        start, low, slow = found.start, 0.85 * found.start, False
    sure = best is not None and (
        (blown and best[1] < 1.1 * start)
        or (lost and best[1] < 0.95 * min(low, _nan_to(s.ignorance(), low)))
        or (slow and best[1] < 0.75 * end)
    )
    tried = factor = None
    if sure and best is not None:
        factor, loss = best
        tried = (
            f"from the same start, lr x {factor:g} came to {loss:.3g} in {found.steps} steps; the run is at {end:.3g}"
        )
    elif rests and (usual > LARGE or turning or share > EDGE):
        here = _asked(s, (0.01, 0.1))
        best = _best(here)
        if best is not None and best[1] < 0.5 * _own(here):
            factor, loss = best
            as_is = _own(here)
            tried = (
                f"from here, lr x {factor:g} came to {loss:.3g} in {here.steps} steps, the rate as it is to {as_is:.3g}"
            )
    if tried is None and not fallen and (found is not None or not (lost or rests)):
        return None
    if tried is None and not (blown or fallen or largest > LARGE or share > EDGE):
        return None  # opposite gradients alone, of steps that are no part of the weights, where nothing can be tried
    how = (
        "opposite gradients from step to step"
        if turning
        else f"updates of {np.nanmax([largest, usual]):.1g} of the weights"
    )
    if share > EDGE:
        how = f"a curvature {share:.2g} times what the optimizer is stable at"
    start = s.start()
    came = f"the loss went from {start:.3g} to {end:.3g}"
    if fallen and tried is None:
        back = max(_after_low(blocks))
        came = f"the loss had come from {start:.3g} to {min(blocks):.3g} and was thrown back to {back:.3g}"
    return Finding(
        "lr-too-high",
        f"the learning rate ({max(s.lr):.3g}) is too high: {came}, with {how}",
        "steps overshoot: the loss oscillates, or has been thrown to where it cannot learn",
        f"lr {max(s.lr) * (factor or 0.1):.2g}" + ("" if factor else " or lower") + ", less momentum, or a warm-up",
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
    """The loss creeps: forked runs at 3 and 10 times the rate fall nearly 3 and 10 times as far from here; or from the
    first weights, higher, come lower in 40 steps than the run did in all of its own.

    Not while the rate rises in a warm-up. At the end of a schedule it is low on purpose, unless it was there before
    the loss was."""
    start, end = s.start(), s.end()
    if s.steps < 60 or not start > 0 or not 0.1 * start < end < 1.5 * start:
        return None
    top = max(s.lr)
    if s.lr[-1] > 1.05 * s.lr[s.steps // 2]:
        return None
    usual = [r for r in (ratio(x, s) for x in s.late()) if math.isfinite(r)]
    if not usual or median(usual) > SLOW:
        return None
    said = _ended(s, top) if s.lr[-1] < 0.5 * top else _from_here(s, median(usual)) or _from_start(s)
    if said is None:
        return None
    cause, lr, tried, sure = said
    return Finding(
        "lr-too-low",
        f"the learning rate ({s.lr[-1]:.3g}) is too low: {start:.3g} became {end:.3g} in {s.steps} steps",
        cause,
        f"lr {lr:.2g}" if s.lr[-1] >= 0.5 * top else f"a schedule that takes the whole run, from lr {lr:.2g}",
        since_step=0,
        confidence=sure,
        evidence={"update_over_weight": median(usual), "loss": list(s.loss)[:: max(1, s.steps // 100)]},
        tried=tried,
    )


Low = tuple[str, float, str, float]
SHORT = "each step is in the right direction and far too short"


def _from_here(s: Signals, usual: float) -> Low | None:
    if usual > CREEPS or s.end() < 0.3 * s.start():
        return None
    found = _asked(s, (3.0, 10.0))
    if found is None:
        return None
    falls = {o.change.lr_factor: found.start - _mean(o.losses) for o in found.outcomes}
    own, three, ten = (falls.get(f, math.nan) for f in (1.0, 3.0, 10.0))
    sure = all(o.verdict == "better" for o in found.outcomes if o.change.lr_factor != 1.0)  # paired: noise is no matter
    if not (sure and ten > LINEAR * max(own, 0.0) and three > 2.0 * max(own, 0.0)):
        return None
    tried = f"in {found.steps} steps lr x 10 fell by {ten:.2g}, x 3 by {three:.2g}, as it is by {own:.2g}"
    return SHORT, s.lr[-1] * 10, tried, 0.9


def _from_start(s: Signals) -> Low | None:
    if (
        s.steps < LONG or s.end() < 0.25 * s.start() or not s.facts.get("own_loss", True)
    ):  # it has come far, if not as fast as it could
        return None
    found = _asked(s, ("start", 3.0, 10.0))
    best = _best(found)
    if best is None or not best[1] < 0.6 * s.end() or not _own(found) > best[1]:
        return None
    factor, loss = best
    tried = (
        f"from the same start, lr x {factor:g} came to {loss:.3g} in {found.steps} steps; the run is at {s.end():.3g}"
    )
    return SHORT, s.lr[-1] * factor, tried, 0.85


def _ended(s: Signals, top: float) -> Low | None:
    """The rate fell to a hundredth within the first half, with the loss still high."""
    if s.steps < LONG or s.lr[s.steps // 2] > 0.01 * top or not s.facts.get("own_loss", True):
        return None
    found = _asked(s, ("start", 0.3))
    own = _own(found)
    if not own < 0.75 * s.end():
        return None
    tried = (
        f"from the same start, lr {top:.2g} held came to {own:.3g} in {found.steps} steps; the run is at {s.end():.3g}"
    )
    return (
        "the schedule was at its end before the run was: it counts epochs and is called in each step",
        top,
        tried,
        0.85,
    )


def _after_low(blocks: list[float]) -> list[float]:
    """What came after the lowest tenth of the run."""
    return blocks[blocks.index(min(blocks)) + 1 :]


def _fallen_back(s: Signals) -> bool:
    """Had the loss come a good way, and was it thrown back by a third of that, in the median of a tenth of the run?"""
    blocks, start = s.blocks(), s.start()
    if s.steps < 100 or not blocks or not all(map(math.isfinite, blocks)) or sharp(s):
        return False
    gained, after = start - min(blocks), _after_low(blocks)
    error = 1.25 * s.noise() / math.sqrt(s.steps / 10)
    return gained > 0.2 * start and bool(after) and max(after) - min(blocks) > max(gained / 3, 5 * error)


def _nan_to(value: float, other: float) -> float:
    return other if math.isnan(value) else value


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
