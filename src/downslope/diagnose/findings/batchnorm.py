"""Batch norms: batches too small for their statistics, and running statistics that are not those of the batches."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np

from ..finding import Finding
from ..signals import Signals
from .reach import listed

FEW = 4
"""Values of a channel: the variance of 4 has a relative deviation of sqrt(2/3) = 0.8, and 2 leave only a sign."""
JITTER = 0.3
"""Variance of the batch means over the running variance: that of 3 independent values or fewer."""
FORGETS = 0.8
"""Momentum from which the running statistics are those of the last batch or two: torch's 0.1 is others' 0.9."""
GAP = 1.0
"""Running mean from the mean of the batch means, in running deviations; running variance 4 times off also counts."""


def small_batch(s: Signals) -> Finding | None:
    """Statistics of the batches jump from one to the next nearly as far as samples do."""
    found = {}
    for name, seen in s.norms.items():
        if len(seen) < 8:
            continue
        few = median(x.values for x in seen) <= FEW
        var = np.maximum(np.mean([x.running_var for x in seen], axis=0), 1e-12)
        means = np.stack([x.mean for x in seen])
        jitter = float(np.median((np.diff(means, axis=0) ** 2).mean(0) / 2 / var))
        if few or (jitter > JITTER and median(x.samples for x in seen) <= 8):
            found[name] = jitter
    if not found:
        return None
    size = int(median(x.samples for seen in s.norms.values() for x in seen))
    return Finding(
        "batch-norm-batch-too-small",
        f"batches of {size} are too small for the batch norms {listed(list(found))}: their means vary by "
        f"{max(found.values()):.0%} of the variance from batch to batch",
        "each sample is normalised by the few that happen to be with it, and evaluation sees other statistics",
        "larger batches, or GroupNorm or LayerNorm, which do not look at the batch",
        since_step=0,
        confidence=0.9,
        evidence={"jitter": found, "batch": size},
    )


def gap(s: Signals) -> Finding | None:
    """The running statistics, which evaluation uses, are far from what training has used for the last batches."""
    found: dict[str, dict[str, Any]] = {}
    for name, seen in s.norms.items():
        momentum = seen[-1].momentum
        late = [x for x in seen if x.step >= s.steps / 2]  # each with the running ones of its own step: both move
        if len(late) < 3 or s.steps < 50:
            continue
        if momentum is not None and momentum > FORGETS:
            found[name] = {"mean": math.nan, "variance": math.nan, "momentum": float(momentum)}
            continue
        var = np.maximum(np.mean([x.var for x in late], axis=0), 1e-12)
        off = np.abs(np.mean([x.mean - x.running_mean for x in late], axis=0)) / np.sqrt(var)
        scale = np.abs(np.log(np.maximum(np.mean([x.running_var for x in late], axis=0), 1e-12) / var))
        # (1 - momentum)^steps of the running statistics are still 0 and 1, which nobody measured
        stale = momentum is not None and (1 - momentum) ** s.steps > 0.5
        far, wide = (GAP / 4, np.log(1.5)) if stale else (GAP, np.log(4.0))
        if float(np.median(off)) > far or float(np.median(scale)) > wide:
            found[name] = {
                "mean": float(np.median(off)),
                "variance": float(np.exp(np.median(scale))),
                "momentum": momentum,
            }
    if not found:
        return None
    first = next(iter(found.values()))
    if first["momentum"] is not None and first["momentum"] > FORGETS:
        return _forgets(found, first["momentum"])
    return Finding(
        "batch-norm-gap",
        f"the running statistics of {listed(list(found))} are not those of the batches: means {first['mean']:.2g} "
        f"deviations off, variances {first['variance']:.2g} times",
        f"momentum {first['momentum']} follows too slowly, or other data went through in training mode: "
        "evaluation sees another network than training does",
        "raise the momentum (0.1 is torch's), or recompute the statistics over the training data before scoring",
        confidence=0.85,
        evidence=found,
    )


def _forgets(found: dict[str, Any], momentum: float) -> Finding:
    return Finding(
        "batch-norm-gap",
        f"the running statistics of {listed(list(found))} are those of the last batch or two: momentum {momentum:g}",
        "torch's momentum is the part that is new, one minus what other libraries call so: evaluation normalises by "
        "whatever batch came last",
        f"momentum {max(0.01, 1 - momentum):.2g} (0.1 is torch's)",
        since_step=0,
        confidence=0.9,
        evidence=found,
    )
