"""Races: optimizers over learning rates and seeds on one task, with the same start and data order for all."""

from .leaderboard import leaderboard
from .plan import DEFAULT, Plan, Trial, make_plan
from .runner import Result, Watcher, race

__all__ = ["DEFAULT", "Plan", "Result", "Trial", "Watcher", "leaderboard", "make_plan", "race"]
