"""Training: tasks, their data, and the loop that trains one run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..lazy import lazy

if TYPE_CHECKING:
    from .callback import Callback
    from .config import Config
    from .data import Data, Part
    from .loop import Loop
    from .outcome import Outcome, train
    from .score import evaluate
    from .session import Result
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
    "Result": "session",
    "Task": "task",
    "bundled": "task",
    "by_name": "task",
    "evaluate": "score",
    "train": "outcome",
}


__getattr__, __dir__ = lazy(__name__, _HOME)
