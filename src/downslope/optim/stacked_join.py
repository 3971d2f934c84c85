"""Optimizers that are at work, as one for all: their states stacked, and handed back to them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .base import Optimizer
from .stacked import Clock, Stacked


def join(parameters: Sequence[torch.Tensor], optimizers: Sequence[Optimizer]) -> Stacked:
    """The optimizer of `parameters`, tensors [K, ...], that goes on where these K are, each with its own settings.

    They have one param group each, with a parameter for each tensor; they keep the schedules, which go on in them, and
    take no steps until their states are handed back. Costs a copy of the states. Raises what Stacked raises."""
    held = [optimizer.param_groups[0]["params"] for optimizer in optimizers]
    joined = Stacked(parameters, lambda k, _: optimizers[k], len(optimizers))
    for optimizer, own in zip(optimizers, held):
        optimizer.param_groups[0]["params"] = own
    joined.steps[:] = [optimizer.steps for optimizer in optimizers]
    joined.skipped_steps[:] = [optimizer.skipped_steps for optimizer in optimizers]
    plans = joined._plans()
    width = 1 + max(len(plan.updates) for plan in plans)
    double = torch.get_default_dtype() == torch.float64
    clocks: dict[bytes, Clock] = {}
    for place, stacked in enumerate(joined.params):
        states = [optimizer.state.get(own[place], {}) for optimizer, own in zip(optimizers, held)]
        if not any(states):
            continue
        numbers = np.zeros((len(optimizers), width), dtype=np.float64 if double else np.float32)
        for k, (state, plan) in enumerate(zip(states, plans)):
            numbers[k, 0] = float(state.get("step", 1.0))  # not shown: what matters is that it is not the first
            numbers[k, 1 : 1 + len(plan.updates)] = [float(state[name]) for name in plan.updates]
            for name in plan.tensors[2:]:
                whole = joined.states[place].setdefault(name, torch.zeros_like(stacked.detach()))
                whole[k].copy_(state[name])
        clocks.setdefault(numbers.tobytes(), Clock([], numbers)).places.append(place)
    joined._clocks = list(clocks.values())
    return joined


def hand_back(joined: Stacked, optimizers: Sequence[Optimizer]) -> None:
    """Give each optimizer its states and counts as they are now: views of the stacked ones, and copies of numbers."""
    for k, optimizer in enumerate(optimizers):
        for parameter, state in zip(optimizer.param_groups[0]["params"], joined.state_of(k)):
            if state:
                optimizer.state[parameter] = state
        optimizer.steps, optimizer.skipped_steps = int(joined.steps[k]), int(joined.skipped_steps[k])
