"""Sick by the loop, in ways that are in the kept part alone: rates, schedules, steps, what the optimizer holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..kinds import Kind, by_structure, right
from ..plan import Plan, sgd

Tensor = torch.Tensor
Optimizer = torch.optim.Optimizer


def rmsprop(parameters: Any, lr: float) -> Optimizer:
    return torch.optim.RMSprop(parameters, lr)


def nesterov(parameters: Any, lr: float) -> Optimizer:
    return torch.optim.SGD(parameters, lr, momentum=0.9, nesterov=True)


def lion(parameters: Any, lr: float) -> Optimizer:
    from downslope import optim

    return optim.Lion(parameters, lr)  # type: ignore[attr-defined, no-any-return]


def summed(plan: Plan) -> Plan:
    """`reduction="sum"` at a rate for means."""
    loss: Any = F.mse_loss if plan.setting.loss is F.mse_loss else F.cross_entropy
    flat = loss is F.cross_entropy
    return replace(
        plan,
        loss=lambda out, y: loss(out, y.flatten() if flat else y, reduction="sum"),
        optimizer=sgd,
        lr=plan.setting.sgd,
    )


def warming(runs: float) -> Callable[[Optimizer, int], Any]:
    """A warm-up over so many times the run."""
    return lambda optimizer, steps: torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: min(1.0, (t + 1) / (runs * steps))
    )


def gone(optimizer: Optimizer, steps: int) -> Any:
    """Ten epochs' decay, counted in steps."""
    return torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=10)


class Ungraded(nn.Module):
    """All but the last layer under `no_grad`."""

    def __init__(self, whole: nn.Module):
        super().__init__()
        *body, head = whole.children()
        self.body, self.head = nn.Sequential(*body), head

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            x = self.body(x)
        return self.head(x)


KINDS = [
    # rates and schedules
    Kind(
        "rmsprop at ten times the highest",
        ("mlp rings", "deep cnn digits", "columns digits", "wide bytes"),
        lambda p: replace(p, optimizer=rmsprop, lr=10 * p.setting.top),
        right("lr-too-high"),
    ),
    Kind(
        "nesterov at ten times the highest",
        ("mlp parity", "strided digits", "lstm bytes", "mean of names"),
        lambda p: replace(p, optimizer=nesterov, lr=10 * p.setting.sgd_top),
        right("lr-too-high"),
    ),
    Kind(
        "lion at three times adam's highest",
        ("grouped digits", "residual turn", "mean of names"),
        lambda p: replace(p, optimizer=lion, lr=3 * p.setting.top),
        right("lr-too-high"),
    ),
    Kind(
        "loss summed, not averaged",
        ("mlp rings", "mlp friedman", "deep cnn digits", "grouped digits"),
        summed,
        right("lr-too-high"),
    ),
    Kind(
        "adamw at 1e-6",
        ("mlp parity", "residual cnn digits", "patches digits", "lstm bytes"),
        lambda p: replace(p, optimizer=lambda q, lr: torch.optim.AdamW(q, lr), lr=1e-6),
        right("lr-too-low"),
    ),
    Kind(
        "warm-up of fifty runs",
        ("mlp rings", "mlp friedman", "grouped digits", "wide bytes"),
        lambda p: replace(p, schedule=warming(50)),
        right("lr-too-low"),
    ),
    Kind(
        "decay for epochs in each step",
        ("mlp rings", "strided digits", "columns digits", "wide bytes"),
        lambda p: replace(p, schedule=gone),
        right("lr-too-low"),
    ),
    Kind(
        "warm-up before the optimizer",
        ("mlp friedman", "patches digits", "lstm bytes"),
        lambda p: replace(p, schedule=warming(0.2)).slip("scheduler first"),
        right("scheduler-before-optimizer"),
        by_structure,
    ),
    Kind(
        "warm-up never stepped",
        ("grouped digits", "residual turn", "wide bytes"),
        lambda p: replace(p, schedule=warming(0.3)).slip("scheduler forgotten"),
        right("scheduler-never-stepped"),
        by_structure,
    ),
    # loop
    Kind(
        "zeroed once an epoch",
        ("mlp parity", "mlp rings", "deep cnn digits", "lstm bytes"),
        lambda p: p.slip("zeroed once an epoch"),
        right("gradients-not-zeroed"),
    ),
    Kind(
        "values of gradients clipped to nothing",
        ("mlp rings", "deep cnn digits", "columns digits"),
        lambda p: replace(p, clip_value=1e-5, optimizer=sgd, lr=p.setting.sgd),
        right("clipping-always"),
    ),
    Kind(
        "first layer replaced after the optimizer was made",
        ("mlp cancer", "deep cnn digits", "strided digits", "patches digits"),
        lambda p: p.slip("first replaced"),
        right("parameters-not-in-optimizer"),
        by_structure,
    ),
    Kind(
        "vectors alone in the optimizer",
        ("mlp parity", "columns digits", "grouped digits"),
        lambda p: replace(p, parameters=lambda m: [q for q in m.parameters() if q.ndim < 2]),
        right("parameters-not-in-optimizer"),
    ),
    Kind(
        "body under no_grad",
        ("mlp parity", "deep cnn digits", "strided digits"),
        lambda p: replace(p, model=lambda: Ungraded(p.model())),
        right("no-gradient"),
        by_structure,
    ),
]
