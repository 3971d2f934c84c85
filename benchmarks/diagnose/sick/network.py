"""Sick by the network: its start, its layers, its output against the loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .. import networks as net
from ..datasets import DIMENSIONS
from ..kinds import MLP, NORMED, Kind, biases, by_structure, deep, filled, norm_momentum, right, scaled
from ..plan import Plan, sgd

Tensor = torch.Tensor


def over(after: Any, outputs: int | None = None) -> Callable[[Plan], Plan]:
    """Something after the last layer."""
    return lambda plan: replace(plan, model=lambda: net.Wrapped(plan.model(), after=after))


def binary(plan: Plan) -> Plan:
    """One score for the first half of the classes against the others, with a sigmoid before a loss that has its own."""
    inputs, outputs = DIMENSIONS[plan.setting.task]
    return replace(
        plan,
        model=lambda: nn.Sequential(net.mlp(inputs, 1), nn.Sigmoid()),
        prepare=lambda x, y: (x, (y < outputs / 2).float()[:, None]),
        loss=F.binary_cross_entropy_with_logits,
    )


class Cut(nn.Module):
    """Two hidden layers; something is done between them and the head, or one of them is left out."""

    def __init__(self, plan: Plan, how: str):
        super().__init__()
        inputs, outputs = DIMENSIONS[plan.setting.task]
        self.how = how
        self.first, self.second, self.head = nn.Linear(inputs, 48), nn.Linear(48, 48), nn.Linear(48, outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.first(x.flatten(1)))
        if self.how != "unused":
            x = F.relu(self.second(x))
        if self.how == "detached":
            x = x.detach()
        if self.how == "threshold":
            x = (x > 0).float()
        return self.head(x)


class Root(nn.Module):
    """The square root of features that may be 0, where its slope is infinite."""

    def __init__(self, plan: Plan):
        super().__init__()
        inputs, outputs = DIMENSIONS[plan.setting.task]
        self.first, self.head = nn.Linear(inputs, 48), nn.Linear(48, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.sqrt(F.relu(self.first(x.flatten(1)))))


KINDS = [
    # loss and output
    Kind(
        "softmax twice",
        ("mlp digits", "cnn digits", "bn digits", "rows digits", "gru digits", "mlp spirals"),
        over(nn.Softmax(1)),
        right("softmax-twice"),
    ),
    Kind("sigmoid twice", ("mlp digits", "mlp spirals"), binary, right("softmax-twice"), by_structure),
    Kind(
        "likelihood of scores",
        ("mlp digits", "cnn digits", "gru digits", "bytes stdlib"),
        lambda p: replace(p, loss=lambda out, y: F.nll_loss(out, y.flatten())),
        right("wrong-loss"),
    ),
    Kind(
        "likelihood of probabilities",
        ("mlp digits", "bn digits", "mlp spirals"),
        lambda p: replace(over(nn.Softmax(1))(p), loss=lambda out, y: F.nll_loss(out, y.flatten())),
        right("wrong-loss"),
        by_structure,
    ),
    Kind(
        "relu before the loss",
        ("mlp digits", "cnn digits", "rows digits", "mlp spirals"),
        over(nn.ReLU()),
        right("wrong-loss"),
        by_structure,
    ),
    Kind(
        "column against row",
        ("mlp diabetes",),
        lambda p: replace(p, loss=lambda out, y: F.mse_loss(out, y.squeeze(1))),
        right("wrong-loss"),
    ),
    # what gradients reach
    Kind(
        "body detached", MLP, lambda p: replace(p, model=lambda: Cut(p, "detached")), right("no-gradient"), by_structure
    ),
    Kind(
        "hard threshold",
        MLP,
        lambda p: replace(p, model=lambda: Cut(p, "threshold")),
        right("no-gradient"),
        by_structure,
    ),
    Kind(
        "a layer that is not used",
        MLP,
        lambda p: replace(p, model=lambda: Cut(p, "unused")),
        right("no-gradient"),
        by_structure,
    ),
    # the start
    Kind(
        "constant weights",
        ("mlp digits", "cnn digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, start=filled(0.05)),
        right("init-constant"),
    ),
    Kind(
        "all zero",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals"),
        lambda p: replace(p, start=filled(0.0)),
        right("init-constant"),
    ),
    Kind(
        "weights far too small",
        ("mlp digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, model=deep(p, 5), start=scaled(1e-2), optimizer=sgd, lr=p.setting.sgd),
        right("init-too-small"),
    ),
    Kind(
        "saddle at the start",
        ("mlp digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, model=deep(p, 6), start=scaled(0.2), optimizer=sgd, lr=p.setting.sgd),
        right("init-too-small", "plateau"),
    ),
    Kind(
        "weights far too large",
        ("mlp digits", "mlp spirals", "cnn digits"),
        lambda p: replace(p, start=scaled(12.0)),
        right("init-too-large"),
    ),
    Kind(
        "tanh, weights far too large",
        ("mlp digits", "mlp spirals"),
        lambda p: replace(p, model=deep(p, 3, nn.Tanh), start=scaled(12.0), optimizer=sgd, lr=p.setting.sgd),
        right("init-too-large", "saturated-units"),
    ),
    Kind(
        "deep sigmoid",
        ("mlp digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, model=deep(p, 9, nn.Sigmoid)),
        right("vanishing-gradients"),
    ),
    Kind(
        "deep sigmoid, sgd",
        ("mlp digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, model=deep(p, 8, nn.Sigmoid), optimizer=sgd, lr=p.setting.sgd),
        right("vanishing-gradients"),
    ),
    Kind(
        "deep tanh, chaotic",
        ("mlp digits", "mlp spirals"),
        lambda p: replace(p, model=deep(p, 30, nn.Tanh, 24), start=scaled(4.2)),
        right("exploding-gradients", "init-too-large"),
    ),
    Kind(
        "dead relus",
        ("mlp digits", "cnn digits", "mlp spirals"),
        lambda p: replace(p, start=biases(-30.0)),
        right("dead-relu"),
    ),
    Kind(
        "saturated tanhs",
        ("mlp digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, model=deep(p, 2, nn.Tanh), start=biases(9.0), optimizer=sgd, lr=p.setting.sgd),
        right("saturated-units"),
    ),
    # numbers
    Kind(
        "overflow in half precision",
        ("mlp digits", "mlp spirals"),
        lambda p: replace(
            p, model=lambda: net.SoftmaxByHand(*DIMENSIONS[p.setting.task], gain=30.0), cast=torch.float16
        ),
        right("not-finite"),
    ),
    Kind("root of zeros", MLP, lambda p: replace(p, model=lambda: Root(p)), right("not-finite")),
    # batch norm
    Kind(
        "batch norm on two samples",
        NORMED,
        lambda p: replace(p, batch=2, epochs=1, lr=p.lr / 3),
        right("batch-norm-batch-too-small"),
    ),
    Kind(
        "batch norm's momentum 1e-4", NORMED, lambda p: replace(p, start=norm_momentum(1e-4)), right("batch-norm-gap")
    ),
]
