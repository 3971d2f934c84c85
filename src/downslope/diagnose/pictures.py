"""What is drawn of a finding: the series that its verdict rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import Any

import numpy as np

from .finding import Finding, Picture
from .signals import Signals

POINTS = 120
"""Buckets of a long series; the lowest and the highest of each are drawn, so that no spike is lost."""
BARS = 12
AROUND = 40  # steps before a spike and after it
Draw = Callable[[Signals, Finding], Picture]


def picture(s: Signals, finding: Finding) -> Picture | None:
    """The picture of a finding; None where nothing was seen that could be drawn."""
    found = DRAWN.get(finding.symptom, _loss)(s, finding)
    return found if any(found.lines.values()) or found.bars else None


def _thin(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    held = [(float(x), float(y)) for x, y in points if math.isfinite(y)]
    if len(held) <= 2 * POINTS:
        return held
    found = []
    for rows in np.array_split(np.arange(len(held)), POINTS):
        low, high = (pick(rows, key=lambda i: held[i][1]) for pick in (min, max))
        found += [held[i] for i in sorted({low, high})]
    return found


def _course(s: Signals) -> dict[str, list[tuple[float, float]]]:
    found = {"loss": _thin(enumerate(s.loss))}
    return found | ({"validation": _thin(s.validation)} if s.validation else {})


def _wide(s: Signals) -> bool:
    """Does the loss go over more than a factor of a thousand?"""
    found = [x for x in s.finite() if x > 0]
    return len(found) == len(s.finite()) > 0 and max(found) > 1000 * min(found)


def _loss(s: Signals, finding: Finding) -> Picture:
    marks = [(finding.since_step, f"step {finding.since_step}")] if finding.since_step else []
    nothing = s.ignorance()
    levels = [(nothing, "knowing nothing")] if math.isfinite(nothing) and not _wide(s) else []
    return Picture("the loss", _course(s), marks=marks, levels=levels, log=_wide(s))


def _over(s: Signals, finding: Finding) -> Picture:
    stop = finding.evidence["stop_at"]
    return Picture("training and validation loss", _course(s), marks=[(stop, f"stop at {stop}")])


def _spikes(s: Signals, finding: Finding) -> Picture:
    at = max(finding.evidence["spikes"], key=lambda x: x[1] - x[2])[0]
    near = range(max(0, at - AROUND), min(s.steps, at + AROUND))
    return Picture("the loss around the highest spike", {"loss": [(i, s.loss[i]) for i in near]}, log=True)


def _rates(s: Signals, finding: Finding) -> Picture:
    return Picture("the learning rate", {"lr": _thin(enumerate(s.lr))})


def _clipped(s: Signals, finding: Finding) -> Picture:
    before = _thin((x.step, x.before_clip) for x in s.samples)
    after = [x.after_clip for x in s.samples if math.isfinite(x.after_clip)]
    bound = s.facts.get("max_norm") or (median(after) if after else math.nan)
    levels = [(bound, "clipped to")] if math.isfinite(bound) else []
    return Picture("norm of the gradient before it is clipped", {"norm": before}, levels=levels, log=True)


def _bars(title: str, key: str, log: bool = False) -> Draw:
    """Bars of a mapping, or of two lists, in the evidence."""

    def draw(s: Signals, finding: Finding) -> Picture:
        return Picture(title, bars=_few(dict(finding.evidence[key])), log=log)

    return draw


def _few(values: dict[str, float]) -> dict[str, float]:
    """Evenly chosen ones of many, first and last among them."""
    names = list(values)
    if len(names) > BARS:
        names = [names[round(i * (len(names) - 1) / (BARS - 1))] for i in range(BARS)]
    return {name: float(values[name]) for name in names}


def _depth(s: Signals, finding: Finding) -> Picture:
    pairs = zip(finding.evidence["layers"], finding.evidence["gradient"])
    return Picture("gradient of each layer, the first on top", bars=_few(dict(pairs)), log=True)


def _reach(s: Signals, finding: Finding) -> Picture:
    """The gradient of every parameter; one that has none is an empty bar."""
    if not s.samples:
        return _loss(s, finding)
    grads = np.nan_to_num(np.stack([x.grad for x in s.samples]))
    return Picture("gradient of each parameter", bars=_few(dict(zip((p.name for p in s.parameters), grads.max(0)))))


def _still(s: Signals, finding: Finding) -> Picture:
    before = _thin((x.step, x.before_clip) for x in s.samples)
    return Picture("norm of the gradient, while the loss stands", {"norm": before}, log=True)


def _classes(s: Signals, finding: Finding) -> Picture:
    late = [x for x in s.losses if x.step > 0.6 * s.steps]
    said, wanted = (sum((getattr(x, key) for x in late), Counter[int]()) for key in ("predicted", "wanted"))
    shown = sorted({*(k for k, _ in wanted.most_common(BARS // 2)), *(k for k, _ in said.most_common(2))})
    share = lambda counts, k: counts[k] / max(1, counts.total())  # noqa: E731
    bars = {f"class {k}, {words}": share(c, k) for k in shown for words, c in (("wanted", wanted), ("said", said))}
    return Picture("share of each class, wanted and said", bars=bars)


def _noise(s: Signals, finding: Finding) -> Picture:
    keys = {"batch": "batch", "low": "noise scale, at least", "noise_scale": "noise scale", "high": "at most"}
    known = {words: float(finding.evidence[key]) for key, words in keys.items() if key in finding.evidence}
    return Picture("samples", bars=known, log=True)


def _sorted(s: Signals, finding: Finding) -> Picture:
    of: Sequence[tuple[str, Any]] = (("of one batch", "within"), ("of the whole run", "chance"))
    return Picture("two samples share their label", bars={words: finding.evidence[key] for words, key in of})


DRAWN: dict[str, Draw] = {
    "overfitting": _over,
    "loss-spikes": _spikes,
    "scheduler-never-stepped": _rates,
    "scheduler-before-optimizer": _rates,
    "clipping-always": _clipped,
    "vanishing-gradients": _depth,
    "exploding-gradients": _depth,
    "dead-relu": _bars("share of dead units", "share"),
    "saturated-units": _bars("share of saturated values", "share"),
    "init-too-large": _bars("variance over the expected", "variance_over_expected", log=True),
    "init-too-small": _bars("variance over the expected", "variance_over_expected", log=True),
    "batch-norm-batch-too-small": _bars("how far batch means jump, in variances", "jitter"),
    "weight-decay-on-norms": _bars("gains, which began at 1", "gain"),
    "no-gradient": _reach,
    "stuck-large-gradients": _still,
    "plateau": _still,
    "one-class": _classes,
    "batch-too-small": _noise,
    "sorted-data": _sorted,
}
"""By symptom; the others show the course of the loss."""
