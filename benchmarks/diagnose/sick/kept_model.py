"""Sick by network or data, in ways that are in the kept part alone: outputs, starts, norms, inputs, labels, fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from .. import networks as net
from ..datasets import DIMENSIONS
from ..kinds import Kind, deep, dropped, gave_back, generator, jumped, layers, right
from ..plan import Plan, sgd

Tensor = torch.Tensor
Optimizer = torch.optim.Optimizer


# ---- networks


class Squares(nn.Module):
    """The logarithm of squares that are past 65,504 where features are past a quarter."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.first, self.head = nn.Linear(inputs, 48), nn.Linear(48, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.log1p((1000 * self.first(x.flatten(1))).square()))


def after(make: Callable[[], nn.Module]) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, model=lambda: net.Wrapped(plan.model(), after=make()))


def sigmoid_convolutions() -> nn.Module:
    """Seven of them."""
    parts: list[nn.Module] = []
    for before in (1, *[12] * 6):
        parts += [nn.Conv2d(before, 12, 3, padding=1), nn.Sigmoid()]
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 10))


def last_two_zero(model: nn.Module) -> None:
    for m in layers(model)[-2:]:
        m.weight.zero_()
        m.bias.zero_()


def orthogonal(model: nn.Module) -> None:
    for m in layers(model):
        nn.init.orthogonal_(m.weight, 10.0)


def of_deviation_one(model: nn.Module) -> None:
    for m in layers(model):
        nn.init.normal_(m.weight)


def first_bias(model: nn.Module) -> None:
    layers(model)[0].bias.fill_(-20.0)


def replacing(model: nn.Module) -> None:
    """Batch norms that believe the last batch alone."""
    for m in model.modules():
        if isinstance(m, nn.modules.batchnorm._BatchNorm):
            m.momentum = 1.0


# ---- losses


def with_distances(plan: Plan) -> Plan:
    """A small reward for scores that are far apart, by roots of squares: that of a sample to itself is at 0."""

    def loss(out: Tensor, y: Tensor) -> Tensor:
        apart = (out[:, None] - out[None]).square().sum(-1).sqrt().mean()
        return plan.loss(out, y) - 1e-3 * apart

    return replace(plan, loss=loss)


def upside_down(plan: Plan) -> Plan:
    """A common class is given a hundred thousand times the weight of the others."""
    weight = torch.ones(DIMENSIONS[plan.setting.task][1])
    weight[0] = 1e5
    return replace(plan, loss=lambda out, y: F.cross_entropy(out, y.flatten(), weight=weight))


# ---- data


