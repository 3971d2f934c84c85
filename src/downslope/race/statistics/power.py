"""How many more seeds would settle what is undecided."""

from __future__ import annotations

import math

MOST = 200
"""Nobody runs more seeds than this for a difference that small: the answer is then that there is no answer."""


def more_seeds(
    difference: float, deviation: float | None, n: int, *, alpha: float = 0.05, power: float = 0.8, most: int = MOST
) -> int | None:
    """How many seeds to add to n so that a paired test at level alpha decides with this power.

    Takes the difference and the deviation of the paired differences to be what the first n seeds show, and counts the
    new test over all n + more seeds, by the noncentral t distribution (Cohen 1988, chapter 2). At least 1; None where
    even `most` would not do, or where there is no deviation to go by.
    """
    if not deviation or not difference:
        return None
    import numpy as np
    from scipy.special import nctdtr, stdtrit

    seeds = n + np.arange(1, most + 1)
    reached = 1 - nctdtr(seeds - 1, abs(difference) / deviation * np.sqrt(seeds), stdtrit(seeds - 1, 1 - alpha / 2))
    enough = np.flatnonzero(reached >= power)
    return int(enough[0]) + 1 if len(enough) else None


def settling_seconds(more: int | None, seconds: tuple[float, float]) -> float | None:
    """What so many more seeds cost, from the seconds of one run of each of the two."""
    return None if more is None else more * math.fsum(seconds)
