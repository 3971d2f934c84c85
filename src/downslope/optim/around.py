"""What stands around a formula: the transforms that an optimizer's settings ask for, and their scalars in each step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from ..backends.storage import step_key
from ..compiler.wrap import With
from ..errors import SettingError
from ..schedules import Plateau, Schedule
from .batch import Batch, Several
from .precision import precision
from .settings import BELOW_1, Check, check_number

if TYPE_CHECKING:
    from .base import Optimizer

# Settings of the whole optimizer, beside those that its param groups hold.
OWN: dict[str, Any] = {
    "max_norm": None,
    "clip_value": None,
    "ema": None,
    "skip_nonfinite": False,
    "cautious": False,
    "centralize": False,
    "lookahead": None,
    "nesterov_form": None,
    "grafted": None,
    "state_dtype": None,
    "param_mode": "nearest",
    "rounding_seed": 0,
}

OF_MATRICES = frozenset({"centralize"})  # transforms that leave vectors alone

_CLIPS: Check = (lambda x: x > 0, "must be above 0, or None for no clipping")
CHECKS: dict[str, Check] = {
    "max_norm": _CLIPS,
    "clip_value": _CLIPS,
    "ema": (BELOW_1[0], f"{BELOW_1[1]}, such as 0.999, or None for no average"),
}

HANDED = {"clip_value": "clip_value", "ema": "ema_decay"}
"""Settings of the whole optimizer that a step takes as they are, and the scalar that each is in its graph."""


def _check_lookahead(kind: str, value: Any) -> None:
    every, share = value if isinstance(value, tuple) and len(value) == 2 else (value, 0.5)
    numbers = isinstance(every, int | float) and isinstance(share, int | float) and not isinstance(every, bool)
    if not numbers or every < 1 or every != int(every) or not 0 <= share <= 1:
        raise SettingError(
            f"{kind}: lookahead is {value!r}; give after how many steps it goes back, and the share of the way that is "
            "kept, as in lookahead=(5, 0.5)"
        )


def _check_form(kind: str, value: Any) -> None:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < 1:
        raise SettingError(f"{kind}: nesterov_form is {value!r}; give its momentum, a number at least 0 and below 1")


def _check_graft(kind: str, value: Any) -> None:
    if not hasattr(value, "as_formula"):
        raise SettingError(
            f"{kind}: grafted is {value!r:.80}; give one of downslope's optimizers made without parameters, such as "
            "grafted=Adam(betas=(0.9, 0.99)): its step length is taken"
        )
    value.as_formula()


WRAPS: dict[str, Callable[[str, Any], None]] = {
    "lookahead": _check_lookahead,
    "nesterov_form": _check_form,
    "grafted": _check_graft,
}


def check(kind: str, own: Mapping[str, Any]) -> None:
    """Raise SettingError for a setting of the whole optimizer that is out of its range."""
    precision(kind, own["state_dtype"], own["param_mode"], own["rounding_seed"])
    for name, wraps in WRAPS.items():
        if own.get(name) is not None:
            wraps(kind, own[name])
    for name, rule in CHECKS.items():
        value = own.get(name)
        if isinstance(value, Plateau):
            raise SettingError(
                f"{kind}: {name} is {value!r}; only settings of param groups can follow a plateau, {name} follows any "
                "other schedule"
            )
        if value is not None:
            check_number(kind, name, value(0) if isinstance(value, Schedule) else value, rule)


def is_scheduled(optimizer: Optimizer) -> bool:
    """Whether a setting of the whole optimizer follows a schedule."""
    return any(isinstance(getattr(optimizer, name), Schedule) for name in CHECKS)


def transforms(optimizer: Optimizer, group: Mapping[str, Any], function: Callable[..., Any]) -> frozenset[str | With]:
    """The transforms around a group's formula."""
    wanted: list[str | With] = []
    weight_decay = group.get("weight_decay", 0.0)
    if weight_decay != 0 and not _owns(function, "weight_decay"):
        wanted.append("decoupled_decay" if group.get("decoupled_weight_decay") else "coupled_decay")
    if group.get("maximize"):
        wanted.append("maximize")
    wanted += [name for name in ("cautious", "centralize") if getattr(optimizer, name)]
    if optimizer.lookahead is not None:
        wanted.append(With("lookahead", optimizer.lookahead))
    if optimizer.nesterov_form is not None:
        wanted.append(With("nesterov_form", (optimizer.nesterov_form,)))
    if optimizer.grafted is not None:
        wanted.append(With("grafted", optimizer.grafted.as_formula()))
    if getattr(optimizer, "grad_scale", None) is not None:
        wanted.append("unscale")
    for name, transform in (("max_norm", "clip_norm"), ("clip_value", "clip_value"), ("ema", "average")):
        if getattr(optimizer, name) is not None:
            wanted.append(transform)
    return frozenset(wanted)


@cache
def _owns(function: Callable[..., Any], setting: str) -> bool:
    return setting in inspect.signature(function).parameters


def options(optimizer: Optimizer, batch: Batch | Several) -> dict[str, float] | None:
    """The scalars of the transforms in this step, or None if it is to be skipped."""
    scale = getattr(optimizer, "grad_scale", None)
    key = step_key(optimizer.rounding_seed, optimizer.steps)
    unscale = 1.0 if scale is None else 1.0 / float(scale)
    options = {"rounding": key, "seed": optimizer.rounding_seed, "unscale": unscale, **handed(optimizer)}
    max_norm = now(optimizer, "max_norm")
    if max_norm is not None or optimizer.skip_nonfinite:
        norm = batch.norm() * options["unscale"]
        if optimizer.skip_nonfinite and not norm < float("inf") and not batch.finite():
            return None
        if max_norm is not None:
            # As torch.nn.utils.clip_grad_norm_; written so that a norm of nan gives nan.
            coefficient = float(max_norm) / (norm + 1e-6)
            options["clip_coef"] = 1.0 if coefficient > 1.0 else coefficient
    return options


def handed(optimizer: Optimizer) -> dict[str, float]:
    """The scalars of a step that are settings as they stand, whatever the gradients are."""
    values = {scalar: now(optimizer, name) for name, scalar in HANDED.items()}
    return {scalar: float(value) for scalar, value in values.items() if value is not None}


def now(optimizer: Optimizer, name: str) -> Any:
    """A setting of the whole optimizer in this step."""
    value = getattr(optimizer, name)
    if isinstance(value, Schedule):
        value = value(optimizer.steps)
        check_number(type(optimizer).__name__, name, value, CHECKS[name])
    return value
