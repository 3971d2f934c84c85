"""What dropping settings after a short run may have cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

ASSUMES = (
    "Settings that went on have a score after a short and after the full run; a line through them, the same slope for "
    "every optimizer, with their scatter, says what each dropped setting might have reached. This takes the line to "
    "hold below the settings that went on, and those that diverged in the short run to be lost."
)
FEWEST = 4
"""Pairs of short and full scores below which nothing is said."""


class Rungs(NamedTuple):
    """One optimizer's settings at one length: (short, full) of those that went on to the end, the short score of those
    that were dropped after it."""

    kept: Sequence[tuple[float, float]]
    dropped: Sequence[float]


def pruning(levels: Sequence[Mapping[str, Rungs]], *, samples: int = 2000, seed: int = 0) -> dict[str, Any] | None:
    """The probability, for each optimizer and for any, that a dropped setting would have been its best.

    `levels` has, for each length of short runs, the optimizers' settings. The full score of each dropped setting is
    drawn `samples` times: the line of its level at its short score, slope and height drawn within their errors, plus a
    residual of the settings that went on, inflated for the numbers that the line took. The selection was by the short
    score, which leaves such a line unbiased. The rank correlation (Spearman's) of the settings that went on is told
    beside it, and is lower than among all settings. A probability is None where a level that dropped settings has fewer
    than FEWEST pairs. None in all where nothing was dropped.
    """
    names = sorted({name for level in levels for name, rungs in level.items() if rungs.dropped})
    if not names:
        return None
    import numpy as np

    rng = np.random.default_rng(seed)
    won = {name: np.zeros(samples, dtype=bool) for name in names}
    unknown: set[str] = set()
    for level in levels:
        kept = {name: np.asarray(rungs.kept, dtype=float) for name, rungs in sorted(level.items()) if len(rungs.kept)}
        line = _line(list(kept.values()))
        for name, rungs in sorted(level.items()):
            if not rungs.dropped:
                continue
            if line is None or name not in kept:
                unknown.add(name)
                continue
            slope, error, residuals = line
            short, full = kept[name].mean(0)
            slopes = np.maximum(0.0, slope + error * rng.standard_normal((samples, 1)))
            heights = full + residuals.std() / math.sqrt(len(kept[name])) * rng.standard_normal((samples, 1))
            expected = heights + slopes * (np.asarray(rungs.dropped, dtype=float) - short)
            drawn = expected + rng.choice(residuals, expected.shape)
            won[name] |= (drawn > kept[name][:, 1].max()).any(1)
    every = [np.asarray(rungs.kept, dtype=float) for level in levels for rungs in level.values() if len(rungs.kept)]
    return {
        "dropped": sum(len(rungs.dropped) for level in levels for rungs in level.values()),
        "pairs": sum(map(len, every)),
        "rank_correlation": _rank_correlation(every),
        "probability": None if unknown else float(np.any(list(won.values()), axis=0).mean()),
        "by_optimizer": {name: None if name in unknown else float(won[name].mean()) for name in names},
        "assumptions": ASSUMES,
    }


def _line(groups: Sequence[np.ndarray]) -> tuple[float, float, np.ndarray] | None:
    """The common slope of full on short scores, its error, and the inflated residuals; None for too few pairs."""
    import numpy as np

    pairs = sum(map(len, groups))
    freedom = pairs - len(groups) - 1
    if pairs < FEWEST or freedom < 1:
        return None
    x, y = np.concatenate([kept - kept.mean(0) for kept in groups]).T
    spread = float(x @ x)
    slope = float(x @ y) / spread if spread > 0 else 0.0
    residuals = (y - slope * x) * np.sqrt(pairs / freedom)
    return slope, float(residuals.std()) / math.sqrt(spread) if spread > 0 else 0.0, residuals


def _rank_correlation(groups: Sequence[Any]) -> float | None:
    """Spearman's, averaged over optimizers by their number of settings; None where none has three or all are equal."""
    import numpy as np
    from scipy.stats import rankdata

    total, weight = 0.0, 0
    for kept in groups:
        ranks = np.apply_along_axis(rankdata, 0, kept)
        if len(kept) >= 3 and np.ptp(ranks[:, 0]) and np.ptp(ranks[:, 1]):
            total += len(kept) * float(np.corrcoef(ranks.T)[0, 1])
            weight += len(kept)
    return total / weight if weight else None
