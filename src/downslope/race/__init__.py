"""Races: which optimizer, with which settings, on one task, within one budget, and how sure that is.

`downslope.race(task)` is the function `race` in here; the package itself answers to a call in the same way, so that
`downslope.race` does the same whether or not something was imported from it before."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..lazy import lazy

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


__getattr__, __dir__ = lazy(__name__, _HOME)


class _Callable(ModuleType):
    def __call__(self, *args: Any, **options: Any) -> Any:
        from .runner import race

        return race(*args, **options)


sys.modules[__name__].__class__ = _Callable
