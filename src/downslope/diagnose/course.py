"""What the losses of a run say by themselves, where nobody can look into it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from .finding import Report
from .pictures import picture
from .probes.spikes import Spikes
from .signals import Signals


def report(
    losses: Sequence[float], validation: Sequence[tuple[int, float]], found: Mapping[str, Any], budget: float, why: str
) -> Report:
    """The report of a run that had these losses at its steps, and on the validation data after so many steps.

    `found` is what is known of a last loss that is not finite, such as {"weights": names}; `why` says in the notes why
    there is no more. Costs about 2 us a step."""
    from .findings import BY_LOSSES, judge

    s = Signals()
    spikes = Spikes(s, None)
    for step, loss in enumerate(losses):
        if s.not_finite is None and not math.isfinite(loss):
            s.not_finite = {"step": step, "where": "loss", **(found or {"unseen": True})}
        spikes.see(loss, lambda: 0)
        s.loss.append(loss)
    s.validation = list(validation)
    judged, notes = judge(s, BY_LOSSES)
    judged = [replace(each, picture=picture(s, each)) for each in judged]
    return Report(judged, s.steps, 0.0, budget, [f"judged by its losses alone: {why}", *notes])
