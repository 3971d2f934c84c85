"""Races: which optimizer, with which settings, on one task, within one budget, and how sure that is.

`downslope.race(task)` is the function `race` in here; the package itself answers to a call in the same way, so that
`downslope.race` does the same whether or not something was imported from it before."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .export import to_optuna
    from .plan import Plan
    from .result import Result, Several
    from .runner import Watcher, race
    from .trial import Record, Trial

__all__ = ["Plan", "Record", "Result", "Several", "Trial", "Watcher", "race", "to_optuna"]

# Where a name lives. It is imported when it is first asked for: a worker needs only some of it.
_HOME = {
    "Plan": "plan",
    "Record": "trial",
    "Result": "result",
    "Several": "result",
    "Trial": "trial",
    "Watcher": "runner",
    "race": "runner",
    "to_optuna": "export",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from .runner import race

        return race(*args, **options)


sys.modules[__name__].__class__ = _Callable
