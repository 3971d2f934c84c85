"""What values a setting may have, by its name, and the errors for those it may not."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from ..errors import SettingError, nearest

Check = tuple[Callable[[float], bool], str]

_AT_LEAST_0: Check = (lambda x: x >= 0, "must be at least 0")
BELOW_1: Check = (lambda x: 0 <= x < 1, "must be at least 0 and below 1")
_SHARE: Check = (lambda x: 0 <= x <= 1, "must be from 0 to 1")
_ANY: Check = (lambda x: True, "")

# A tuple setting has a check for each place, or one for all. Names that are not here may be any finite number.
CHECKS: dict[str, Check | tuple[Check, ...]] = {
    "lr": _AT_LEAST_0,
    "betas": BELOW_1,
    "momentum": _AT_LEAST_0,
    "weight_decay": _AT_LEAST_0,
    "eps": _AT_LEAST_0,
    "rho": _SHARE,
    "alpha": _AT_LEAST_0,
    "lr_decay": _AT_LEAST_0,
    "initial_accumulator_value": _AT_LEAST_0,
    "momentum_decay": _AT_LEAST_0,
    "etas": ((lambda x: 0 < x < 1, "must be above 0 and below 1"), (lambda x: x > 1, "must be above 1")),
    "step_sizes": _AT_LEAST_0,
    "beta2_decay": (lambda x: x <= 0, "must be at most 0"),
    "d": (lambda x: x >= 1, "must be at least 1"),
}


# Settings that are a word.
CHOICES: dict[str, tuple[str | None, ...]] = {"adjust_lr_fn": (None, "original", "match_rms_adamw")}


def check(optimizer: str, name: str, value: Any, default: Any) -> None:
    """Raise SettingError unless the value fits the setting: its kind, its length, its range."""
    if name in CHOICES:
        if value not in CHOICES[name]:
            raise SettingError(f"{optimizer}: {name} is {value!r}; it is one of {', '.join(map(repr, CHOICES[name]))}")
    elif isinstance(default, tuple):
        if not isinstance(value, tuple | list) or len(value) != len(default):
            raise SettingError(
                f"{optimizer}: {name} is {value!r}; it takes {len(default)} numbers, such as {name}={default!r}"
            )
        checks = CHECKS.get(name, _ANY)
        for i, item in enumerate(value):
            if item is None and default[i] is None:
                continue
            one = checks[i] if isinstance(checks[0], tuple) else checks
            check_number(optimizer, f"{name}[{i}]", item, one, default[i])  # type: ignore[arg-type]
    elif isinstance(default, bool) or default is None:
        return
    else:
        check_number(optimizer, name, value, CHECKS.get(name, _ANY), default)  # type: ignore[arg-type]


def check_number(optimizer: str, name: str, value: Any, check: Check, default: float | None = None) -> None:
    """`default` is the formula's; where it is out of the range itself, its author means something else by the name."""
    if isinstance(value, torch.Tensor):
        if value.numel() != 1:
            raise SettingError(
                f"{optimizer}: {name} is a tensor of shape {tuple(value.shape)}; a setting is one number"
            )
        if value.is_meta:
            return
        value = value.item()
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise SettingError(
            f"{optimizer}: {name} is {value!r}; it must be a number, a schedule or a tensor of one element"
        )
    holds, rule = check
    known = default is None or holds(default)
    if math.isnan(float(value)) or (known and not holds(float(value))):
        raise SettingError(f"{optimizer}: {name} is {value}; it {rule or 'must be a number'}")


def unknown(optimizer: str, name: str, known: Mapping[str, Any]) -> SettingError:
    """The error for a setting that an optimizer does not have."""
    return SettingError(f"{optimizer}: has no setting {name!r}; {nearest(name, known)}")


def check_keys(optimizer: str, group: Mapping[str, Any], known: Mapping[str, Any], own: Mapping[str, Any]) -> None:
    """Raise SettingError for a key of a param group that would be kept and do nothing against its author's intent."""
    for key in group:
        if key in own:
            raise SettingError(
                f"{optimizer}: {key} is a setting of the whole optimizer, not of a param group; "
                f"write {optimizer}(params, {key}=...)"
            )
        near = difflib.get_close_matches(str(key).lower(), known, n=1, cutoff=0.85)
        if near and key not in known:
            raise SettingError(f"{optimizer}: a param group has the key {key!r}; did you mean {near[0]!r}?")
