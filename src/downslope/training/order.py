"""In which order the samples of an epoch are seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
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
    if config.difficulty is None:
        raise SettingError(
            'order="curriculum": needs difficulty, a function of the task\'s file, (inputs, targets) -> a number each'
        )
    difficulty = _function("difficulty", config.difficulty, task, {})
    order = Order(part, config.seed, "curriculum", ranking=_ranking(difficulty, task, part))
    assert config.epochs is not None
    growing = config.pacing_end * config.epochs
    pace = _function("pacing", config.pacing, task, PACES)
    first = max(config.pacing_start, 1 / (part.size or 1))
    order.shares = [
        1.0 if epoch >= growing else _share(pace, epoch / growing, first, task) for epoch in range(config.epochs)
    ]
    return order


def _function(option: str, value: Any, task: Task, known: Mapping[str, Callable[..., Any]]) -> Callable[..., Any]:
    """A function that is given, or one by its name: a known one, or one of the task's file."""
    if callable(value):
        return value  # type: ignore[no-any-return]
    if value in known:
        return known[value]
    own = getattr(task.model, "__globals__", {})
    if not isinstance(value, str) or not callable(own.get(value)):
        functions = [name for name, each in own.items() if callable(each) and not name.startswith("_")]
        raise SettingError(
            f"{option}={value!r}: {task.name} has no function of that name; {nearest(str(value), [*known, *functions])}"
        )
    return own[value]  # type: ignore[no-any-return]


def _share(pace: Callable[..., Any], far: float, first: float, task: Task) -> float:
    name = getattr(pace, "__name__", "pacing")
    try:
        share = float(pace(far, first))
    except Exception as error:
        raise RunError(f"{task.name}: {name}({far:.3g}, {first:.3g}) failed: {where(error)}") from error
    if not 0 < share <= 1 + 1e-9:
        raise RunError(
            f"{task.name}: {name}({far:.3g}, {first:.3g}) returned {share:g}; return a share of the data, up to 1"
        )
    return min(1.0, share)


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
