"""A kind of run: the settings it is tried in, what it changes, and what counts as right."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from .datasets import DIMENSIONS
from .plan import Outcome, Plan

MLP = ("mlp digits", "mlp spirals", "mlp diabetes")
IMAGES = ("mlp digits", "cnn digits", "bn digits", "residual digits", "rows digits", "gru digits")
NORMED = ("bn digits", "residual digits")
BYTES = ("bytes stdlib", "gru stdlib")
ALL = (*IMAGES, "mlp spirals", "residual spirals", "mlp diabetes", *BYTES, "names")
CLASSES = tuple(name for name in ALL if name != "mlp diabetes" and name not in BYTES)


Prepare = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class Kind:
    """`right`: the symptoms any of which, named first, is the right cause; none for a healthy kind.

    `proof` says of a sick run that it is sick, for kinds that carry their fault in their structure or their course;
    without it the run has to end worse than its healthy twin. `reach` is the least score of a healthy run, as a part
    of the setting's own (for runs that are short on purpose). `own`: its network is its own and says nothing of a
    setting that is like one of those named."""

    name: str
    settings: tuple[str, ...]
    change: Callable[[Plan], Plan]
    right: frozenset[str] = frozenset()
    proof: Callable[[Outcome], bool] | None = None
    reach: float = 1.0
    own: bool = False

    @property
    def healthy(self) -> bool:
        return not self.right


def right(*names: str) -> frozenset[str]:
    return frozenset(names)


def by_structure(outcome: Outcome) -> bool:
    """The slip is in the loop or the network, whatever comes of it."""
    return True


def gave_back(outcome: Outcome) -> bool:
    """The validation loss has lost a third of its gain again."""
    low = min(outcome.validation)
    return outcome.validation[-1] - low > (max(outcome.validation[0], outcome.losses[0]) - low) / 3


def jumped(outcome: Outcome) -> bool:
    """The loss was more than three times its first, and came back below it."""
    return max(outcome.losses[20:]) > 3 * outcome.losses[0] > 3 * outcome.losses[-1]


def worse(outcome: Outcome, twin: dict[str, Any], chance: float) -> bool:
    """Has a run lost a twentieth of what its twin gained over chance, in the score, or a tenth in the loss?

    The loss's gain is counted from the first validation loss of the twin's start, so that it needs no model of
    chance; what is not finite is lost."""
    if not math.isfinite(outcome.score) or not math.isfinite(outcome.loss):
        return True
    if outcome.score < twin["score"] - 0.05 * (twin["score"] - chance):
        return True
    return outcome.loss > twin["loss"] + 0.1 * max(twin["start"] - twin["loss"], 0.0)


def layers(model: nn.Module) -> list[Any]:
    """Linear and convolutional ones, in order."""
    return [m for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


def deep(plan: Plan, depth: int, act: Any = nn.ReLU, width: int = 32) -> Callable[[], nn.Module]:
    """A plain network of so many hidden layers for the setting's task."""
    from .networks import mlp

    inputs, outputs = DIMENSIONS[plan.setting.task]
    return lambda: mlp(inputs, outputs, width, depth, act)


def dropped(plan: Plan, share: float) -> Callable[[], nn.Module]:
    """The setting's network with dropout after every ReLU."""

    def model() -> nn.Module:
        made = plan.model()
        for name, m in [(n, m) for n, m in made.named_children() if isinstance(m, nn.ReLU)]:
            setattr(made, name, nn.Sequential(m, nn.Dropout(share)))
        return made

    return model


def scaled(gain: float, bias: float | None = 0.0, last: bool = True) -> Callable[[nn.Module], None]:
    """Weights drawn anew with `gain` times the deviation of He and Glorot, sqrt(1 / fan-in)."""

    def change(model: nn.Module) -> None:
        found = layers(model)
        for m in found if last else found[:-1]:
            m.weight.normal_(0, gain / math.sqrt(m.weight[0].numel()))
            if bias is not None and m.bias is not None:
                m.bias.fill_(bias)

    return change


def filled(value: float) -> Callable[[nn.Module], None]:
    """All weights at a value, biases at 0."""

    def change(model: nn.Module) -> None:
        for name, p in model.named_parameters():
            if p.ndim > 1:
                p.fill_(value)
            elif "norm" not in name:
                p.zero_()

    return change


def biases(value: float) -> Callable[[nn.Module], None]:
    """Biases of all layers but the last at a value."""

    def change(model: nn.Module) -> None:
        for m in layers(model)[:-1]:
            m.bias.fill_(value)

    return change


def wrong_labels(share: float, seed: int) -> Prepare:
    """So many of the labels are those of other samples."""

    def change(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        wrong = torch.rand(len(y), generator=generator(seed)) < share
        return x, torch.where(wrong, y[torch.randperm(len(y), generator=generator(seed + 1))], y)

    return change


def rare_class(share: float, seed: int) -> Prepare:
    """So much is left of class 1."""

    def change(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        kept = (y != 1) | (torch.rand(len(y), generator=generator(seed)) < share)
        return x[kept], y[kept]

    return change


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def norm_momentum(value: float) -> Callable[[nn.Module], None]:
    """Of all batch norms."""

    def change(model: nn.Module) -> None:
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.momentum = value

    return change
