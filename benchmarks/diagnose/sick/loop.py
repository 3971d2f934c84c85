"""Sick by what the loop does: steps left out or out of order, parameters left out, clipping, decay."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from .. import networks as net
from ..datasets import DIMENSIONS
from ..kinds import Kind, by_structure, right
from ..plan import Outcome, sgd


def halving(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, max(1, steps // 4), 0.5)


def shrunk(o: Outcome) -> bool:
    """The gains of some norm are below 0.3, from 1."""
    gains = [p for n, p in o.model.named_parameters() if p.ndim == 1 and n.endswith("weight")]
    return any(float(p.detach().square().mean().sqrt()) < 0.3 for p in gains)


KINDS = [
    # loop
    Kind(
        "gradients not zeroed",
        ("mlp digits", "bn digits", "rows digits", "gru stdlib", "mlp diabetes", "names"),
        lambda p: p.slip("not zeroed"),
        right("gradients-not-zeroed"),
    ),
    Kind(
        "zeroed between backward and step",
        ("mlp digits", "cnn digits", "gru digits", "mlp diabetes"),
        lambda p: p.slip("zeroed before the step"),
        right("no-gradient"),
    ),
    Kind(
        "scheduler forgotten",
        ("mlp digits", "residual digits", "gru digits", "mlp diabetes"),
        lambda p: replace(p, schedule=halving).slip("scheduler forgotten"),
        right("scheduler-never-stepped"),
        by_structure,
    ),
    Kind(
        "scheduler before optimizer",
        ("mlp digits", "rows digits", "mlp spirals", "names"),
        lambda p: replace(p, schedule=lambda o, n: torch.optim.lr_scheduler.ExponentialLR(o, 0.98)).slip(
            "scheduler first"
        ),
        right("scheduler-before-optimizer"),
        by_structure,
    ),
    Kind(
        "eval() forgotten",
        ("bn digits", "residual digits", "rows digits"),
        lambda p: p.slip("eval() forgotten"),
        right("evaluated-in-training-mode"),
        by_structure,
    ),
    Kind(
        "train() forgotten",
        ("bn digits", "residual digits", "rows digits"),
        lambda p: p.slip("train() forgotten"),
        right("trained-in-evaluation-mode"),
        by_structure,
    ),
    Kind(
        "loss maximised",
        ("mlp digits", "cnn digits", "residual digits", "gru digits", "names"),
        lambda p: replace(p, loss=lambda out, y: -p.loss(out, y)),
        right("loss-exploding"),
    ),
    # what the optimizer holds
    Kind(
        "head alone in the optimizer",
        ("mlp digits", "cnn digits", "gru digits", "residual digits"),
        lambda p: replace(p, parameters=lambda m: list(m.parameters())[-2:]),
        right("parameters-not-in-optimizer"),
    ),
    Kind(
        "first layer left out",
        ("mlp digits", "cnn digits", "bn digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, parameters=lambda m: list(m.parameters())[2:]),
        right("parameters-not-in-optimizer"),
        by_structure,
    ),
    Kind(
        "head replaced after the optimizer was made",
        ("mlp digits", "bn digits", "rows digits", "mlp diabetes"),
        lambda p: p.slip("head replaced"),
        right("parameters-not-in-optimizer"),
        by_structure,
    ),
    Kind(
        "layers in a plain list",
        ("mlp digits", "mlp spirals"),
        lambda p: replace(p, model=lambda: net.Listed(*DIMENSIONS[p.setting.task])),
        right("parameters-not-in-optimizer"),
    ),
    # clipping
    Kind(
        "clipped to nothing",
        ("mlp digits", "cnn digits", "rows digits", "bytes stdlib"),
        lambda p: replace(p, clip=1e-3),
        right("clipping-always"),
        by_structure,
    ),
    Kind(
        "sgd clipped to nothing",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals"),
        lambda p: replace(p, clip=1e-2, optimizer=sgd, lr=p.setting.sgd),
        right("clipping-always"),
    ),
    Kind(
        "weight decay on norms",
        ("residual digits", "bn digits", "residual spirals"),
        lambda p: replace(
            p, optimizer=lambda q, lr: torch.optim.AdamW(q, lr, weight_decay=1.0), lr=1e-2, epochs=2 * p.epochs
        ),
        right("weight-decay-on-norms"),
        shrunk,
    ),
]
