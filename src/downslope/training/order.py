"""In which order the samples of an epoch are seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from ..errors import RunError, SettingError, nearest
from ..user_code import where
from .config import Config
from .data import Part
from .task import Task

# How far a curriculum has got, 0 to 1 -> how far its easy share has grown from its start to the whole.
PACES: dict[str, Callable[[float, float], float]] = {
    "linear": lambda x, start: start + (1 - start) * x,
    "root": lambda x, start: math.sqrt(start**2 + (1 - start**2) * x),  # Platanios et al. 2019, arXiv:1903.09848
    "exponential": lambda x, start: start ** (1 - x),  # Hacohen & Weinshall 2019, arXiv:1904.03626
}


class Order:
    """The rows of each epoch, drawn from a generator of its own. None for a DataLoader, which has its own order."""

    def __init__(self, part: Part, seed: int, kind: str = "shuffle", *, ranking: torch.Tensor | None = None):
        self.size = None if part.loader is not None else part.size
        self.kind, self.ranking = kind, ranking
        self.generator = torch.Generator().manual_seed(seed)
        self.shares: list[float] | None = None  # of each epoch of a curriculum

    def count(self, epoch: int) -> int | None:
        """How many samples an epoch has."""
        if self.size is None or self.shares is None:
            return self.size
        return max(1, math.ceil(self.shares[epoch] * self.size)) if epoch < len(self.shares) else self.size

    def rows(self, epoch: int) -> torch.Tensor | None:
        count = self.count(epoch)
        if self.size is None or count is None:
            return None
        if self.kind == "sequential":
            return torch.arange(self.size)
        rows = torch.randperm(count, generator=self.generator)
        return rows if self.ranking is None else self.ranking[rows]


def make_order(config: Config, task: Task, part: Part) -> Order:
    """The order that a configuration asks for. Raises SettingError where the data cannot be had in it."""
    if config.order != "shuffle" and part.loader is not None:
        raise SettingError(
            f"order={config.order!r}: {part.where} gives a DataLoader, which has an order of its own; give a dataset"
        )
    if config.order != "curriculum":
        return Order(part, config.seed, config.order)
    order = Order(part, config.seed, "curriculum", ranking=_ranking(_difficulty(config, task), task, part))
    assert config.epochs is not None
    growing = config.pacing_end * config.epochs
    pace = PACES[config.pacing]
    order.shares = [
        1.0 if epoch >= growing else min(1.0, pace(epoch / growing, max(config.pacing_start, 1 / part.size)))  # type: ignore[operator]
        for epoch in range(config.epochs)
    ]
    return order


def _difficulty(config: Config, task: Task) -> Callable[..., Any]:
    if callable(config.difficulty):
        return config.difficulty
    own = getattr(task.model, "__globals__", {})
    if config.difficulty is None:
        raise SettingError(
            'order="curriculum": needs difficulty, a function of the task\'s file, (inputs, targets) -> a number each'
        )
    if not callable(own.get(config.difficulty)):
        functions = [name for name, value in own.items() if callable(value) and not name.startswith("_")]
        raise SettingError(
            f"difficulty={config.difficulty!r}: {task.name} has no function of that name; "
            f"{nearest(config.difficulty, functions)}"
        )
    return own[config.difficulty]  # type: ignore[no-any-return]


@torch.no_grad()
def _ranking(difficulty: Callable[..., Any], task: Task, part: Part) -> torch.Tensor:
    """The rows, easiest first; those equally hard in their own order."""
    name = getattr(difficulty, "__name__", "difficulty")
    scores = []
    for inputs, targets in part.batches(1024):
        try:
            score = torch.as_tensor(difficulty(inputs, targets), dtype=torch.float64)
        except Exception as error:
            raise RunError(f"{task.name}: {name}(inputs, targets) failed: {where(error)}") from error
        if score.shape != (len(targets),):
            raise RunError(
                f"{task.name}: {name}(inputs, targets) returned shape {tuple(score.shape)} for {len(targets)} samples; "
                "return one number for each"
            )
        scores.append(score)
    return torch.cat(scores).argsort(stable=True)
