"""Reading a formula: what its signature says."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import FormulaError

# Names that an optimizer made of a formula gives a meaning of its own.
RESERVED = {
    "params",
    "p",
    "g",
    "step",
    "ema",
    "max_norm",
    "skip_nonfinite",
    "cautious",
    "centralize",
    "lookahead",
    "nesterov_form",
    "grafted",
    "state_dtype",
    "param_mode",
    "rounding_seed",
    "unscale",
    "clip_coef",
    "clip_value",
    "ema_decay",
    "maximize",
    "decoupled_weight_decay",
    "foreach",
    "fused",
    "capturable",
    "differentiable",
}
EXAMPLE = "def momentum(p, g, v=0, *, lr=0.01, beta=0.9)"


@dataclass(frozen=True)
class Formula:
    """A formula function and what its signature declares.

    States come after p and g, each with its initial value: a number, the name of the setting (or `"p"`) that it
    starts at, or `"identity"` for a square matrix. After `*` come the step count `t` (1 in the first step) and the
    settings with their defaults, each a number or a tuple of numbers.
    """

    function: Callable[..., Any]
    name: str
    states: dict[str, float | str]
    settings: dict[str, float | tuple[float, ...]]
    counts: bool

    @property
    def doc(self) -> str:
        return inspect.getdoc(self.function) or ""

    @property
    def source(self) -> str:
        try:
            return inspect.getsource(self.function)
        except (OSError, TypeError):
            return f"# the source of {self.name} is not at hand"


def read(function: Callable[..., Any]) -> Formula:
    """The formula that a function declares. Raises FormulaError if its signature is none."""
    if not callable(function):
        raise FormulaError(f"a formula is a function, such as `{EXAMPLE}`; got {function!r}")
    name = getattr(function, "__name__", type(function).__name__)
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except ValueError:
        raise FormulaError(
            f"{name}: is built in and has no signature; a formula is written in Python: `{EXAMPLE}`"
        ) from None
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise FormulaError(f"{name}: *args and **settings cannot be traced; name each state and setting: `{EXAMPLE}`")
    if len(places) < 2:
        found = ", ".join(p.name for p in places) or "nothing"
        raise FormulaError(f"{name}: takes {found}; the first two must be the parameter and its gradient: `{EXAMPLE}`")
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    states = {p.name: _initial(name, p, [k.name for k in keywords]) for p in places[2:]}
    settings = {p.name: _default(name, p) for p in keywords if p.name != "t"}
    for taken in RESERVED & (settings.keys() | states.keys()):
        raise FormulaError(
            f"{name}: `{taken}` has a meaning of its own in an optimizer; give that state or setting another name"
        )
    return Formula(function, name, states, settings, any(p.name == "t" for p in keywords))


def _initial(name: str, p: inspect.Parameter, settings: list[str]) -> float | str:
    value = p.default
    if value is p.empty:
        raise FormulaError(
            f"{name}: `{p.name}` has no value to start from; a state is written with one, such as `{p.name}=0`, "
            f"and a setting comes after `*`: `{EXAMPLE}`"
        )
    if isinstance(value, str):
        if value not in ("p", "identity", *settings):
            raise FormulaError(
                f"{name}: the state `{p.name}` starts at {value!r}, which is neither a setting nor 'p' nor 'identity'"
            )
        return value
    if isinstance(value, numbers.Real):
        return float(value)
    raise FormulaError(
        f"{name}: the state `{p.name}` starts at {value!r}; write a number, or the name of a setting, 'p' or "
        "'identity' in quotes"
    )


def _default(name: str, p: inspect.Parameter) -> float | tuple[float, ...]:
    value = p.default
    if (
        isinstance(value, bool)
        or value is p.empty
        or not (
            isinstance(value, numbers.Real)
            or (isinstance(value, tuple) and value and all(isinstance(v, numbers.Real) for v in value))
        )
    ):
        found = "no default" if value is p.empty else f"the default {value!r}"
        raise FormulaError(
            f"{name}: the setting `{p.name}` has {found}; give it a number or a tuple of numbers, such as "
            f"`{p.name}=0.9` (two optimizers that differ are two formulas, not one with flags)"
        )
    return value  # type: ignore[return-value]
