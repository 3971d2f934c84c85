"""How far the learning rate may be from the best: the stretch that loses at most 1 %."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .intervals import Width, width

SHARE = 0.01


def one_percent(scores: Iterable[float], best: float, untrained: float) -> float:
    """What counts as 1 %, in the units of the score.

    Where all scores lie between 0 and 1, as accuracies do, it is one point, 0.01; elsewhere, as for losses, 1 % of the
    way from the untrained model's score to the best.
    """
    if all(0 <= score <= 1 for score in (*scores, untrained)):
        return SHARE
    return SHARE * abs(best - untrained)


def tolerance(rates: Sequence[float], goodness: Sequence[float], drop: float, *, alone: bool) -> Width | None:
    """The stretch of learning rates within `drop` of the best goodness; None without any rate.

    Where the rate `alone` was searched it is the stretch around the best in which every rate tried is within it, ends
    interpolated. Where other settings vary too, a bad score at a rate may be theirs: then a rate counts as good if any
    trial at it or farther from the best is, the smallest hill over all points. The stretch is then at least so wide.
    An end of what was tried that is still within leaves that side open.
    """
    best_at: dict[float, float] = {}
    for rate, score in zip(rates, goodness, strict=True):
        best_at[rate] = max(score, best_at.get(rate, -math.inf))
    if not best_at:
        return None
    tried = sorted(best_at)
    scores = [best_at[rate] for rate in tried]
    return width(tried, scores if alone else _hill(scores), drop)


def _hill(scores: Sequence[float]) -> list[float]:
    """The smallest hill over all scores: rising to the best, falling after it."""
    top = max(range(len(scores)), key=lambda i: scores[i])
    rising = [max(scores[: i + 1]) for i in range(top)]
    falling = [max(scores[i:]) for i in range(top, len(scores))]
    return rising + falling
