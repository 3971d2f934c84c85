"""Reduce on plateau: the one schedule with state, since it goes by a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import SupportsFloat

from ..errors import SettingError, StateError
from .arguments import checked, falling
from .schedule import Schedule, call_text, step_number

# (mode, threshold_mode) -> is the metric better than the best so far, by more than the threshold?
BETTER = {
    ("min", "rel"): lambda metric, best, threshold: metric < best * (1 - threshold),
    ("min", "abs"): lambda metric, best, threshold: metric < best - threshold,
    ("max", "rel"): lambda metric, best, threshold: metric > best * (1 + threshold),
    ("max", "abs"): lambda metric, best, threshold: metric > best + threshold,
}


@dataclass(frozen=True)
class _Settings:
    value: float
    factor: float
    patience: int
    threshold: float
    threshold_mode: str
    cooldown: int
    min: float
    mode: str
    eps: float


@dataclass(repr=False)
class Plateau:
    """A value that falls when a metric stops improving; made by `plateau(...)`.

    `update(metric)` feeds it, a call with the step gives the value, `state_dict()` and `load_state_dict()` carry its
    state through checkpoints. A deep copy is independent. Two are equal when their settings and their states are.
    """

    settings: _Settings
    lead: Schedule | None = None  # before step `at`, from chain(lead, at, plateau)
    at: int = 0
    state: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        worst = math.inf if self.settings.mode == "min" else -math.inf
        start = {"value": self.settings.value, "best": worst, "num_bad_epochs": 0, "cooldown_counter": 0}
        self.state = start | self.state

    def __call__(self, step: int) -> float:
        n = step_number(self, step)
        return self.lead(n) if self.lead is not None and n < self.at else self.state["value"]

    def update(self, metric: SupportsFloat) -> None:
        """Takes in the metric of one validation (or epoch) and decides as torch's ReduceLROnPlateau.step does.

        A nan counts as no improvement. Raises SettingError for a metric that is no number.
        """
        try:
            found = float(metric)
        except (TypeError, ValueError, RuntimeError):
            raise SettingError(
                f"plateau: the metric {metric!r} is no number; update with one, such as a loss"
            ) from None
        settings, state = self.settings, self.state
        if BETTER[settings.mode, settings.threshold_mode](found, state["best"], settings.threshold):
            state["best"] = found
            state["num_bad_epochs"] = 0
        else:
            state["num_bad_epochs"] += 1
        if state["cooldown_counter"] > 0:
            state["cooldown_counter"] -= 1
            state["num_bad_epochs"] = 0
        if state["num_bad_epochs"] > settings.patience:
            reduced = max(state["value"] * settings.factor, settings.min)
            if state["value"] - reduced > settings.eps:
                state["value"] = reduced
            state["cooldown_counter"] = settings.cooldown
            state["num_bad_epochs"] = 0

    def state_dict(self) -> dict[str, float]:
        """The state, without the settings: value, best, num_bad_epochs, cooldown_counter."""
        return dict(self.state)

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Goes on from a state. Raises StateError unless it has the entries of `state_dict()`."""
        found = sorted(map(str, state_dict)) if isinstance(state_dict, dict) else type(state_dict).__name__
        if found != sorted(self.state):
            raise StateError(f"plateau: the state has {found}, not {sorted(self.state)}; load a plateau's state_dict()")
        self.state = dict(state_dict)

    def __repr__(self) -> str:
        own = call_text(plateau, vars(self.settings))
        if self.lead is None:
            return own
        parts = dict(self.lead.arguments)["parts"] if self.lead.kind == "chain" else (self.lead,)
        return f"chain({', '.join(map(repr, parts))}, {self.at}, {own})"


def plateau(
    value: float,
    *,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    threshold_mode: str = "rel",
    cooldown: int = 0,
    min: float = 0.0,
    mode: str = "min",
    eps: float = 1e-8,
) -> Plateau:
    """Starts at `value`, and is multiplied by `factor` when a metric has not improved for `patience` updates.

    Fed by `update(metric)`; equals torch's ReduceLROnPlateau (`min` is its min_lr) decision for decision, and has its
    defaults. It is better in `mode` "min" below best * (1 - threshold), or below best - threshold with `threshold_mode`
    "abs". Never falls below `min`; changes of at most `eps` are left out; after a reduction `cooldown` updates do not
    count. May be warmed up, or be the last part of a chain. Raises SettingError for bad arguments, also min > value.
    """
    arguments = {
        "value": value,
        "factor": factor,
        "patience": patience,
        "threshold": threshold,
        "threshold_mode": threshold_mode,
        "cooldown": cooldown,
        "min": min,
        "mode": mode,
        "eps": eps,
    }
    settings = _Settings(**checked("plateau", arguments))
    falling("plateau", settings.value, settings.min, "min")
    return Plateau(settings)
