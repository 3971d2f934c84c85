"""Sick in ways that are in the kept part alone. What counts as right was written down before any of them was run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .. import networks as net
from ..datasets import DIMENSIONS
from ..kinds import Kind, by_structure, deep, dropped, gave_back, generator, jumped, layers, right
from ..plan import Plan, sgd

Tensor = torch.Tensor
Optimizer = torch.optim.Optimizer


# ---- rates and schedules


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


# ---- networks


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


# ---- decay


def drowned(plan: Plan) -> Plan:
    return replace(plan, optimizer=lambda p, lr: torch.optim.AdamW(p, lr, weight_decay=50.0))


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
        ("mlp cancer", "mlp friedman", "deep cnn digits", "grouped digits"),
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
        ("mlp parity", "mlp friedman", "deep cnn digits", "lstm bytes"),
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
    # loss and output
    Kind(
        "softmax over the batch",
        ("mlp cancer", "deep cnn digits", "columns digits"),
        after(lambda: nn.Softmax(0)),
        right("softmax-twice", "wrong-loss"),
    ),
    Kind(
        "sigmoid before cross-entropy",
        ("mlp rings", "patches digits", "mean of names"),
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
        ("mlp parity", "mlp rings", "deep cnn digits", "mean of names"),
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
        ("mlp parity", "mlp friedman", "deep cnn digits"),
        forty,
        right("overfitting"),
        gave_back,
    ),
    Kind(
        "a page by heart",
        ("wide bytes", "lstm bytes"),
        lambda p: replace(p, rows=32, epochs=80),
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
