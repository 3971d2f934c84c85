"""Training: tasks, their data, and the loop that trains one run."""

from .data import Data, Part
from .loop import Outcome, evaluate, train
from .task import Task, bundled, by_name

__all__ = ["Data", "Outcome", "Part", "Task", "bundled", "by_name", "evaluate", "train"]
