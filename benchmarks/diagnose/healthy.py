"""Healthy runs: what is usual, and what looks sick and is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from . import networks as net
from .kinds import ALL, BYTES, CLASSES, DIMENSIONS, IMAGES, MLP, NORMED, Kind, deep, generator, layers, scaled
from .plan import Plan, sgd

Tensor = torch.Tensor


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


# ---- schedules


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


# ---- data


def some_wrong(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    wrong = torch.rand(len(y), generator=generator(11)) < 0.2
    return x, torch.where(wrong, y[torch.randperm(len(y), generator=generator(12))], y)


def noisier(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x, y + 0.5 * torch.randn(y.shape, generator=generator(13))


def rare(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    kept = (y != 1) | (torch.rand(len(y), generator=generator(14)) < 0.15)
    return x[kept], y[kept]


def positive(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x * 0.35 + 0.3, y


def sixteen(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    return x * 6 + 5, y


def jittered(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    return x + 0.3 * torch.randn(x.shape), y


def mixed(plan: Plan) -> Plan:
    """Pairs of samples and of their labels, blended: targets are probabilities."""
    outputs = 8 if plan.setting.task == "modules_sparse" else DIMENSIONS[plan.setting.task][1]

    def blend(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        share, other = float(torch.rand(())) * 0.3, torch.randperm(len(x))
        hot = F.one_hot(y, outputs).float()
        return (1 - share) * x + share * x[other], (1 - share) * hot + share * hot[other]

    return replace(plan, batchwise=blend, loss=F.cross_entropy)


# ---- networks and losses


def binary(plan: Plan, inside: bool = False) -> Plan:
    inputs, outputs = DIMENSIONS[plan.setting.task]
    return replace(
        plan,
        model=lambda: nn.Sequential(net.mlp(inputs, 1), nn.Sigmoid()) if inside else net.mlp(inputs, 1),
        prepare=lambda x, y: (x, (y < outputs / 2).float()[:, None]),
        loss=F.binary_cross_entropy if inside else F.binary_cross_entropy_with_logits,
    )


def frozen(plan: Plan) -> Plan:
    """A wide first layer of random features, frozen on purpose, under a head."""
    inputs, outputs = DIMENSIONS[plan.setting.task]

    def model() -> nn.Module:
        made = net.mlp(inputs, outputs, 256, 1)
        made[1].requires_grad_(False)  # type: ignore[index]
        return made

    return replace(plan, model=model, lr=5e-3)


def two_rates(plan: Plan) -> Plan:
    """The head at three times the rate of the body."""

    def parameters(model: nn.Module) -> Any:
        every = list(model.parameters())
        return [{"params": every[:-2]}, {"params": every[-2:], "lr": 3 * plan.lr}]

    return replace(plan, parameters=parameters)


def no_decay(plan: Plan) -> Plan:
    """Strong weight decay on matrices alone."""

    def parameters(model: nn.Module) -> Any:
        matrices = [p for p in model.parameters() if p.ndim > 1]
        return [{"params": matrices, "weight_decay": 0.1}, {"params": [p for p in model.parameters() if p.ndim < 2]}]

    return replace(plan, parameters=parameters, optimizer=lambda q, lr: torch.optim.AdamW(q, lr, weight_decay=0.0))


def one_hot(plan: Plan) -> Plan:
    """Squares against one-hot targets."""
    outputs = DIMENSIONS[plan.setting.task][1]
    return replace(plan, loss=lambda out, y: F.mse_loss(out, F.one_hot(y, outputs).float()))


def two_losses(plan: Plan) -> Plan:
    """The loss and a small penalty on the scores."""
    return replace(plan, loss=lambda out, y: plan.loss(out, y) + 1e-3 * out.square().mean())


def started(plan: Plan) -> Plan:
    """Weights that were trained before: the loss starts low."""

    def start(model: nn.Module) -> None:
        from .settings import data

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


def momentum(value: float) -> Callable[[nn.Module], None]:
    def change(model: nn.Module) -> None:
        for m in model.modules():
            if isinstance(m, nn.modules.batchnorm._BatchNorm):
                m.momentum = value

    return change


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


HEALTHY = [
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
    # structure
    Kind("random features, frozen", ("mlp digits", "mlp spirals"), frozen, reach=0.7),
    Kind("trained before", ("mlp digits", "bn digits", "residual digits", "mlp spirals", "mlp diabetes"), started),
    Kind("branches that start at zero", ("residual digits", "residual spirals"), zero_branches),
    Kind("no decay on norms", ("residual digits", "bn digits", "rows digits", "residual spirals"), no_decay),
    Kind("batch norm's momentum 0.03", NORMED, lambda p: replace(p, start=momentum(0.03), epochs=2 * p.epochs)),
    Kind(
        "sparse gradients",
        ("names",),
        lambda p: replace(
            p, model=lambda: net.Names(sparse=True), optimizer=lambda q, lr: torch.optim.SGD(q, lr), lr=1.0
        ),
    ),
    Kind("embedding tied to the head", ("bytes stdlib",), lambda p: replace(p, model=lambda: net.Bytes(tied=True))),
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
    Kind("half dropped", ("mlp digits",), lambda p: replace(p, model=lambda: net.mlp(width=128, drop=0.5))),
    Kind("lstm", ("gru digits",), lambda p: replace(p, model=lambda: net.RowsRecurrent(nn.LSTM), lr=1e-2)),
    Kind(
        "two layers of GRU with dropout",
        ("gru digits",),
        lambda p: replace(p, model=lambda: net.RowsRecurrent(num_layers=2, dropout=0.2)),
    ),
    Kind("normed weights", ("mlp digits", "mlp diabetes"), normed_weights),
    Kind(
        "a linear model",
        ("mlp digits", "mlp diabetes"),
        lambda p: replace(
            p, model=lambda: nn.Sequential(nn.Flatten(), nn.Linear(*DIMENSIONS[p.setting.task])), epochs=2 * p.epochs
        ),
    ),
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

_ = BYTES, CLASSES, IMAGES, MLP
