"""Healthy: usual optimizers, schedules, lengths and batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from ..kinds import ALL, Kind
from ..plan import Plan, sgd


def rule(make: Callable[[Any, float], torch.optim.Optimizer], factor: float = 1.0) -> Callable[[Plan], Plan]:
    """Another optimizer, at Adam's rate times a factor."""
    return lambda plan: replace(plan, optimizer=make, lr=plan.lr * factor)


def ours(name: str, factor: float = 1.0, **more: Any) -> Callable[[Plan], Plan]:
    """One of downslope's own."""

    def make(parameters: Any, lr: float) -> torch.optim.Optimizer:
        from downslope import optim

        return getattr(optim, name)(parameters, lr=lr, **more)  # type: ignore[no-any-return]

    return rule(make, factor)


def muon(plan: Plan) -> Plan:
    """Muon for the matrices inside, AdamW for the rest."""

    def make(model: Any, lr: float) -> torch.optim.Optimizer:
        from downslope import optim

        return optim.Route(model, {"matrices": optim.Muon(lr=0.02), "rest": optim.AdamW(lr=lr)})  # type: ignore[attr-defined, call-arg, dict-item]

    return replace(plan, parameters=lambda model: model, optimizer=make)


def with_sgd(plan: Plan) -> Plan:
    return replace(plan, optimizer=sgd, lr=plan.setting.sgd)


def two_rates(plan: Plan) -> Plan:
    """The head at three times the rate of the body."""

    def parameters(model: nn.Module) -> Any:
        every = list(model.parameters())
        return [{"params": every[:-2]}, {"params": every[-2:], "lr": 3 * plan.lr}]

    return replace(plan, parameters=parameters)


def warm(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: min(1.0, (t + 1) / (0.3 * steps)))


def rising(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """Still warming up when the run ends."""
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda t: (t + 1) / steps)


def cosine(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)


