"""Sick by a rate, a momentum or a schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from ..kinds import ALL, IMAGES, Kind, right
from ..plan import Plan, sgd


def times(factor: float, of: str = "lr") -> Callable[[Plan], Plan]:
    """The rate times a factor: Adam's (`lr`, `top`) or SGD's (`sgd`, `sgd_top`)."""

    def change(plan: Plan) -> Plan:
        rate = getattr(plan.setting, of) * factor
        return replace(plan, lr=rate, optimizer=sgd) if of.startswith("sgd") else replace(plan, lr=rate)

    return change


def collapsing(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """Made for epochs, and called in each step: gone within a tenth of the run."""
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)


def slow_epsilon(plan: Plan) -> Plan:
    return replace(plan, optimizer=lambda p, lr: torch.optim.Adam(p, lr, eps=1.0))


def heavy(plan: Plan) -> Plan:
    return replace(plan, optimizer=lambda p, lr: torch.optim.SGD(p, lr, momentum=0.999), lr=plan.setting.sgd)


def walls(parameters: Any, lr: float) -> torch.optim.Optimizer:
    from downslope import optim

    return optim.SignSGD(parameters, lr)  # type: ignore[attr-defined]


KINDS = [
    # rates
    Kind("rate a tenth", IMAGES, times(0.1), right("lr-too-low")),
    Kind("rate a hundredth", ALL, times(0.01), right("lr-too-low")),
    Kind(
        "sgd at a hundredth",
        ("mlp digits", "cnn digits", "gru digits", "residual digits", "mlp spirals"),
        times(0.01, "sgd"),
        right("lr-too-low"),
    ),
    Kind(
        "sgd at adam's 1e-4",
        ("cnn digits", "rows digits", "gru digits", "mlp diabetes"),
        lambda p: replace(p, optimizer=sgd, lr=1e-4),
        right("lr-too-low"),
    ),
    Kind("rate five times the highest", ALL, times(5.0, "top"), right("lr-too-high")),
    Kind("rate thirty times the highest", ALL, times(30.0, "top"), right("lr-too-high")),
    Kind("sgd at five times the highest", ALL, times(5.0, "sgd_top"), right("lr-too-high")),
    Kind("sgd at fifty times the highest", ALL, times(50.0, "sgd_top"), right("lr-too-high")),
    Kind(
        "momentum 0.999",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals", "residual digits"),
        heavy,
        right("lr-too-high"),
    ),
    Kind(
        "adam's epsilon 1",
        ("mlp digits", "cnn digits", "gru digits", "bytes stdlib", "names"),
        slow_epsilon,
        right("lr-too-low"),
    ),
    Kind(
        "schedule for epochs in each step",
        ("mlp digits", "cnn digits", "rows digits", "gru stdlib", "mlp spirals"),
        lambda p: replace(p, schedule=collapsing),
        right("lr-too-low"),
    ),
    Kind(
        "between the walls of a valley",
        ("quadratic",),
        lambda p: replace(p, optimizer=walls, lr=0.6),
        right("stuck-large-gradients", "lr-too-high"),
    ),
]
