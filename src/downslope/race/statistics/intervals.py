"""Means and widths with their intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple


class Interval(NamedTuple):
    """A mean with its bounds, which are None where one value gives no idea of the spread."""

    mean: float
    low: float | None
    high: float | None


class Width(NamedTuple):
    """A stretch of learning rates, in decades, and whether it runs into an end of the grid."""

    decades: float
    low: float
    high: float
    open_below: bool
    open_above: bool


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval for the mean of independent values: mean -+ t s / sqrt(n), with n - 1 degrees of freedom.

    It is not cut off at 0 or 1: bounds beyond them say that there are too few values.
    """
    from scipy.special import stdtrit

    n = len(values)
    mean = math.fsum(values) / n
    if n == 1:
        return Interval(mean, None, None)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + level) / 2)) * deviation / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def share_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Wilson's interval for a share of independent yes and no, 1 and 0: inside 0 to 1, and open where all agree.

    Source: Wilson 1927, JASA 22(158)."""
    from scipy.special import ndtri

    n, share, z = len(values), math.fsum(values) / len(values), float(ndtri((1 + level) / 2))
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Interval(share, max(0.0, middle - half), min(1.0, middle + half))


def width(rates: Sequence[float], scores: Sequence[float], tolerance: float = 0.01) -> Width:
    """How far the learning rate may be from the best before the score falls by `tolerance`.

    The stretch is the one around the best score with every score in it at least best - tolerance; its ends are
    interpolated between grid points, linearly in the logarithm of the rate. Rates must rise. An end of the grid that
    is still within the tolerance leaves that side open: the true width is then larger.
    """
    logs = [math.log10(rate) for rate in rates]
    best = max(range(len(scores)), key=lambda i: scores[i])
    floor = scores[best] - tolerance
    low, open_below = _walk(logs, scores, range(best, -1, -1), floor)
    high, open_above = _walk(logs, scores, range(best, len(scores)), floor)
    return Width(high - low, 10**low, 10**high, open_below, open_above)


def _walk(logs: Sequence[float], scores: Sequence[float], way: range, floor: float) -> tuple[float, bool]:
    for here, there in pairwise(way):
        if scores[there] < floor:
            part = (scores[here] - floor) / (scores[here] - scores[there])
            return logs[here] + part * (logs[there] - logs[here]), False
    return logs[way[-1]], True
