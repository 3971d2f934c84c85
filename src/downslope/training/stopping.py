"""When to stop, and which weights were best."""

from __future__ import annotations

import math
from typing import Any

import torch


class Best:
    """The best score so far, the weights that had it, and how many scores came since without a gain.

    A score is a gain when it beats the best by more than `min_gain`; nan never does. `patience` scores without one are
    enough; None is never."""

    def __init__(self, monitor: str, *, patience: int | None = None, min_gain: float = 0.0):
        self.monitor, self.patience, self.min_gain = monitor, patience, min_gain
        self.value: float | None = None
        self.step = self.waited = 0
        self.weights: dict[str, Any] | None = None
        self.fresh = False  # not on disk yet

    def update(self, loss: float, metric: float | None, model: torch.nn.Module, step: int) -> None:
        """Take in a score of the model as it is."""
        value = metric if self.monitor == "metric" else loss
        assert value is not None
        gain = -math.inf if math.isnan(value) else math.inf
        if self.value is not None and not math.isnan(value):
            gain = value - self.value if self.monitor == "metric" else self.value - value
        if gain > self.min_gain:
            self.value, self.step, self.waited, self.fresh = value, step, 0, True
            self.weights = copied(model)
        else:
            self.waited += 1

    @property
    def enough(self) -> bool:
        return self.patience is not None and self.waited >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Without the weights, which are in best.pt."""
        return {"value": self.value, "step": self.step, "waited": self.waited}

    def load_state_dict(self, state: dict[str, Any], weights: dict[str, Any] | None) -> None:
        self.value, self.step, self.waited = state["value"], state["step"], state["waited"]
        self.weights = weights if self.value is not None else None


def copied(model: torch.nn.Module) -> dict[str, Any]:
    """The model's state dict, that later steps do not change."""
    return {
        name: value.detach().clone() if isinstance(value, torch.Tensor) else value
        for name, value in model.state_dict().items()
    }
