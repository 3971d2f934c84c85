"""Settings of the optimizer that work against it: weight decay where it does harm, clipping at every step."""

from __future__ import annotations

import math
from statistics import median

from ..finding import Finding
from ..signals import Signals
from .reach import listed

SHRUNK = 0.3
"""Of a norm's gain, from the start. Decay of 5e-4 on everything, as is usual with SGD, leaves it above 0.6."""
CLIPPED, FAR = 0.9, 10.0
"""Share of the steps that are clipped, and how far: Google's tuning playbook calls half of them "extremely aggressive";
transformers at 1.0 are clipped often at the start and by less than 5."""


def decay(s: Signals) -> Finding | None:
    """Weight decay has pulled the gains of norms toward zero: they began at 1."""
    now = s.facts.get("mean_now")
    if now is None or s.steps < 20:
        return None
    found = {}
    for p, mean, std in zip(s.parameters, now, s.facts["std_now"]):
        if p.kind == "norm" and p.trained and p.decay > 0 and p.name.endswith("weight") and p.mean > 0.5:
            size = math.hypot(mean, std)
            pulled = math.fsum(s.lr) * p.decay  # by decay alone, as a rate
            if size < SHRUNK * p.mean and pulled > -math.log(0.5):
                found[p.name] = size
    if not found:
        return None
    return Finding(
        "weight-decay-on-norms",
        f"weight decay has pulled the gains of {listed(list(found))} from 1 to {min(found.values()):.2g}",
        "one weight decay for all parameters, norms and biases included, which have no use for it",
        "two param groups: weight_decay=0 for parameters with one dimension",
        confidence=0.85,
        severe=False,
        evidence={"gain": found},
    )


def clipping(s: Signals) -> Finding | None:
    """Nearly all gradients are clipped, and to less than a tenth."""
    limit = s.facts.get("max_norm")
    seen = [x for x in s.samples if x.before_clip > 0 and math.isfinite(x.before_clip)]
    if len(seen) < 20 or s.steps < 50:
        return None
    late = seen[len(seen) // 4 :]
    after = [min(x.after_clip, limit) if limit else x.after_clip for x in late]
    ratios = [x.before_clip / a for x, a in zip(late, after) if a > 0]
    clipped = [r for r in ratios if r > 1.001]
    if len(clipped) < CLIPPED * len(late) or median(clipped) < FAR:
        return None
    # a GradScaler's factor is the same power of two at every step
    if max(clipped) < 1.0001 * min(clipped) and math.frexp(round(clipped[0]))[0] == 0.5:
        return None
    high = sorted(x.before_clip for x in late)[int(0.9 * len(late))]
    return Finding(
        "clipping-always",
        f"{len(clipped) / len(late):.0%} of the gradients are clipped, in the median to 1/{median(clipped):.3g}",
        "the bound is far below the size that gradients have: it sets the step length, not the learning rate",
        f"clip at the 90th percentile of the gradient norm, {high:.3g} here, or lower the learning rate instead",
        confidence=0.85,
        severe=False,
        evidence={
            "share": len(clipped) / len(late),
            "factor": median(clipped),
            "norms": [x.before_clip for x in late[-50:]],
        },
    )
