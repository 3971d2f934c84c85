"""Overfitting, with where to stop, and underfitting."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median

from ..finding import Finding
from ..signals import Signals

RISEN = 1.3
"""Times its lowest, where the validation loss rose from the start."""
BACK = 0.3
"""Of what the validation loss had gained, lost again. Published rules (validation over training by a tenth) fire on
every healthy run; runs to convergence give back a few hundredths."""


def over(s: Signals) -> Finding | None:
    """The validation loss has a low behind it and has given back much of its gain, while the training loss falls on."""
    seen = [v for v in s.validation if math.isfinite(v[1])]
    if len(seen) < 5:
        return None
    values = [v for _, v in seen]
    low = min(range(len(values)), key=values.__getitem__)
    top = max(s.start(), values[0])
    now = median(values[-3:])
    gained = top - values[low]
    jitter = median(abs(b - a) for a, b in pairwise(values)) if len(values) > 2 else 0.0
    if low > len(values) - 4 or now - values[low] < max(BACK * gained, 2 * jitter * (low < 2)):
        return None
    if gained <= 0 and not (now > RISEN * values[low] > 0 and neighbours_know(s)):
        return None  # never lower than at the start: labels that cannot be learned look the same
    at, train = seen[low][0], s.loss
    then = median([x for x in train[max(0, at - 10) : at + 10] if math.isfinite(x)] or [math.nan])
    if not s.end() < 0.9 * then or not s.end() < 0.7 * now:
        return None
    return Finding(
        "overfitting",
        f"the validation loss was lowest at step {at} ({values[low]:.3g}) and is {now:.3g} now, "
        f"while the training loss fell on to {s.end():.3g}",
        "the model learns the training data by heart: it is large for them, or is trained for long",
        f"stop at step {at} (patience), or more data, augmentation, dropout, weight decay",
        since_step=at,
        confidence=0.9,
        severe=False,
        evidence={"stop_at": at, "validation": seen[-100:], "train": s.end()},
    )


def drowned(s: Signals) -> bool:
    """Has weight decay pulled the weights to a fraction of their start, and holds them there?"""
    now = s.facts.get("std_now")
    if now is None or not s.start() > 0 or s.end() < 0.5 * s.start():
        return False
    found = [
        math.hypot(now[i], s.facts["mean_now"][i]) / math.hypot(p.std, p.mean)
        for i in s.weights()
        if (p := s.parameters[i]).decay > 0 and p.std > 0
    ]
    return bool(found) and median(found) < 0.3


def neighbours_know(s: Signals) -> bool:
    """Have samples the labels of their nearest neighbours more often than by chance? Then there is something to learn,
    whatever the network makes of it."""
    return s.neighbours is not None and answered(s, *s.neighbours())


def answered(s: Signals, right: int, of: int) -> bool:
    """More right answers than the commonest class alone would have, by three standard errors."""
    wanted = s.wanted()
    if not wanted:
        return False
    share = max(wanted.values()) / sum(wanted.values())
    return right - share * of > 3 * math.sqrt(of * share * (1 - share)) if of else False


FLAT = 0.05
HIGH = 0.5


def under(s: Signals) -> Finding | None:
    """The training loss has come to rest high, validation is as high, and no other learning rate gets it lower."""
    nothing, blocks = s.ignorance(), s.blocks()
    if drowned(s):
        return _drowned(s)
    if s.kind() != "classes" or not nothing > 0 or s.steps < 200 or len(s.validation) < 3 or not blocks:
        return None
    end, before = blocks[-1], blocks[5]
    if not HIGH * nothing < end < 1.05 * nothing or before - end > FLAT * nothing:
        return None
    if abs(s.validation[-1][1] - end) > 0.1 * nothing or (end > 0.93 * nothing and not neighbours_know(s)):
        return None
    made = s.again((1.0, 0.1, 3.0, 10.0)) if s.again is not None else None
    if made is not None:
        best = min(made.trained(factor) for factor in made.runs)
        if made.gain(3.0) > FLAT:
            return None
    else:
        found = s.trial((0.1, 10.0)) if s.trial is not None else None
        best = min((min(o.losses) for o in found.outcomes), default=math.nan) if found is not None else math.nan
    if not best >= end - 0.15 * nothing:
        return None
    return Finding(
        "underfitting",
        f"the training loss rests at {end:.3g}, {end / nothing:.0%} of that of knowing nothing, and validation with it",
        "the model is too small or too straight for the data",
        "more layers or units, less weight decay or dropout, features that hold what is asked for",
        confidence=0.65,
        severe=False,
        evidence={"train": end, "validation": s.validation[-1][1], "ignorance": nothing},
    )


def _drowned(s: Signals) -> Finding:
    decay = max(p.decay for p in s.parameters)
    return Finding(
        "underfitting",
        f"weight decay ({decay:g}) has pulled the weights to less than a third of their start, and the loss rests at "
        f"{s.end():.3g} ({s.start():.3g} at the start)",
        "weight decay is stronger than the gradient of the loss",
        f"weight decay {decay / 100:.1g}, and none on norms and biases",
        since_step=0,
        confidence=0.9,
        evidence={"decay": decay, "train": s.end()},
    )
