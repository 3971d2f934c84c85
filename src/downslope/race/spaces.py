"""The space that an optimizer is searched in: its row of the table, or ranges around its own defaults."""

from __future__ import annotations

import math
from typing import Any

from ..errors import SettingError
from .dimension import Dimension, Space, momentum
from .ranges import COUPLED, DECOUPLED, FREE, TABLE
from .trial import rounded

HALF_WIDTH = 2.0
"""Decades of learning rates to both sides of the centre. Eight Halton points over four decades find as good a rate as a
grid in half decades; a best rate at an edge moves the edge."""
FACTOR = 1.0
"""The same of rules that find the rate by themselves, whose lr is a factor of it."""


def space_of(name: str, made: Any) -> Space:
    """Where an optimizer's settings are looked for: its row of the table, or ranges around its own defaults.

    `made` is its class. Raises SettingError for one without a default learning rate."""
    defaults = dict(getattr(made, "setting_defaults", {}))
    if name in TABLE and made.__module__ == "downslope.optim":  # a user's own of the same name is another one
        middle, source, rest = TABLE[name]
        return (_rates(middle, source, FACTOR if name in FREE else HALF_WIDTH), *rest)
    rate = defaults.get("lr")
    if not isinstance(rate, int | float) or not rate > 0:
        raise SettingError(f"{name}: has no default learning rate to look around; give its setting `lr` a default")
    found = [_rates(math.log10(rate), f"two decades around its own default {rate:g}")]
    for setting, default in defaults.items():
        if isinstance(default, tuple):
            found += [d for i, x in enumerate(default) if (d := _around(f"{setting}[{i}]", x, 2 if i == 0 else 3))]
        elif setting != "lr" and (d := _around(setting, default, 2)):
            found.append(d)
    return tuple(sorted(found, key=lambda d: d.rank))


def _rates(middle: float, source: str, half: float = HALF_WIDTH) -> Dimension:
    return Dimension("lr", rounded(10 ** (middle - half)), rounded(10 ** (middle + half)), source=source)


def _around(setting: str, default: Any, rank: int) -> Dimension | None:
    """The range around a default that is called as such settings are; None for any other."""
    if not isinstance(default, int | float) or isinstance(default, bool):
        return None
    if setting == "weight_decay":
        return COUPLED if default == 0 else DECOUPLED
    if setting.startswith(("beta", "momentum", "rho")) and 0 < default < 1:
        low, high = max(0.0, 1 - 5 * (1 - default)), 1 - (1 - default) / 5
        return momentum(setting, rounded(low), rounded(high), f"1 - {setting} within 5 times its default", rank)
    if setting == "eps" and default > 0:
        return Dimension(setting, rounded(default / 100), rounded(default * 1e4), rank=3, source="around its default")
    return None


def by_trials(space: Space, trials: int) -> Space:
    """The dimensions that so many trials pay for: the learning rate alone below 10, momentum and weight decay from 10,
    the rest from 25 on (Godbole et al. 2023, the deep-learning tuning playbook)."""
    rank = 1 if trials < 10 else 2 if trials < 25 else 3
    return tuple(d for d in space if d.rank <= rank)
