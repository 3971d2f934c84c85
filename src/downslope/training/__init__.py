"""Training: tasks, their data, and the loop that trains one run."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .callback import Callback
    from .config import Config
    from .data import Data, Part
    from .loop import Loop
    from .outcome import Outcome, train
    from .run import Result
    from .score import evaluate
    from .task import Task, bundled, by_name

__all__ = [
    "Callback",
    "Config",
    "Data",
    "Loop",
    "Outcome",
    "Part",
    "Result",
    "Task",
    "bundled",
    "by_name",
    "evaluate",
    "train",
]

# Where a name lives. It is imported when it is first asked for: the command line reads its options without torch.
_HOME = {
    "Callback": "callback",
    "Config": "config",
    "Data": "data",
    "Loop": "loop",
    "Outcome": "outcome",
    "Part": "data",
    "Result": "run",
    "Task": "task",
    "bundled": "task",
    "by_name": "task",
    "evaluate": "score",
    "train": "outcome",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
