"""The course of the loss: it explodes, it has spikes."""

from __future__ import annotations

import math
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from ..finding import Finding
from ..forensics import Cause, Inquest
from ..signals import Signals

TIMES = 3.0
"""Times its start: cs231n's rule to break off early; no alarm in healthy runs, in the median of ten steps."""


def exploding(s: Signals) -> Finding | None:
    """The loss is, in the median of the last steps, three times its start."""
    found = s.finite()
    if len(found) >= 5 and s.kind() in ("classes", "binary", "values") and s.start() < 0:
        return _below_zero(s)
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


def _below_zero(s: Signals) -> Finding | None:
    """A loss that is never negative, and falls below zero without end: its sign was turned."""
    if not s.end() < TIMES * s.start():
        return None
    return Finding(
        "loss-exploding",
        f"the loss began at {s.start():.3g} and is {s.end():.3g}; one of this kind is never below 0",
        "the sign of the loss: it is maximised",
        "minimise the loss as it is, without the minus",
        since_step=0,
        confidence=0.95,
        evidence={"start": s.start(), "end": s.end(), "loss": list(s.loss)[-200:]},
    )


FAR = 10.0
"""Times the start: so high a lone spike is worth a word even if the loss is back at once."""
JITTERS = 10.0
"""A spike's height over the usual jitter of the loss, both as logarithms: losses of single batches are skewed, the more
the lower they are, and single samples' the most."""


def sharp(s: Signals) -> list[dict[str, Any]]:
    """Spikes past the first tenth of the run that stand out: above the start, three times their level, and far above
    the jitter."""
    late = [x for x in s.spikes if x["step"] > 0.1 * s.steps]
    return [x for x in late if x["loss"] >= max(3 * x["usual"], s.start()) and _high(s, x)]


def _high(s: Signals, spike: dict[str, Any]) -> bool:
    logs = [math.log(x) for x in s.finite() if x > 0]
    jitter = 1.05 * median(abs(b - a) for a, b in pairwise(logs))
    return spike["usual"] > 0 and math.log(spike["loss"] / spike["usual"]) > JITTERS * jitter


def spikes(s: Signals) -> Finding | None:
    """The loss jumps far above its level, again and again, in a run that goes well otherwise.

    Its causes are ranked by a replay of the highest one, where the steps before it were kept."""
    found = sharp(s)
    if s.steps < 60 or s.end() > s.start() or not found:
        return None
    worst = max(found, key=lambda x: x["loss"] - x["usual"])
    asked = s.inquest(worst["step"]) if s.inquest is not None else None
    causes = getattr(asked, "causes", None) or _guessed(s, worst)
    lone = len(found) < 2 and worst["loss"] < FAR * s.start() and _returned(s, worst)
    if lone and isinstance(asked, Inquest) and causes[0].name in ("learning rate", "stale second moment"):
        return None  # by a replay the rule stumbled once, and was back at once: data and numbers are well
    evidence = {"spikes": [(x["step"], x["loss"], x["usual"]) for x in found], "before": _plain(worst["before"][-10:])}
    evidence |= {"updates_over_usual": _leaps(s, worst["before"])}
    return Finding(
        "loss-spikes",
        f"{len(found)} spike{'s' * (len(found) > 1)} in the loss, the highest at step {worst['step']}: "
        f"{worst['loss']:.3g} after {worst['usual']:.3g}",
        causes[0].words,
        causes[0].remedy,
        since_step=found[0]["step"],
        confidence=0.9 if isinstance(asked, Inquest) and asked.causes else 0.6,
        severe=False,
        alternatives=tuple(cause.words for cause in causes[1:]),
        evidence=evidence | (asked.figures if isinstance(asked, Inquest) else {}),
        tried=_told(asked),
    )


def _plain(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in step.items() if k != "updates"} for step in steps]


def _leaps(s: Signals, before: list[dict[str, Any]]) -> dict[str, float]:
    """Of each parameter, the last update's norm over the median of those before: those that leapt most."""
    seen = [step["updates"] for step in before if "updates" in step]
    if len(seen) < 4:
        return {}
    usual = np.nanmedian(np.stack(seen[:-1]), axis=0)
    found = {p.name: float(a / b) for p, a, b in zip(s.parameters, seen[-1], usual) if b > 0}
    return dict(sorted(found.items(), key=lambda item: -item[1])[:6])


def _returned(s: Signals, spike: dict[str, Any]) -> bool:
    """Is the loss halfway back in each of the three steps after it?"""
    after = [x for x in list(s.loss)[spike["step"] + 1 : spike["step"] + 4] if math.isfinite(x)]
    return bool(after) and max(after) < spike["usual"] + 0.5 * (spike["loss"] - spike["usual"])


def _guessed(s: Signals, worst: dict[str, Any]) -> list[Cause]:
    """Causes ranked by what was seen of the steps before, where the spike cannot be replayed."""
    at, returned = worst["step"], _returned(s, worst)
    stale = max((x.get("staleness", math.nan) for x in worst["before"][-5:]), default=math.nan)
    moved = [x.get("update", math.nan) for x in worst["before"] if math.isfinite(x.get("update", math.nan))]
    leap = moved[-1] / median(moved) if len(moved) > 3 else math.nan
    shares = float(np.nan_to_num(stale) / 100), float(np.nan_to_num(leap) / 5), 2.0 if returned else 0.1
    words = (
        ("stale second moment", "the second moment was stale: gradients had been small, then grew at once",
         "a lower beta2 (0.95), or clip the gradient by its norm"),
        ("learning rate", "the step before it was far longer than usual: the learning rate is at its edge",
         "lower the learning rate, or clip the gradient by its norm"),
        ("bad batch", "a bad batch: it is high for that batch alone, and back at once",
         f"look at the samples of step {at}: labels, scale, missing values; or clip the gradient"),
    )  # fmt: skip
    return sorted((Cause(name, share, *rest) for share, (name, *rest) in zip(shares, words)), key=lambda c: -c.share)


def _told(asked: Any) -> str | None:
    """What the replay said, in the figures of its experiments."""
    if not isinstance(asked, Inquest):
        return None if asked is None else f"not replayed: {asked}"
    said = {
        "other_batches_at_the_same_weights": "other batches at the same weights",
        "at_0.3_of_the_rate": "at 0.3 of the rate before",
        "without_the_batch_before": "without the batch before",
        "with_a_fresh_second_moment": "with a second moment that knows the gradient",
        "in_float32": "in float32",
    }
    found = [f"{words} {asked.figures[key]:.3g}" for key, words in said.items() if key in asked.figures]
    return f"replayed, the spike of {asked.figures['spike']:.3g} is: {'; '.join(found)}"
