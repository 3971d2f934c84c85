"""A formula -> a class of optimizers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

from ..compiler.formula import Formula, read
from ..compiler.trace import trace
from .around import OWN
from .base import Optimizer


def optimizer(function: Callable[..., Any]) -> type[Optimizer]:
    """Make a torch optimizer of a formula: as a decorator, or by a call.

    ```python
    @downslope.optimizer
    def heavy_ball(p, g, v=0, *, lr=0.01, beta=0.9):
        v = beta * v + g
        return p - lr * v, v

    optimizer = heavy_ball(model.parameters(), lr=0.1)
    ```

    The formula gives the update of one element: `p` the parameter, `g` its gradient, then states with their initial
    value, after `*` the step count `t` (from 1, if used) and the settings with their defaults; it returns p and the
    states. The class takes the settings, and what every `downslope.optim.Optimizer` takes. Raises FormulaError, with
    the line, for a formula that cannot be traced. Costs a millisecond here, and about 40 ms to compile in the first
    step.
    """
    read(function)
    return _made(function)


@cache  # one class for one formula: pickled optimizers find theirs again
def _made(function: Callable[..., Any]) -> type[Optimizer]:
    formula = read(function)
    trace(formula)
    return make(
        formula.name,
        formula,
        lambda group: function,
        settings=dict(formula.settings),
        module=getattr(function, "__module__", __name__),
        qualname=getattr(function, "__qualname__", None),
    )


def make(
    name: str,
    formula: Formula,
    choose: Callable[[dict[str, Any]], Callable[..., Any]],
    *,
    settings: dict[str, Any],
    flags: dict[str, Any] | None = None,
    hidden: dict[str, Any] | None = None,
    shows_step: bool | None = None,
    saves_all: bool = False,
    check: Callable[[dict[str, Any]], None] | None = None,
    scored: Callable[..., Any] | None = None,
    module: str,
    qualname: str | None = None,
    doc: str = "",
) -> type[Optimizer]:
    """The class: `settings` may be given by position, `flags` by keyword, `hidden` stand in param groups only;
    `scored` gives, of (p, state, group), the point at which the model is to be scored, where that is not p; `doc` comes
    before what the formula says of itself."""
    if flags is None:
        owns_decay = "weight_decay" in settings
        settings = settings if owns_decay else {**settings, "weight_decay": 0.0}
        flags = {
            "maximize": False,
            **({} if owns_decay else {"decoupled_weight_decay": False}),
            "differentiable": False,
        }
    defaults = {**settings, **flags, **(hidden or {})}
    body = {
        "__doc__": "\n\n".join(filter(None, [doc, formula.doc])),
        "__module__": module,
        "__qualname__": qualname or name,
        "__signature__": _signature(settings, flags),
        "formula": formula,
        "choose": staticmethod(choose),
        "setting_defaults": defaults,
        "positional": tuple(settings),
        "fixed": hidden or {},
        "saves_all": saves_all,
        "shows_step": formula.counts if shows_step is None else shows_step,
    }
    if scored is not None:
        body["scored"] = staticmethod(scored)
    if check is not None:
        body["check_group"] = staticmethod(check)
    return type(name, (Optimizer,), body)


def _signature(settings: dict[str, Any], flags: dict[str, Any]) -> inspect.Signature:
    place, keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    return inspect.Signature(
        [
            inspect.Parameter("params", place),
            *(inspect.Parameter(n, place, default=default) for n, default in settings.items()),
            *(inspect.Parameter(n, keyword, default=default) for n, default in {**flags, **OWN}.items()),
        ]
    )
