"""Races: which optimizer, with which settings, on one task, within one budget, and how sure that is."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .plan import Plan
    from .runner import Result, Watcher, race
    from .trial import Record, Trial

__all__ = ["Plan", "Record", "Result", "Trial", "Watcher", "race"]

# Where a name lives. It is imported when it is first asked for, so that `import downslope.race` costs nothing.
_HOME = {
    "Plan": "plan",
    "Record": "trial",
    "Result": "runner",
    "Trial": "trial",
    "Watcher": "runner",
    "race": "runner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