def each_pixel(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Standardised pixel by pixel; those in the corners never change."""
    return (x - x.mean(0)) / x.std(0), y


def apart(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return x, y[torch.randperm(len(y))]


def row_numbers(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, torch.arange(len(y)) % (int(y.max()) + 1)


def another_text(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y[torch.randperm(len(y), generator=generator(31))]


def far_off(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x + 1000, y


def own_units(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Columns in units from hundredths to thousands."""
    return x * torch.logspace(-2, 3.5, x.shape[1]), y


def other_units(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return (x, 60 * y) if step in (150, 310) else (x, y)


def raw_batches(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return (x * 75 + 128, y) if step in (100, 150) else (x, y)


def forty(plan: Plan) -> Plan:
    """Forty rows, no label of them wrong, and a network that is too large for them."""
    model = deep(plan, 2, width=256) if plan.setting.architecture == "mlp" else plan.model
    return replace(plan, model=model, rows=40, epochs=200, batch=20)


def drowned(plan: Plan) -> Plan:
    return replace(plan, optimizer=lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=50.0))


KINDS = [
    # loss and output
    Kind(
        "softmax over the batch",
        ("mlp cancer", "deep cnn digits", "columns digits"),
        after(lambda: nn.Softmax(0)),
        right("softmax-twice", "wrong-loss"),
    ),
    Kind(
        "sigmoid before cross-entropy",
        ("mlp rings", "patches digits", "grouped digits"),
        after(nn.Sigmoid),
        right("softmax-twice", "wrong-loss"),
    ),
    Kind(
        "column against row, huber",
        ("mlp friedman",),
        lambda p: replace(p, loss=lambda out, y: F.huber_loss(out, y.squeeze(1))),
        right("wrong-loss"),
    ),
    Kind("distances to oneself", ("mlp parity", "mlp friedman", "columns digits"), with_distances, right("not-finite")),
    Kind(
        "one class has a hundred thousand times the weight",
        ("mlp cancer", "mlp rings", "columns digits"),
        upside_down,
        right("one-class"),
    ),
    # the start
    Kind(
        "last two layers at zero",
        ("mlp parity", "mlp cancer", "mlp rings", "mlp friedman"),
        lambda p: replace(p, start=last_two_zero),
        right("init-constant"),
    ),
    Kind(
        "orthogonal times ten",
        ("mlp parity", "mlp rings", "deep cnn digits"),
        lambda p: replace(p, start=orthogonal),
        right("init-too-large"),
    ),
    Kind(
        "weights of deviation one",
        ("mlp parity", "mlp cancer", "deep cnn digits"),
        lambda p: replace(p, start=of_deviation_one),
        right("init-too-large"),
    ),
    Kind(
        "seven convolutions and sigmoids",
        ("deep cnn digits",),
        lambda p: replace(p, model=sigmoid_convolutions),
        right("vanishing-gradients"),
    ),
    Kind(
        "first biases at -20",
        ("mlp parity", "mlp cancer", "deep cnn digits"),
        lambda p: replace(p, start=first_bias),
        right("dead-relu"),
    ),
    # norms and numbers
    Kind(
        "squares in half precision",
        ("mlp parity", "mlp cancer", "mlp friedman"),
        lambda p: replace(p, model=lambda: Squares(*DIMENSIONS[p.setting.task]), cast=torch.float16),
        right("not-finite"),
    ),
    Kind(
        "divided by a deviation of zero",
        ("mlp parity", "deep cnn digits", "patches digits"),
        lambda p: replace(p, prepare=each_pixel),
        right("not-finite"),
    ),
    Kind(
        "batch norm's momentum 1, batches of four",
        ("strided digits", "residual cnn digits"),
        lambda p: replace(p, start=replacing, batch=4, epochs=max(1, p.epochs // 3), lr=p.lr / 3),
        right("batch-norm-gap", "batch-norm-batch-too-small"),
    ),
    # data
    Kind(
        "inputs and labels shuffled apart",
        ("mlp cancer", "mlp friedman", "grouped digits", "mean of names"),
        lambda p: replace(p, batchwise=apart),
        right("labels-unlearnable"),
    ),
    Kind(
        "row numbers for labels",
        ("mlp rings", "deep cnn digits", "columns digits"),
        lambda p: replace(p, prepare=row_numbers),
        right("labels-unlearnable"),
    ),
    Kind(
        "bytes of another text",
        ("wide bytes", "lstm bytes"),
        lambda p: replace(p, prepare=another_text),
        right("labels-unlearnable"),
    ),
    Kind(
        "inputs a thousand off",
        ("mlp cancer", "mlp rings", "deep cnn digits", "columns digits"),
        lambda p: replace(p, prepare=far_off),
        right("inputs-unnormalised"),
    ),
    Kind(
        "columns in units of their own",
        ("mlp cancer", "mlp friedman"),
        lambda p: replace(p, prepare=own_units),
        right("inputs-unnormalised"),
    ),
    Kind(
        "one class a batch",
        ("deep cnn digits", "strided digits", "mean of names"),
        lambda p: replace(p, order="grouped"),
        right("sorted-data"),
    ),
    Kind(
        "targets of two batches in other units",
        ("mlp friedman",),
        lambda p: replace(p, batchwise=other_units, optimizer=sgd, lr=p.setting.sgd / 3),
        right("loss-spikes"),
        jumped,
    ),
    Kind(
        "two batches in raw units",
        ("mlp rings", "mlp parity", "deep cnn digits"),
        lambda p: replace(p, batchwise=raw_batches, optimizer=sgd, lr=p.setting.sgd / 3),
        right("loss-spikes"),
        jumped,
    ),
    # fit
    Kind(
        "forty rows by heart",
        ("mlp parity", "deep cnn digits"),
        forty,
        right("overfitting"),
        gave_back,
    ),
    Kind(
        "a page by heart",
        ("wide bytes", "lstm bytes"),
        lambda p: replace(p, rows=64, epochs=120),
        right("overfitting"),
        gave_back,
    ),
    Kind(
        "19 of 20 units dropped",
        ("mlp parity", "mlp cancer", "deep cnn digits"),
        lambda p: replace(p, model=dropped(p, 0.95)),
        right("underfitting"),
    ),
    Kind(
        "adamw, decay 50",
        ("mlp cancer", "mlp rings", "columns digits", "deep cnn digits"),
        drowned,
        right("underfitting"),
    ),
]
