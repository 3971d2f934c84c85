"""Healthy: losses and data that look sick and are not."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from .. import networks as net
from ..datasets import DIMENSIONS
from ..kinds import Kind, generator, rare_class, wrong_labels
from ..plan import Plan

Tensor = torch.Tensor


some_wrong = wrong_labels(0.2, 11)


def noisier(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y + 0.5 * torch.randn(y.shape, generator=generator(13))


rare = rare_class(0.15, 14)


def positive(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x * 0.35 + 0.3, y


def sixteen(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x * 6 + 5, y


def jittered(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return x + 0.3 * torch.randn(x.shape), y


def mixed(plan: Plan) -> Plan:
    """Pairs of samples and of their labels, blended: targets are probabilities."""
    outputs = DIMENSIONS[plan.setting.task][1]

    def blend(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        share, other = float(torch.rand(())) * 0.3, torch.randperm(len(x))
        hot = F.one_hot(y, outputs).float()
        return (1 - share) * x + share * x[other], (1 - share) * hot + share * hot[other]

    return replace(plan, batchwise=blend, loss=F.cross_entropy)


def binary(plan: Plan, inside: bool = False) -> Plan:
    inputs, outputs = DIMENSIONS[plan.setting.task]
    return replace(
        plan,
        model=lambda: nn.Sequential(net.mlp(inputs, 1), nn.Sigmoid()) if inside else net.mlp(inputs, 1),
        prepare=lambda x, y: (x, (y < outputs / 2).float()[:, None]),
        loss=F.binary_cross_entropy if inside else F.binary_cross_entropy_with_logits,
    )


def one_hot(plan: Plan) -> Plan:
    """Squares against one-hot targets."""
    outputs = DIMENSIONS[plan.setting.task][1]
    return replace(plan, loss=lambda out, y: F.mse_loss(out, F.one_hot(y, outputs).float()))


def two_losses(plan: Plan) -> Plan:
    """The loss and a small penalty on the scores."""
    return replace(plan, loss=lambda out, y: plan.loss(out, y) + 1e-3 * out.square().mean())


KINDS = [
    # losses and data
    Kind("binary", ("mlp digits", "mlp spirals"), binary, reach=0.0),
    Kind("binary, sigmoid inside", ("mlp digits", "mlp spirals"), lambda p: binary(p, True), reach=0.0),
    Kind(
        "likelihood of log_softmax",
        ("mlp digits", "gru digits"),
        lambda p: replace(
            p,
            model=lambda: net.Wrapped(p.model(), after=nn.LogSoftmax(1)),
            loss=lambda out, y: F.nll_loss(out, y.flatten()),
        ),
    ),
    Kind("squares of one-hot", ("mlp digits", "cnn digits"), one_hot),
    Kind("huber", ("mlp diabetes",), lambda p: replace(p, loss=F.huber_loss)),
    Kind("absolute", ("mlp diabetes",), lambda p: replace(p, loss=F.l1_loss)),
    Kind(
        "label smoothing",
        ("mlp digits", "bn digits", "rows digits", "residual spirals"),
        lambda p: replace(p, loss=lambda out, y: F.cross_entropy(out, y.flatten(), label_smoothing=0.1)),
    ),
    Kind("a penalty on the scores", ("mlp digits", "bn digits", "gru digits"), two_losses),
    Kind("mixed samples", ("mlp digits", "bn digits", "rows digits"), mixed, reach=0.95),
    Kind(
        "jittered inputs",
        ("mlp digits", "cnn digits", "bn digits", "gru digits"),
        lambda p: replace(p, batchwise=jittered),
        reach=0.95,
    ),
    Kind(
        "a fifth of the labels wrong",
        ("mlp digits", "bn digits", "gru digits"),
        lambda p: replace(p, prepare=some_wrong, epochs=max(2, p.epochs // 2)),
        reach=0.8,
    ),
    Kind("noisy regression", ("mlp diabetes",), lambda p: replace(p, prepare=noisier), reach=0.7),
    Kind(
        "a class that is rare",
        ("mlp digits", "cnn digits", "bn digits"),
        lambda p: replace(p, prepare=rare),
        reach=0.85,
    ),
    Kind(
        "inputs from 0 to 1",
        ("mlp digits", "cnn digits", "bn digits"),
        lambda p: replace(p, prepare=positive),
        reach=0.9,
    ),
    Kind(
        "inputs from 0 to 16",
        ("mlp digits", "cnn digits", "bn digits"),
        lambda p: replace(p, prepare=sixteen),
        reach=0.95,
    ),
    Kind("raw inputs under a norm", ("bn digits",), lambda p: replace(p, prepare=lambda x, y: (x * 75 + 128, y))),
    Kind(
        "few rows, few epochs",
        ("mlp digits", "residual digits", "mlp diabetes"),
        lambda p: replace(p, rows=200, epochs=p.epochs),
        reach=0.8,
    ),
]
