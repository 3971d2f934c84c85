"""Time to target: when a run first is as good as a score that is worth having."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Sequence


def first_reached(steps: Sequence[float], goodness: Sequence[float | None], target: float) -> float | None:
    """The step at which a curve first reaches the target, on straight lines between its points; None if it never does.

    Points without a score (None, nan) are left out; a curve that begins above the target reaches it at its first point.
    """
    before: tuple[float, float] | None = None
    for step, good in zip(steps, goodness):
        if good is None or not math.isfinite(good):
            continue
        if good >= target:
            if before is None:
                return float(step)
            at, was = before
            return at + (step - at) * (target - was) / (good - was)
        before = step, good
    return None


def median_reached(times: Sequence[float | None]) -> float | None:
    """The median of times to target, counting a run that never reached it as infinitely late; None if it is that."""
    if not times:
        return None
    median = plain.median(math.inf if time is None else time for time in times)
    return median if math.isfinite(median) else None


def make_target(finals: Sequence[Sequence[float]]) -> float | None:
    """The score to reach, from the final scores of each optimizer's runs at its chosen setting, best optimizer first.

    It is the median over the runs of the second best (of the best where it is alone): a target that the best alone
    reaches would time nobody else, and a median is no lucky run (as AlgoPerf sets its targets: Dahl et al. 2023,
    arXiv:2306.07179, section 4.2). None without a finished run.
    """
    runs = [list(scores) for scores in finals if scores]
    if not runs:
        return None
    return plain.median(runs[min(1, len(runs) - 1)])
