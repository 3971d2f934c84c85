"""What a user or a finding asks of a watch: forks with other settings, and how near the edge of stability is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from ..errors import SettingError
from .forks import Change
from .probes.trial import Trial, loss_of
from .whatif import FACTORS, Verdict, learning_rates

BATCHES, PRODUCTS = 4, 20
LONG = 2_000_000  # parameters beyond which nobody asks for a curvature by the way


def whatif(
    trial: Trial,
    lr: Iterable[float | str] | None,
    clip: Iterable[float | str],
    optimizer: Mapping[str, Callable[[nn.Module], torch.optim.Optimizer]],
    settings: Iterable[Mapping[str, Any]],
    steps: int,
    repeats: int,
    why: str = "",
) -> Verdict:
    """Forks on the batches that are kept. Raises SettingError where a step cannot be made anew, with `why` if known."""
    if steps < 1 or repeats < 1:
        raise SettingError(f"whatif: steps={steps}, repeats={repeats}: must be at least 1")
    if not trial.ready:
        why = why or "its loss, as its graph tells, is not of what the model gives, or is none that is known"
        raise SettingError(
            "whatif: no batch has been seen yet; ask after some steps"
            if trial.usable is None or trial.usable
            else f"whatif: the loop's step cannot be made anew: {why}; downslope.diagnose.whatif.what_if takes a step"
        )
    changes = learning_rates(FACTORS if lr is None else [_factor(each) for each in lr])
    for norm in clip:
        if norm == "off":
            changes.append(Change("not clipped", max_norm=math.inf, step=trial.unclipped))
        elif isinstance(norm, int | float) and 0 < norm < math.inf:
            changes.append(Change(f"clipped to {norm:g}", max_norm=float(norm), step=trial.unclipped))
        else:
            raise SettingError(f'whatif: clip {norm!r}: give a norm above 0, or "off"')
    changes += [Change(name, optimizer=make) for name, make in optimizer.items()]
    changes += [Change(", ".join(f"{k}={v}" for k, v in each.items()), settings=dict(each)) for each in settings]
    found = trial.compare(changes, steps=steps, repeats=repeats, patient=True)
    assert found is not None
    return found


def _factor(given: float | str) -> float:
    text = given.strip().removesuffix("x") if isinstance(given, str) else given
    try:
        return float(text)
    except ValueError:
        raise SettingError(f'whatif: lr {given!r}: give factors, such as 0.3 or "0.3x"') from None


def edge(trial: Trial, optimizer: torch.optim.Optimizer) -> float:
    """The largest curvature that the optimizer feels, over the limit of its rule; nan where that is not known, or would
    take too long."""
    from .curvature.precondition import stability
    from .probes.trial import LIMIT

    size = sum(p.numel() for p in trial.model.parameters())
    if not trial.ready or size > LONG or trial.seconds * BATCHES * PRODUCTS * 4 > min(LIMIT, trial.left):
        return math.nan
    kept = list(trial.batches)[-BATCHES:]
    losses = [lambda batch=batch: loss_of(trial.model, batch) for batch in kept]
    with torch.enable_grad():
        found = stability(optimizer, losses, trial.model, products=PRODUCTS, train=trial.model.training)
    return math.nan if found.share is None else found.share
