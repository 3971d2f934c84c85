"""Sick by the data: labels, inputs, order, and too few or too many of them for the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from ..datasets import DIMENSIONS
from ..kinds import CLASSES, IMAGES, Kind, deep, gave_back, generator, jumped, right, wrong_labels
from ..plan import Plan, sgd

Tensor = torch.Tensor


def shuffled(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y[torch.randperm(len(y), generator=generator(3))]


def late(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y.roll(1, 0)


def noise(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return torch.randn(x.shape, generator=generator(len(x))), y


some_wrong = wrong_labels(0.3, 5)


def hole(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone()
    x.view(len(x), -1)[17, 1] = math.nan
    return x, y


def raw(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x * 75 + 128, y


def tiny(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x / 1000, y


def one_column(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clone()
    x[:, 3] *= 2000
    return x, y


def few(rows: int, epochs: int, width: int = 0) -> Callable[[Plan], Plan]:
    """Many epochs on few rows, where a larger network is given one."""

    def change(plan: Plan) -> Plan:
        model = deep(plan, 2, width=width) if width and plan.setting.architecture == "mlp" else plan.model
        return replace(
            plan, model=model, rows=rows, epochs=epochs, batch=min(plan.batch, rows // 2), prepare=wrong_classes
        )

    return change


def wrong_classes(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return some_wrong(x, y) if y.dtype == torch.int64 else (x, y)


def bad_batches(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return (x * 200, y) if step in (90, 130) else (x, y)


def upside_down(plan: Plan) -> Plan:
    """Class weights that leave one class alone with any weight."""
    outputs = DIMENSIONS[plan.setting.task][1]
    weight = torch.full((outputs,), 1e-6)
    weight[0] = 1.0
    return replace(plan, loss=lambda out, y: F.cross_entropy(out, y, weight=weight, reduction="sum") / len(y))


def bottleneck(plan: Plan) -> Plan:
    inputs, outputs = DIMENSIONS[plan.setting.task]
    return replace(
        plan,
        model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(inputs, 1), nn.Linear(1, outputs)),
        lr=1e-2,
        epochs=3 * plan.epochs,
    )


def straight(plan: Plan) -> Plan:
    inputs, outputs = DIMENSIONS[plan.setting.task]
    return replace(plan, model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(inputs, outputs)), lr=1e-2)


KINDS = [
    # data
    Kind("labels shuffled", CLASSES, lambda p: replace(p, prepare=shuffled), right("labels-unlearnable")),
    Kind(
        "labels a row late",
        ("mlp digits", "bn digits", "gru digits", "cnn digits", "names"),
        lambda p: replace(p, prepare=late),
        right("labels-unlearnable"),
    ),
    Kind(
        "shuffled labels by heart",
        ("mlp digits", "residual digits", "gru digits"),
        lambda p: replace(p, prepare=shuffled, epochs=3 * p.epochs, rows=320),
        right("labels-unlearnable"),
    ),
    Kind("noise for inputs", IMAGES, lambda p: replace(p, prepare=noise), right("labels-unlearnable")),
    Kind("sorted by label", CLASSES, lambda p: replace(p, order="sorted"), right("sorted-data")),
    Kind(
        "raw inputs",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, prepare=raw),
        right("inputs-unnormalised"),
    ),
    Kind(
        "raw inputs, sgd",
        ("mlp digits", "cnn digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, prepare=raw, optimizer=sgd, lr=p.setting.sgd),
        right("inputs-unnormalised"),
    ),
    Kind(
        "tiny inputs",
        ("mlp digits", "cnn digits", "mlp spirals"),
        lambda p: replace(p, prepare=tiny, optimizer=sgd, lr=p.setting.sgd),
        right("inputs-unnormalised"),
    ),
    Kind(
        "one column in raw units",
        ("mlp diabetes",),
        lambda p: replace(p, prepare=one_column),
        right("inputs-unnormalised"),
    ),
    Kind(
        "one class has all the weight",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals", "names"),
        upside_down,
        right("one-class"),
    ),
    Kind(
        "bad batches",
        ("mlp digits", "cnn digits", "mlp diabetes"),
        lambda p: replace(p, batchwise=bad_batches, optimizer=sgd, lr=p.setting.sgd / 3),
        right("loss-spikes"),
        jumped,
    ),
    Kind(
        "a hole in the data",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, prepare=hole),
        right("not-finite"),
    ),
    Kind(
        "one sample a step",
        ("mlp diabetes", "mlp digits"),
        lambda p: replace(
            p, batch=1, epochs=3, prepare=wrong_classes, optimizer=lambda q, lr: torch.optim.SGD(q, lr), lr=0.05
        ),
        right("batch-too-small", "lr-too-high"),
    ),
    # fit
    Kind(
        "few rows by heart",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals"),
        few(60, 120, 128),
        right("overfitting"),
        gave_back,
    ),
    Kind(
        "patients by heart",
        ("mlp diabetes",),
        lambda p: replace(p, model=deep(p, 2, width=96), rows=100, epochs=100, lr=5e-3),
        right("overfitting"),
        gave_back,
    ),
    Kind("names by heart", ("names",), lambda p: replace(p, epochs=25), right("overfitting"), gave_back),
    Kind("bottleneck of one", ("mlp digits",), bottleneck, right("underfitting")),
    Kind("a line for spirals", ("mlp spirals",), straight, right("underfitting")),
    Kind(
        "weight decay drowns the loss",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals"),
        lambda p: replace(
            p, optimizer=lambda q, lr: torch.optim.SGD(q, lr, momentum=0.9, weight_decay=0.3), lr=p.setting.sgd
        ),
        right("underfitting"),
    ),
]
