"""What an optimizer asks for of its states' and parameters' precision, and the storage that each gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import torch

from ..backends.storage import STORAGES, Kept, as_they_are, name_of
from ..compiler.plan import Plan
from ..compiler.ranges import never_negative
from ..errors import SettingError, nearest

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "int8": torch.int8}
MODES = {"nearest": "bfloat16", "stochastic": "stochastic", "split": "split"}
PARAMETER = "p"


class Precision(NamedTuple):
    """What an optimizer asks for: the dtype of all states or of some by name, what becomes of what a bfloat16 parameter
    cannot hold, and the seed of random rounding."""

    every: torch.dtype | None
    named: tuple[tuple[str, torch.dtype], ...]
    mode: str
    seed: int

    @property
    def chosen(self) -> bool:
        return self.every is not None or bool(self.named)

    @property
    def rounds(self) -> bool:
        """Whether anything may be rounded at random."""
        return self.chosen or self.mode != "nearest"

    @property
    def low(self) -> str:
        """How bfloat16 states are rounded: as torch does, unless something else was asked for."""
        return "stochastic" if self.rounds else "bfloat16"


def precision(kind: str, state_dtype: Any, param_mode: Any, rounding_seed: Any) -> Precision:
    """The settings, read. Raises SettingError for what is none."""
    if param_mode not in MODES:
        raise SettingError(f"{kind}: param_mode is {param_mode!r}; it is one of {', '.join(map(repr, MODES))}")
    if isinstance(rounding_seed, bool) or not isinstance(rounding_seed, int):
        raise SettingError(f"{kind}: rounding_seed is {rounding_seed!r}; give a whole number")
    if isinstance(state_dtype, Mapping):
        named = tuple((str(name), _dtype(kind, value, f"[{name!r}]")) for name, value in state_dtype.items())
        return Precision(None, named, param_mode, rounding_seed)
    every = None if state_dtype is None else _dtype(kind, state_dtype)
    return Precision(every, (), param_mode, rounding_seed)


def _dtype(kind: str, value: Any, where: str = "") -> torch.dtype:
    name = str(value).removeprefix("torch.")
    if name in DTYPES and isinstance(value, str | torch.dtype):
        return DTYPES[name]
    known = f"states are kept in {', '.join(DTYPES)}"
    if name == "uint8":
        known = "int8 is for all: a state that is never negative does without the sign by itself"
    elif name in ("float16", "half"):
        known = "float16 has no room for squares of small gradients: take bfloat16"
    raise SettingError(f"{kind}: state_dtype{where} is {value!r}; {known}, or as their parameter with None")


def check_names(kind: str, asked: Precision, plans: list[Plan]) -> None:
    """Raise SettingError for a state's name that none of the plans has."""
    known = [*dict.fromkeys(name for plan in plans for name in plan.states)]
    numbers = {name for plan in plans for name in plan.numbers}
    for name, _ in asked.named:
        if name in numbers and name not in known:
            raise SettingError(f"{kind}: state_dtype names {name!r}, which is one number for a parameter; leave it out")
        if any(name in plan.kept for plan in plans) and name not in known:
            raise SettingError(
                f"{kind}: state_dtype names {name!r}, which has fewer values than its parameter; leave it out"
            )
        if name not in known and plans:
            raise SettingError(f"{kind}: state_dtype names {name!r}, which is no state here; {nearest(name, known)}")


def check_parameter(kind: str, name: Callable[[torch.Tensor], str], asked: Precision, param: torch.Tensor) -> None:
    """Raise SettingError for a parameter whose states cannot be kept otherwise, or which has no such mode."""
    if asked.chosen and (param.is_complex() or param.dtype is torch.float64):
        raise SettingError(
            f"{kind}: state_dtype is for parameters computed in float32, and {name(param)} is {param.dtype}; its "
            "states are kept in its own type: give it to another optimizer, or leave state_dtype out"
        )
    if asked.mode != "nearest" and param.dtype is torch.float16:
        raise SettingError(
            f"{kind}: param_mode={asked.mode!r} is for bfloat16 parameters, and {name(param)} is {param.dtype}; "
            "make it bfloat16 or float32"
        )


# ---- which storage


@lru_cache(maxsize=512)
def _without_sign(plan: Plan) -> frozenset[str]:
    return never_negative(plan.graph)


def for_state(asked: Precision, plan: Plan, name: str, of: torch.dtype) -> str:
    """The storage of a state that is made now for a parameter of a dtype.

    One that starts at the parameter is a point and no mean of gradients: only its own name puts it into 8 bits."""
    named = dict(asked.named)
    dtype = named.get(name, asked.every)
    if dtype is torch.int8 and name not in named and plan.graph.states[name] == PARAMETER:
        dtype = None
    if dtype is None:
        dtype = of
    if dtype is torch.bfloat16:
        return asked.low
    if dtype is torch.int8 and name in _without_sign(plan):
        return "uint8"
    return name_of(dtype)


def planned(plan: Plan, dtype: str, states: str) -> Kept:
    """How a plan's tensors would be kept, with states of a dtype of their own."""
    asked = precision("state_dtype", None if states == dtype else states, "nearest", 0)
    of = STORAGES[dtype].dtype
    return tuple(
        for_state(asked, plan, name, of) if name in plan.states else storage
        for name, storage in zip(plan.tensors, as_they_are(plan.tensors, dtype))
    )


def storages(asked: Precision, plan: Plan, param: torch.Tensor, state: Mapping[str, Any]) -> Kept:
    """How a plan's tensors are kept, of states that there are: their dtype says it."""
    found = dict(zip(plan.tensors, as_they_are(plan.tensors, name_of(param.dtype))))
    if param.dtype is torch.bfloat16:
        found[PARAMETER] = MODES[asked.mode]
    for name in plan.states:
        dtype = state[name].dtype
        found[name] = asked.low if dtype is torch.bfloat16 else name_of(dtype)
    return tuple(found.values())
