"""The batch size against the gradient noise scale (McCandlish et al. 2018, arXiv:1812.06162), with its interval."""

from __future__ import annotations

import math
from statistics import median

from ..finding import Finding
from ..signals import Signals

RESOLVED = 3.0
"""Upper over lower end of the interval. Single readings are negative two times in five; below that nothing is said."""
LEAST = 12


def scale(s: Signals) -> tuple[float, float, float] | None:
    """(estimate, low, high) of the noise scale, in samples, over the last half; None while it cannot be resolved.

    Gradients of neighbouring steps have independent noise: the mean of g.g' is |G|^2, that of |g|^2 - g.g' is tr S / B,
    where the weights hardly move between them. 95 % by Fieller's jackknife over the readings."""
    seen = [x for x in s.dots if x[0] > s.steps / 2 and x[1] > 0]
    if len(seen) < LEAST:
        return None
    signal = [d for _, _, d, _, _ in seen]
    noise = [b * ((x + y) / 2 - d) for _, b, d, x, y in seen]
    n = len(seen)
    estimates = []
    for i in range(n):
        g, t = math.fsum(signal) - signal[i], math.fsum(noise) - noise[i]
        if g <= 0 or t <= 0:
            return None
        estimates.append(math.log(t / g))
    middle = math.log(math.fsum(noise) / math.fsum(signal)) if math.fsum(signal) > 0 < math.fsum(noise) else math.nan
    mean = math.fsum(estimates) / n
    error = math.sqrt((n - 1) / n * math.fsum((e - mean) ** 2 for e in estimates))
    low, high = math.exp(middle - 2.1 * error), math.exp(middle + 2.1 * error)
    if not high < RESOLVED * low:
        return None
    return math.exp(middle), low, high


def note(s: Signals) -> str | None:
    """In words, once it is resolved."""
    found = scale(s)
    if found is None:
        return None
    middle, low, high = found
    return f"gradient noise scale of the last half: {middle:.3g} samples ({low:.3g} to {high:.3g}), batch {_batch(s)}"


def _batch(s: Signals) -> int:
    return int(median([b for b in s.batch if b][-50:] or [0]))


def judge(s: Signals) -> Finding | None:
    """The loss rests, and the gradient is nearly all noise at this batch size: what holds it up is the noise.

    A batch below the noise scale is usual and no fault while the loss falls; so only at rest, and far below."""
    found = scale(s)
    blocks = s.blocks()
    if found is None or not blocks or s.steps < 200:
        return None
    middle, low, high = found
    rest = blocks[5] - blocks[-1] < 0.02 * s.start() and blocks[-1] > 0.3 * s.start()
    if not rest or low < 30 * max(1, _batch(s)):
        return None
    return Finding(
        "batch-too-small",
        f"the loss rests and gradients are nearly all noise: the noise scale is {middle:.3g} samples ({low:.3g} to "
        f"{high:.3g}), the batch {_batch(s)}",
        "steps wander by the noise of their batches",
        f"a batch nearer {low:.2g}, accumulated if need be, or a lower learning rate from here on",
        confidence=0.6,
        severe=False,
        evidence={"noise_scale": middle, "low": low, "high": high, "batch": _batch(s)},
    )
