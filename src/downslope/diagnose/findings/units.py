"""Units that have lost their slope: dead ReLUs, saturated sigmoids and tanhs."""

from __future__ import annotations

from statistics import median

import numpy as np

from ..finding import Finding
from ..signals import Signals
from .reach import listed

DEAD, SATURATED = 0.7, 0.8
"""Shares of a layer's units, and of its values. A third of the units may be dead in a healthy ReLU network; published
rules that take half raise no alarm either, but find less than they miss."""


def dead(s: Signals) -> Finding | None:
    """Units before a ReLU whose weights got no gradient at all in the last ten samples.

    From gradients, so that it holds for whatever the batches held; needs no hook. Rows of an embedding do not count."""
    found = {}
    for p in s.parameters:
        rows = s.dead.get(p.name)
        if p.follows != "relu" or rows is None or len(rows) < 5:
            continue
        share = float(np.logical_and.reduce(list(rows)).mean())
        if share > DEAD:
            found[p.name] = share
    if not found or s.steps < 20 or s.end() < 0.3 * s.start():  # it has learned with the rest
        return None
    return Finding(
        "dead-relu",
        f"{max(found.values()):.0%} of the units of {listed(list(found))} are dead: below zero for every sample",
        "a step that was too large, or a bias far below zero, has pushed them where ReLU has no slope",
        "lower the learning rate or warm it up, start biases at zero; or LeakyReLU, GELU",
        since_step=min(s.alive.get(name, -1) + 1 for name in found),
        confidence=0.9,
        evidence={"share": found},
    )


def saturated(s: Signals) -> Finding | None:
    """Most values before sigmoid or tanh lie where its slope is under 1 % of its largest, in the last samples."""
    late = [layers for _, layers in s.layers[len(s.layers) // 2 :]]
    if len(late) < 3 or s.steps < 20:
        return None
    found = {}
    last = s.parameters[s.weights()[-1]].name.rpartition(".")[0] if s.weights() else ""
    for name in late[-1]:
        share = median(layers[name].flat for layers in late if name in layers)
        if share > SATURATED and name != last:
            found[name] = share
    if not found or s.end() < 0.5 * s.start():
        return None
    return Finding(
        "saturated-units",
        f"{max(found.values()):.0%} of the values after {listed(list(found))} are saturated",
        "weights or inputs too large push the activation to where its slope is gone",
        "normalise the inputs, start with smaller weights (Xavier), put a norm before the activation",
        since_step=min(_since(s, name) for name in found),
        confidence=0.9,
        evidence={"share": found},
    )


def _since(s: Signals, name: str) -> int:
    """The step after the last sample in which most values of a layer had a slope; 0 if there was none."""
    free = [step for step, layers in s.layers if name in layers and layers[name].flat <= SATURATED]
    return free[-1] + 1 if free else 0
