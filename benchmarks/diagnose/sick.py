"""Sick runs, by what is wrong with them. What counts as right was written down before any of them was run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from . import networks as net
from .kinds import ALL, BYTES, CLASSES, DIMENSIONS, IMAGES, MLP, NORMED, Kind, biases, deep, filled, generator, scaled
from .plan import Outcome, Plan, sgd

Tensor = torch.Tensor


def right(*names: str) -> frozenset[str]:
    return frozenset(names)


# ---- rates


def times(factor: float, of: str = "lr") -> Callable[[Plan], Plan]:
    """The rate times a factor: Adam's (`lr`, `top`) or SGD's (`sgd`, `sgd_top`)."""

    def change(plan: Plan) -> Plan:
        rate = getattr(plan.setting, of) * factor
        return replace(plan, lr=rate, optimizer=sgd) if of.startswith("sgd") else replace(plan, lr=rate)

    return change


def collapsing(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    """Made for epochs, and called in each step: gone within a tenth of the run."""
    return torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.7)


def halving(optimizer: torch.optim.Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.StepLR(optimizer, max(1, steps // 4), 0.5)


def slow_epsilon(plan: Plan) -> Plan:
    return replace(plan, optimizer=lambda p, lr: torch.optim.Adam(p, lr, eps=1.0))


def heavy(plan: Plan) -> Plan:
    return replace(plan, optimizer=lambda p, lr: torch.optim.SGD(p, lr, momentum=0.999), lr=plan.setting.sgd)


# ---- data


def shuffled(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y[torch.randperm(len(y), generator=generator(3))]


def late(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y.roll(1, 0)


def noise(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return torch.randn(x.shape, generator=generator(len(x))), y


def some_wrong(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    wrong = torch.rand(len(y), generator=generator(5)) < 0.3
    return x, torch.where(wrong, y[torch.randperm(len(y), generator=generator(6))], y)


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


# ---- networks


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


def momentum(value: float) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.momentum = value

    return change


def upside_down(plan: Plan) -> Plan:
    """Class weights that leave one class alone with any weight."""
    outputs = 8 if plan.setting.task == "modules_sparse" else DIMENSIONS[plan.setting.task][1]
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


# ---- proofs


def gave_back(o: Outcome) -> bool:
    """The validation loss has lost a third of its gain again."""
    low = min(o.validation)
    return o.validation[-1] - low > (max(o.validation[0], o.losses[0]) - low) / 3


def shrunk(o: Outcome) -> bool:
    """The gains of some norm are below 0.3, from 1."""
    gains = [p for n, p in o.model.named_parameters() if p.ndim == 1 and n.endswith("weight")]
    return any(float(p.detach().square().mean().sqrt()) < 0.3 for p in gains)


def jumped(o: Outcome) -> bool:
    """The loss was more than three times its first, and came back below it."""
    return max(o.losses[20:]) > 3 * o.losses[0] > 3 * o.losses[-1]


def by_structure(o: Outcome) -> bool:
    """The slip is in the loop or the network, whatever comes of it."""
    return True


SICK = [
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
    # what the optimizer holds, and what gradients reach
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
    Kind(
        "a hole in the data",
        ("mlp digits", "cnn digits", "gru digits", "mlp spirals", "mlp diabetes"),
        lambda p: replace(p, prepare=hole),
        right("not-finite"),
    ),
    # batch norm
    Kind(
        "batch norm on two samples",
        NORMED,
        lambda p: replace(p, batch=2, epochs=1, lr=p.lr / 3),
        right("batch-norm-batch-too-small"),
    ),
    Kind("batch norm's momentum 1e-4", NORMED, lambda p: replace(p, start=momentum(1e-4)), right("batch-norm-gap")),
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
    # settings
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
    Kind(
        "between the walls of a valley",
        ("quadratic",),
        lambda p: replace(p, optimizer=walls, lr=0.6),
        right("stuck-large-gradients", "lr-too-high"),
    ),
    Kind(
        "one sample a step",
        ("mlp diabetes", "mlp digits"),
        lambda p: replace(
            p, batch=1, epochs=3, prepare=wrong_classes, optimizer=lambda q, lr: torch.optim.SGD(q, lr), lr=0.05
        ),
        right("batch-too-small", "lr-too-high"),
    ),
]


def walls(parameters: Any, lr: float) -> torch.optim.Optimizer:
    from downslope import optim

    return optim.SignSGD(parameters, lr)  # type: ignore[attr-defined]


_ = BYTES
