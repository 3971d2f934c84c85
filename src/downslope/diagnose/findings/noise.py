"""The batch size against the gradient noise scale (McCandlish et al. 2018, arXiv:1812.06162), with its interval."""

from __future__ import annotations

import math
from statistics import median, stdev

from ..finding import Finding
from ..signals import Signals, mean

RESOLVED = 3.0
"""Upper over lower end of the interval. Single readings are negative two times in five; below that nothing is said."""
LEAST = 12
FAR = 30.0
"""Noise scale over batch from which a loss at rest is asked whether the noise holds it up."""
HELD = 0.9
"""The loss of a fork on eight batches at once over that on one: what the noise of the steps adds is gone there."""


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


def least(s: Signals) -> float | None:
    """The lower end of the noise scale, 97.5 %, where `scale` is silent as gradients' signal is lost in their noise.

    At the noise floor steps undo each other: the mean of g.g' is not |G|^2 but, for plain descent on a quadratic,
    -|G|^2 (the step between them adds -lr g.Hg, twice |G|^2 there). Its size bounds the signal either way."""
    seen = [x for x in s.dots if x[0] > s.steps / 2 and x[1] > 0]
    if len(seen) < LEAST:
        return None
    signal = [d for _, _, d, _, _ in seen]
    noise = [b * ((x + y) / 2 - d) for _, b, d, x, y in seen]
    bound = abs(mean(signal)) + 2.1 * stdev(signal) / math.sqrt(len(seen))
    return mean(noise) / bound if 0 < bound < math.inf else None


def judge(s: Signals) -> Finding | None:
    """The loss rests, and the gradient is nearly all noise at this batch size: what holds it up is the noise.

    A batch below the noise scale is usual and no fault while the loss falls; so only at rest, and far below. Where the
    scale itself is lost in the noise, forked runs on eight batches at once have to come lower, too."""
    found, batch, tried = scale(s), _batch(s), None
    if s.steps < 200 or not _rests(s, known=found is not None):
        return None
    low = found[1] if found is not None else least(s)
    if low is None or low < FAR * max(1, batch):
        return None
    evidence = {"low": low, "batch": batch}
    if found is not None:
        middle, _, high = found
        evidence |= {"noise_scale": middle, "high": high}
        said = f"is {middle:.3g} samples ({low:.3g} to {high:.3g})"
    else:
        said, tried = f"is {low:.3g} samples or more", _at_once(s)
        if tried is None:
            return None
    return Finding(
        "batch-too-small",
        f"the loss rests and gradients are nearly all noise: the noise scale {said}, the batch {batch}",
        "steps wander by the noise of their batches",
        f"a batch nearer {low:.2g}, accumulated if need be, or a lower learning rate from here on",
        confidence=0.6 if found else 0.9,
        severe=False,
        evidence=evidence,
        tried=tried,
    )


def _rests(s: Signals, known: bool) -> bool:
    """Half the run without a gain, well above nothing; to the noise of its losses, where forks have the last word."""
    blocks = s.blocks()
    if not blocks or not blocks[-1] > 0.3 * s.start() > 0:
        return False
    if known:
        return blocks[5] - blocks[-1] < 0.02 * s.start()
    error = s.noise() / math.sqrt(s.steps / 10)
    return median(blocks[5:7]) - median(blocks[-2:]) < max(0.02 * s.start(), 2 * error)


def _at_once(s: Signals) -> str | None:
    """What steps on eight batches at once came to from here, if that is well below what one each comes to, each time.

    A lower rate would show nothing in so few steps: what the noise has added goes at the rate's own pace."""
    found = s.at_once() if s.at_once is not None else None
    if found is None:
        return None
    one, eight = (o.losses for o in found.outcomes[:2])
    if not (all(b < a for a, b in zip(one, eight)) and mean(eight) < HELD * mean(one)):
        return None
    came = f"steps on {found.outcomes[1].change.name} came to {mean(eight):.3g}"
    return f"from here, {came} in {found.steps}, on one to {mean(one):.3g}"
