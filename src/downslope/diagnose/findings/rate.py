"""What both judges of the learning rate ask: how large steps are, and what forks and runs made again came to."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np

from ..again import Again
from ..signals import Sample, Signals
from ..whatif import mean_loss

LONG = 100
"""Steps of a run that a fork of 40 from the same start is not to beat by a quarter."""


def ratio(sample: Sample, s: Signals) -> float:
    """Update over weight of a step: median of the weight matrices."""
    found = [
        sample.update[i] / sample.weight[i]
        for i in s.weights()
        if np.isfinite(sample.update[i]) and sample.weight[i] > 0
    ]
    return float(median(found)) if found else math.nan


def told(made: Again, factor: float) -> str:
    return (
        f"made again from the same start on samples of its batches, lr x {factor:g} came to {made.held(factor):.3g} "
        f"on those held out, the rate as it is to {made.held(1.0):.3g}, in {made.steps} steps each"
    )


def nan_to(value: float, other: float) -> float:
    return other if math.isnan(value) else value


def asked(s: Signals, factors: Any) -> Any:
    return None if s.trial is None else s.trial(factors)


def best_of(found: Any) -> tuple[float, float] | None:
    """(factor, loss) of the lowest, if any is finite and it is not the rate as it is."""
    if found is None:
        return None
    losses = {o.change.lr_factor: mean_loss(o.losses) for o in found.outcomes}
    factor = min(losses, key=losses.__getitem__)
    return (factor, losses[factor]) if factor != 1.0 and math.isfinite(losses[factor]) else None


def own_of(found: Any) -> float:
    return math.nan if found is None else next(mean_loss(o.losses) for o in found.outcomes if o.change.lr_factor == 1.0)