def drops(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, [steps // 2, 3 * steps // 4], 0.1)


def one_cycle(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    top = optimizer.param_groups[0]["lr"]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, top, total_steps=steps + 1, cycle_momentum=False)


def restarts(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, max(1, steps // 4))


KINDS = [
    # as usual
    Kind("as it is", ALL, lambda p: p),
    Kind("sgd with momentum", ALL, with_sgd),
    Kind(
        "plain sgd",
        ("mlp digits", "bn digits", "residual digits", "mlp diabetes"),
        lambda p: replace(p, optimizer=lambda q, lr: torch.optim.SGD(q, lr), lr=5 * p.setting.sgd),
    ),
    Kind(
        "sgd, decay 5e-4 on all",
        ("cnn digits", "bn digits", "residual digits", "gru digits"),
        lambda p: replace(
            p, optimizer=lambda q, lr: torch.optim.SGD(q, lr, momentum=0.9, weight_decay=5e-4), lr=p.setting.sgd
        ),
    ),
    Kind("adamw", ALL, rule(lambda q, lr: torch.optim.AdamW(q, lr, weight_decay=1e-2))),
    Kind(
        "adam at the highest rate",
        ("mlp digits", "cnn digits", "gru digits", "residual digits", "rows digits"),
        lambda p: replace(p, lr=p.setting.top),
    ),
    Kind(
        "adam at a third",
        ("mlp digits", "bn digits", "residual digits", "gru stdlib", "mlp diabetes"),
        lambda p: replace(p, lr=p.lr / 3),
        reach=0.9,
    ),
    # other rules
    Kind(
        "rmsprop",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals"),
        rule(lambda q, lr: torch.optim.RMSprop(q, lr), 0.5),
    ),
    Kind(
        "adagrad",
        ("mlp digits", "cnn digits", "names", "mlp diabetes"),
        rule(lambda q, lr: torch.optim.Adagrad(q, lr), 6.0),
    ),
    Kind(
        "nadam", ("mlp digits", "bn digits", "rows digits", "mlp spirals"), rule(lambda q, lr: torch.optim.NAdam(q, lr))
    ),
    Kind("lion", ("mlp digits", "bn digits", "rows digits", "bytes stdlib"), ours("Lion", 0.1)),
    Kind("muon and adam", ("mlp digits", "residual digits", "rows digits", "bytes stdlib"), muon),
    Kind(
        "schedule-free", ("mlp digits", "residual spirals", "rows digits", "gru digits"), ours("ScheduleFreeAdamW", 2.0)
    ),
    Kind("adopt", ("mlp digits", "cnn digits", "residual spirals"), ours("ADOPT", 1.0)),
    Kind("lamb", ("mlp digits", "residual digits", "residual spirals"), ours("LAMB", 4.0)),
    Kind(
        "lbfgs",
        ("mlp diabetes",),
        lambda p: replace(p, optimizer=lambda q, lr: torch.optim.LBFGS(q, 0.3, max_iter=3), batch=242, epochs=12).slip(
            "closure"
        ),
    ),
    Kind("two rates", ("mlp digits", "bn digits", "gru digits", "mlp spirals"), two_rates),
    # schedules
    Kind(
        "warm-up, then clipped",
        ("rows digits", "bytes stdlib", "gru stdlib", "residual digits"),
        lambda p: replace(p, schedule=warm, clip=1.0),
    ),
    Kind(
        "still in its warm-up",
        ("mlp digits", "rows digits", "bytes stdlib", "cnn digits"),
        lambda p: replace(p, schedule=rising),
        reach=0.8,
    ),
    Kind(
        "high rate, cosine to zero",
        ("mlp digits", "residual digits", "bn digits", "rows digits", "gru stdlib"),
        lambda p: replace(p, lr=p.setting.top, schedule=cosine),
    ),
    Kind(
        "rate dropped twice",
        ("mlp digits", "bn digits", "gru digits", "mlp diabetes"),
        lambda p: replace(with_sgd(p), schedule=drops),
    ),
    Kind(
        "one cycle",
        ("mlp digits", "cnn digits", "residual spirals", "gru stdlib"),
        lambda p: replace(p, lr=p.setting.top, schedule=one_cycle),
    ),
    Kind("warm restarts", ("mlp digits", "bn digits", "mlp spirals"), lambda p: replace(p, schedule=restarts)),
    # length and batches
    Kind("a single epoch", ALL, lambda p: replace(p, epochs=1), reach=0.0),
    Kind(
        "long",
        ("mlp digits", "bn digits", "residual digits", "gru digits", "mlp spirals"),
        lambda p: replace(p, epochs=4 * p.epochs),
    ),
    Kind(
        "stopped by patience",
        ("mlp digits", "names", "cnn digits"),
        lambda p: replace(p, epochs=4 * p.epochs, patience=2),
    ),
    Kind(
        "full batch",
        ("mlp digits", "residual digits", "mlp diabetes"),
        lambda p: replace(p, batch=240, epochs=8 * p.epochs),
    ),
    Kind(
        "full batch descent at its edge",
        ("mlp digits", "mlp diabetes"),
        lambda p: replace(p, optimizer=lambda q, lr: torch.optim.SGD(q, lr), lr=0.3, batch=240, epochs=12 * p.epochs),
    ),
    Kind(
        "batches of four",
        ("mlp digits", "cnn digits", "mlp diabetes", "residual spirals"),
        lambda p: replace(p, batch=4, epochs=max(2, p.epochs // 2), lr=p.lr / 3),
    ),
    Kind(
        "accumulated over four",
        ("mlp digits", "bn digits", "rows digits", "gru stdlib"),
        lambda p: replace(p, batch=p.batch // 4, accumulate=4),
    ),
    # precision and clipping
    Kind(
        "bfloat16",
        ("mlp digits", "bn digits", "rows digits", "bytes stdlib"),
        lambda p: replace(p, cast=torch.bfloat16),
    ),
    Kind("scaled loss", ("mlp digits", "cnn digits", "gru digits"), lambda p: replace(p, scale=65536.0)),
    Kind(
        "clipped now and then",
        ("gru digits", "gru stdlib", "rows digits", "mlp diabetes"),
        lambda p: replace(p, clip=2.0),
    ),
]
