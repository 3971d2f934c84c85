"""A task: what is trained, on what, and how the answer is scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

Part = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Data:
    """Inputs and targets, in three parts that share nothing.

    `train` is learned from, `validation` chooses between settings, `test` is looked at once, for the score.
    """

    train: Part
    validation: Part
    test: Part


@dataclass(frozen=True)
class Task:
    """Four functions and the length of a run.

    `metric(output, target)` is an accuracy in 0..1; `chance` is the accuracy of guessing, which is what a run that
    diverged is worth.
    """

    name: str
    title: str
    model: Callable[[], torch.nn.Module]
    data: Callable[[], Data]
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    metric: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    chance: float
    epochs: int
    batch: int
