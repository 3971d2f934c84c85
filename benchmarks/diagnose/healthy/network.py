"""Healthy: networks and starts that look sick and are not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from .. import networks as net
from ..datasets import DIMENSIONS, data
from ..kinds import NORMED, Kind, deep, layers, norm_momentum, scaled
from ..plan import Plan


def frozen(plan: Plan) -> Plan:
    """A wide first layer of random features, frozen on purpose, under a head."""
    inputs, outputs = DIMENSIONS[plan.setting.task]

    def model() -> nn.Module:
        made = net.mlp(inputs, outputs, 256, 1)
        made[1].requires_grad_(False)  # type: ignore[index]
        return made

    return replace(plan, model=model, lr=5e-3)


def no_decay(plan: Plan) -> Plan:
    """Strong weight decay on matrices alone."""

    def parameters(model: nn.Module) -> Any:
        matrices = [p for p in model.parameters() if p.ndim > 1]
        return [{"params": matrices, "weight_decay": 0.1}, {"params": [p for p in model.parameters() if p.ndim < 2]}]

    return replace(plan, parameters=parameters, optimizer=lambda q, lr: torch.optim.AdamW(q, lr, weight_decay=0.0))


def started(plan: Plan) -> Plan:
    """Weights that were trained before: the loss starts low."""

    def start(model: nn.Module) -> None:
        x, y, _, _ = data(plan.setting.task)
        optimizer = torch.optim.Adam(model.parameters(), plan.lr)
        with torch.enable_grad():
            for _ in range(plan.epochs):
                for rows in torch.randperm(len(x)).split(plan.batch):
                    optimizer.zero_grad(set_to_none=True)
                    plan.setting.loss(model(x[rows]), y[rows]).backward()
                    optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return replace(plan, start=start, lr=plan.lr / 10, epochs=max(2, plan.epochs // 2))


def zero_branches(plan: Plan) -> Plan:
    inputs, outputs = DIMENSIONS[plan.setting.task]
    norm = nn.BatchNorm1d if plan.setting.task == "digits" else nn.LayerNorm
    return replace(plan, model=lambda: net.Residual(inputs, outputs, norm=norm, zero=True))


def normed_weights(plan: Plan) -> Plan:
    from torch.nn.utils.parametrizations import weight_norm

    def model() -> nn.Module:
        made = plan.model()
        for m in layers(made):
            weight_norm(m)
        return made

    return replace(plan, model=model)


KINDS = [
    # structure
    Kind("random features, frozen", ("mlp digits", "mlp spirals"), frozen, reach=0.7),
    Kind("trained before", ("mlp digits", "bn digits", "residual digits", "mlp spirals", "mlp diabetes"), started),
    Kind("branches that start at zero", ("residual digits", "residual spirals"), zero_branches, own=True),
    Kind("no decay on norms", ("residual digits", "bn digits", "rows digits", "residual spirals"), no_decay),
    Kind("batch norm's momentum 0.03", NORMED, lambda p: replace(p, start=norm_momentum(0.03), epochs=2 * p.epochs)),
    Kind(
        "sparse gradients",
        ("names",),
        lambda p: replace(
            p, model=lambda: net.Names(sparse=True), optimizer=lambda q, lr: torch.optim.SGD(q, lr), lr=1.0
        ),
        own=True,
    ),
    Kind(
        "embedding tied to the head",
        ("bytes stdlib",),
        lambda p: replace(p, model=lambda: net.Bytes(tied=True)),
        own=True,
    ),
    Kind(
        "deep without norms, He",
        ("mlp digits", "mlp spirals"),
        lambda p: replace(p, model=deep(p, 8), start=scaled(2**0.5), lr=1e-3, epochs=2 * p.epochs),
    ),
    Kind(
        "deep, torch's own start",
        ("mlp digits",),
        lambda p: replace(p, model=deep(p, 5, width=64), epochs=2 * p.epochs),
    ),
    Kind(
        "tanh, Glorot",
        ("mlp digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, model=deep(p, 3, nn.Tanh), start=scaled(1.0)),
    ),
    Kind("gelu", ("mlp digits", "mlp spirals"), lambda p: replace(p, model=deep(p, 3, nn.GELU, 48))),
    Kind("one layer of sigmoids", ("mlp digits",), lambda p: replace(p, model=deep(p, 1, nn.Sigmoid, 64), lr=1e-2)),
    Kind(
        "half dropped",
        ("mlp digits",),
        lambda p: replace(p, model=lambda: net.mlp(*DIMENSIONS[p.setting.task], 128, drop=0.5)),
    ),
    Kind("lstm", ("gru digits",), lambda p: replace(p, model=lambda: net.RowsRecurrent(nn.LSTM), lr=1e-2), own=True),
    Kind(
        "two layers of GRU with dropout",
        ("gru digits",),
        lambda p: replace(p, model=lambda: net.RowsRecurrent(num_layers=2, dropout=0.2)),
        own=True,
    ),
    Kind("normed weights", ("mlp digits", "mlp diabetes"), normed_weights),
    Kind(
        "a linear model",
        ("mlp digits", "mlp diabetes"),
        lambda p: replace(
            p, model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(*DIMENSIONS[p.setting.task])), epochs=2 * p.epochs
        ),
    ),
]
