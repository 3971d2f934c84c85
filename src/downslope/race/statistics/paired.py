"""Two optimizers over the same seeds: the mean difference, its interval, and how likely chance makes one so large."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from .intervals import t_interval


class Paired(NamedTuple):
    """`difference` is the mean of a - b over n seeds, `deviation` their standard deviation.

    Bounds, p and deviation are None where nothing can be said: one seed, or differences without any spread."""

    difference: float
    low: float | None
    high: float | None
    p: float | None
    n: int
    deviation: float | None


def paired(a: Sequence[float], b: Sequence[float], level: float = 0.95, *, exact: bool = False) -> Paired:
    """Student's paired comparison of scores a and b, the same seed at the same place.

    p is two-sided. It holds for differences that are symmetrical around 0 when neither is better, which pairs of equal
    optimizers are, however heavy their tails (Efron 1969, JASA 64).

    Without spread Student's t says nothing. `exact` says that seeds change nothing at all, for neither of the two: then
    the difference is a fact, p is 0 or, for a tie, 1. Otherwise equal differences are an accident of coarse scores, as
    an accuracy over few samples is: there are no bounds, and p is that of n signs being the same, 2 ** (1 - n).
    """
    differences = [x - y for x, y in zip(a, b, strict=True)]
    n = len(differences)
    mean, low, high = t_interval(differences, level)
    if exact:
        return Paired(mean, mean, mean, 0.0 if mean else 1.0, n, 0.0)
    if n == 1:
        return Paired(mean, None, None, None, n, None)
    deviation = math.sqrt(math.fsum((d - mean) ** 2 for d in differences) / (n - 1))
    scale = max(map(abs, (*a, *b)))
    if deviation <= 1e-12 * scale:  # equal but for the rounding of the subtraction
        tie = abs(mean) <= 1e-12 * scale
        return Paired(0.0 if tie else mean, None, None, 1.0 if tie else 2.0 ** (1 - n), n, None)
    return Paired(mean, low, high, _two_sided(mean / deviation * math.sqrt(n), n - 1), n, deviation)


def _two_sided(t: float, degrees: int) -> float:
    from scipy.special import stdtr

    return float(2 * stdtr(degrees, -abs(t)))
