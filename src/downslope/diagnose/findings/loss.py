"""The course of the loss: it explodes, it has spikes."""

from __future__ import annotations

import math
from statistics import median

import numpy as np

from ..finding import Finding
from ..signals import Signals

TIMES = 3.0
"""Times its start: cs231n's rule to break off early; no alarm in healthy runs, in the median of ten steps."""


def exploding(s: Signals) -> Finding | None:
    """The loss is, in the median of the last steps, three times its start."""
    found = s.finite()
    if len(found) < 5 or not s.start() > 0:
        return None
    end = median(found[-min(10, max(3, len(found) // 5)) :])
    if end < TIMES * s.start():
        return None
    since = next((i for i, x in enumerate(s.loss) if x > TIMES * s.start()), s.steps - 1)
    uphill = median([x.along for x in s.samples if math.isfinite(x.along)] or [math.nan])
    up = uphill > 0.3
    return Finding(
        "loss-exploding",
        f"the loss is {end:.3g}, {end / s.start():.2g} times its start ({s.start():.3g})",
        "steps go up the gradient: the loss is maximised" if up else "each step makes the next one larger",
        "the sign of the loss, or maximize=True" if up else "lower the learning rate, clip the gradient by its norm",
        since_step=since,
        confidence=0.95,
        evidence={"start": s.start(), "end": end, "along_gradient": uphill, "loss": list(s.loss)[-200:]},
    )


def spikes(s: Signals) -> Finding | None:
    """The loss jumps far above its level, again and again, in a run that goes well otherwise.

    Causes are ranked: gradients that grew before it against a second moment that was stale; one bad batch that is high
    and gone; steps too large, after which it stays high for a while."""
    found = [x for x in s.spikes if x["step"] > 0.1 * s.steps]
    if len(found) < 1 or s.steps < 60 or s.end() > s.start():
        return None
    worst = max(found, key=lambda x: x["loss"] - x["usual"])
    if worst["loss"] < 3 * worst["usual"] or worst["loss"] < s.start():
        return None
    at = worst["step"]
    after = [x for x in list(s.loss)[at + 1 : at + 4] if math.isfinite(x)]
    returned = bool(after) and max(after) < worst["usual"] + 0.5 * (worst["loss"] - worst["usual"])
    stale = max((x.get("staleness", math.nan) for x in worst["before"][-5:]), default=math.nan)
    moved = [x.get("update", math.nan) for x in worst["before"] if math.isfinite(x.get("update", math.nan))]
    leap = moved[-1] / median(moved) if len(moved) > 3 else math.nan
    ranked = [
        (np.nan_to_num(stale) / 100, "the second moment was stale: gradients had been small, then grew at once",
         "a lower beta2 (0.95), or clip the gradient by its norm"),
        (np.nan_to_num(leap) / 5, "the step before it was far longer than usual: the learning rate is at its edge",
         "lower the learning rate, or clip the gradient by its norm"),
        (2.0 if returned else 0.1, "a bad batch: it is high for that batch alone, and back at once",
         f"look at the samples of step {at}: labels, scale, missing values; or clip the gradient"),
    ]  # fmt: skip
    ranked.sort(key=lambda x: -x[0])
    return Finding(
        "loss-spikes",
        f"{len(found)} spikes in the loss, the highest at step {at}: {worst['loss']:.3g} after {worst['usual']:.3g}",
        ranked[0][1],
        ranked[0][2],
        since_step=found[0]["step"],
        confidence=0.7,
        severe=False,
        alternatives=tuple(text for _, text, _ in ranked[1:]),
        evidence={"spikes": [(x["step"], x["loss"], x["usual"]) for x in found], "before": worst["before"][-10:]},
    )
