"""torch's learning-rate schedulers of an optimizer, which it does not know itself. Costs one or two scans of all
objects, some 20 ms each."""

from __future__ import annotations

import gc
from typing import Any

import torch


def schedulers(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Name, number of calls after the one at its start, and the horizon if it has one, of each that holds it."""
    from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

    holders = gc.get_referrers(optimizer)
    # what holds it by its attributes is found in a second scan, where they are a scheduler's
    attributes = [held for held in holders if isinstance(held, dict) and "optimizer" in held and "last_epoch" in held]
    found = []
    for each in holders + (gc.get_referrers(*attributes) if attributes else []):
        if isinstance(each, LRScheduler) and getattr(each, "optimizer", None) is optimizer:
            # warm restarts count by last_epoch alone, steps to a given epoch by the other
            counted = 0 if isinstance(each, ReduceLROnPlateau) else getattr(each, "_step_count", 1) - 1
            calls = max(each.last_epoch, counted)
            horizon = getattr(each, "T_max", None) or getattr(each, "total_steps", None)
            entry = {"name": type(each).__name__, "calls": int(calls), "horizon": horizon, "id": id(each)}
            if entry not in found:
                found.append(entry)
    return found
