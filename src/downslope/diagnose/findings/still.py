"""A loss that stands still: on a plateau, or stuck between walls with large gradients."""

from __future__ import annotations

import math
from statistics import median

from ..finding import Finding
from ..signals import Signals


def _flat(s: Signals) -> tuple[float, float] | None:
    """(level, start) of a loss that has not moved over the last half, and is nowhere near its floor."""
    blocks = s.blocks()
    if s.steps < 100 or not blocks or not s.start() > 0:
        return None
    last = blocks[5:]
    level = median(last)
    error = s.noise() / math.sqrt(max(1, s.steps // 10))
    fall = median(last[:2]) - median(last[-2:])
    known = level < 0.5 * s.ignorance()  # weights that were trained before have little left to gain
    if fall > max(0.02 * level, 2 * error) or level < 0.6 * s.start() or known:
        return None
    return level, s.start()


def plateau(s: Signals) -> Finding | None:
    """Half the run without a gain, at a level near the start, with gradients that have become small."""
    found = _flat(s)
    size = _growth(s)
    if found is None or not size < 0.3:
        return None
    level, start = found
    return Finding(
        "plateau",
        f"the loss has stood at {level:.3g} for half the run ({start:.3g} at the start); gradients are {size:.1e} of "
        "those at the start",
        "a flat region: the gradient is too small for the step",
        "a larger learning rate or an adaptive rule, another start, or momentum",
        since_step=s.steps // 2,
        confidence=0.6,
        evidence={"level": level, "start": start, "gradient_over_first": size},
    )


def stuck(s: Signals) -> Finding | None:
    """Half the run without a gain, yet gradients are as large as at the start and turn around from step to step.

    The walls of a valley: the gradient is no noise (neighbours' gradients oppose each other), the step overshoots."""
    found = _flat(s)
    size = _growth(s)
    if found is None or not size >= 0.5:
        return None
    cosines = [d / math.sqrt(a * b) for step, _, d, a, b in s.dots if a * b > 0 and step > s.steps / 2]
    if len(cosines) < 3 or median(cosines) > -0.3:
        return None
    level, _ = found
    return Finding(
        "stuck-large-gradients",
        f"the loss stands at {level:.3g} with gradients {size:.2g} times those at the start, which oppose each other "
        f"from step to step (cosine {median(cosines):.2f})",
        "steps jump from wall to wall of a valley: this is no critical point",
        "a lower learning rate; less momentum; an adaptive rule",
        since_step=s.steps // 2,
        confidence=0.8,
        evidence={"level": level, "cosine": median(cosines), "gradient_over_first": size},
    )


def _growth(s: Signals) -> float:
    """Gradient norm of the last samples over that of the first."""
    first = [x.before_clip for x in s.samples[:5] if math.isfinite(x.before_clip)]
    last = [x.before_clip for x in s.samples[-10:] if math.isfinite(x.before_clip)]
    return median(last) / median(first) if first and last and median(first) > 0 else math.nan
