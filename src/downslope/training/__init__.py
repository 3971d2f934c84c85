"""Training: tasks, and the loop that trains one run."""

from .loop import Outcome, evaluate, train
from .task import Data, Task
from .tasks import TASKS, by_name

__all__ = ["TASKS", "Data", "Outcome", "Task", "by_name", "evaluate", "train"]
