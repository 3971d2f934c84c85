"""Healthy in ways that are in the kept part alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from .. import networks as net
from ..datasets import DIMENSIONS
from ..kinds import Kind, deep, dropped, generator, layers, rare_class, scaled, wrong_labels
from ..plan import Plan, sgd
from .loop import ours, rule
from .network import started

Tensor = torch.Tensor
Optimizer = torch.optim.Optimizer


# ---- loop


def warm_cosine(optimizer: Optimizer, steps: int) -> Any:
    from torch.optim import lr_scheduler

    warm = lr_scheduler.LinearLR(optimizer, 0.05, total_iters=steps // 10)
    falling = lr_scheduler.CosineAnnealingLR(optimizer, steps - steps // 10)
    return lr_scheduler.SequentialLR(optimizer, [warm, falling], [steps // 10])


def cyclic(optimizer: Optimizer, steps: int) -> Any:
    rate = optimizer.param_groups[0]["lr"]
    return torch.optim.lr_scheduler.CyclicLR(
        optimizer, rate / 5, 2 * rate, step_size_up=max(1, steps // 8), cycle_momentum=False
    )


def falling(optimizer: Optimizer, steps: int) -> Any:
    return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)


def one_cycle(optimizer: Optimizer, steps: int) -> Any:
    """Of rate and momentum, as in its paper."""
    top = optimizer.param_groups[0]["lr"]
    return torch.optim.lr_scheduler.OneCycleLR(optimizer, top, total_steps=steps + 1)


def nesterov(plan: Plan) -> Plan:
    return replace(
        plan,
        optimizer=lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, nesterov=True, weight_decay=5e-4),
        lr=plan.setting.sgd,
    )


def averaged(plan: Plan) -> Plan:
    """A copy of the model that follows it slowly, as for an evaluation with averaged weights."""
    kept: dict[str, Any] = {}

    def follow(model: nn.Module, step: int) -> None:
        from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

        if step == 0:
            kept["average"] = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.98))
        else:
            kept["average"].update_parameters(model)

    return replace(plan, each=follow)


def noisy_gradients(model: nn.Module) -> None:
    """A fifth of each gradient's size in noise."""
    for p in model.parameters():
        p.register_hook(lambda g: g + 0.2 * g.norm() / g.numel() ** 0.5 * torch.randn_like(g))


# ---- networks


def tuned_head(plan: Plan) -> Plan:
    """A body that was trained before and is frozen on purpose, under a head that is new."""
    trained = started(plan)

    def start(model: nn.Module) -> None:
        assert trained.start is not None
        trained.start(model)
        head = layers(model)[-1]
        model.requires_grad_(False)
        head.requires_grad_(True)
        head.reset_parameters()

    return replace(plan, start=start, parameters=lambda m: [p for p in m.parameters() if p.requires_grad])


def normed(plan: Plan) -> Plan:
    """A layer norm under each layer."""
    inputs, outputs = DIMENSIONS[plan.setting.task]

    def model() -> nn.Module:
        parts: list[nn.Module] = [nn.Flatten()]
        for size in (inputs, 48, 48):
            parts += [nn.Linear(size, 48), nn.LayerNorm(48), nn.ReLU()]
        return nn.Sequential(*parts, nn.Linear(48, outputs))

    return replace(plan, model=model)


def orthogonal(model: nn.Module) -> None:
    for m in layers(model):
        nn.init.orthogonal_(m.weight, 2**0.5)
        m.bias.zero_()


def small(model: nn.Module) -> None:
    """As GPT-2 starts: all matrices and embeddings of a deviation of 0.02, all biases 0."""
    for m in model.modules():
        if isinstance(m, nn.Linear | nn.Conv2d | nn.Embedding):
            nn.init.normal_(m.weight, std=0.02)
            bias = getattr(m, "bias", None)
            if bias is not None:
                bias.zero_()


def head_at_zero(model: nn.Module) -> None:
    layers(model)[-1].weight.zero_()
    layers(model)[-1].bias.zero_()


def unbiased(plan: Plan) -> Plan:
    def model() -> nn.Module:
        made = plan.model()
        for m in layers(made):
            m.register_parameter("bias", None)
        return made

    return replace(plan, model=model)


# ---- losses and data


def smooth_and_mixed(plan: Plan) -> Plan:
    outputs = DIMENSIONS[plan.setting.task][1]

    def blend(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
        share, other = 0.2 * float(torch.rand(())), torch.randperm(len(x))
        hot = F.one_hot(y, outputs).float()
        return (1 - share) * x + share * x[other], (1 - share) * hot + share * hot[other]

    return replace(plan, batchwise=blend, loss=lambda out, y: F.cross_entropy(out, y, label_smoothing=0.05))


def focal(out: Tensor, y: Tensor) -> Tensor:
    """Lin et al. 2017, gamma 2."""
    each = F.cross_entropy(out, y, reduction="none")
    return ((1 - (-each).exp()).square() * each).mean()


def softened(plan: Plan) -> Plan:
    """Divergence from targets that are nine parts the label, as from a teacher."""
    outputs = DIMENSIONS[plan.setting.task][1]

    def loss(out: Tensor, y: Tensor) -> Tensor:
        soft = 0.9 * F.one_hot(y, outputs) + 0.1 / outputs
        return F.kl_div(F.log_softmax(out, 1), soft, reduction="batchmean")

    return replace(plan, loss=loss)


tenth_wrong = wrong_labels(0.1, 41)


one_in_ten = rare_class(0.1, 43)


def balanced(plan: Plan) -> Plan:
    """A rare class, and the weight that makes up for it."""
    weight = torch.ones(DIMENSIONS[plan.setting.task][1])
    weight[1] = 10.0
    return replace(plan, prepare=one_in_ten, loss=lambda out, y: F.cross_entropy(out, y, weight=weight))


def outliers(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    far = torch.rand(y.shape, generator=generator(44)) < 0.05
    return x, torch.where(far, 8 * y, y)


def shifted(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """Images moved by a pixel."""
    down, right = (int(v) for v in torch.randint(-1, 2, (2,)))
    return x.roll((down, right), (-2, -1)), y


def covered(x: Tensor, y: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """A square of every image is blank."""
    top, left = (int(v) for v in torch.randint(0, 6, (2,)))
    x = x.clone()
    x[..., top : top + 3, left : left + 3] = 0
    return x, y


def activation(act: Callable[[], nn.Module], depth: int = 3, width: int = 48) -> Callable[[Plan], Plan]:
    return lambda plan: replace(plan, model=deep(plan, depth, act, width))


KINDS = [
    # other rules and settings of them
    Kind("nesterov, decay 5e-4", ("strided digits", "residual cnn digits"), nesterov),
    Kind(
        "betas 0.9 and 0.95",
        ("patches digits", "wide bytes"),
        rule(lambda p, lr: torch.optim.AdamW(p, lr, betas=(0.9, 0.95), weight_decay=0.1)),
    ),
    Kind("amsgrad", ("mlp rings", "columns digits"), rule(lambda p, lr: torch.optim.Adam(p, lr, amsgrad=True))),
    Kind("radam", ("mlp parity", "grouped digits"), rule(torch.optim.RAdam, 2.0)),
    Kind("adamax", ("mlp friedman", "mlp rings"), rule(torch.optim.Adamax, 2.0)),
    Kind("adabelief", ("mlp cancer", "residual turn"), ours("AdaBelief")),
    # schedules
    Kind(
        "adamw, warm-up and cosine",
        ("patches digits", "wide bytes", "residual cnn digits"),
        lambda p: replace(p, optimizer=lambda q, lr: torch.optim.AdamW(q, lr), schedule=warm_cosine, lr=1.5 * p.lr),
    ),
    Kind("cyclic rates", ("mlp cancer", "strided digits"), lambda p: replace(p, schedule=cyclic)),
    Kind("rate falls to zero", ("mlp friedman", "lstm bytes"), lambda p: replace(p, schedule=falling)),
    Kind(
        "one cycle of rate and momentum",
        ("strided digits", "grouped digits"),
        lambda p: replace(p, optimizer=sgd, lr=p.setting.sgd_top, schedule=one_cycle),
    ),
    # length and batches
    Kind(
        "accumulated over two, clipped",
        ("patches digits", "lstm bytes"),
        lambda p: replace(p, batch=p.batch // 2, accumulate=2, clip=1.0),
    ),
    Kind(
        "batches of eight",
        ("mlp rings", "deep cnn digits", "columns digits"),
        lambda p: replace(p, batch=8, lr=p.lr / 2, epochs=max(2, p.epochs // 2)),
    ),
    Kind(
        "batches of 256",
        ("mlp parity", "strided digits"),
        lambda p: replace(p, batch=256, lr=2 * p.lr, epochs=4 * p.epochs),
    ),
    Kind(
        "long, stopped by patience",
        ("mlp friedman", "mean of names", "lstm bytes"),
        lambda p: replace(p, epochs=6 * p.epochs, patience=2),
    ),
    Kind("average beside", ("mlp cancer", "residual cnn digits"), averaged),
    Kind("noise on the gradients", ("mlp parity", "columns digits"), lambda p: replace(p, start=noisy_gradients)),
    # structure
    Kind("fine-tuned head", ("deep cnn digits", "patches digits"), tuned_head, reach=0.95),
    Kind(
        "three of ten dropped",
        ("mlp rings", "deep cnn digits"),
        lambda p: replace(p, model=dropped(p, 0.3), epochs=2 * p.epochs),
        reach=0.95,
    ),
    Kind("layer norms", ("mlp cancer", "mlp friedman"), normed),
    Kind("silu", ("mlp parity", "mlp rings"), activation(nn.SiLU)),
    Kind("leaky relu", ("mlp cancer", "mlp rings"), activation(nn.LeakyReLU)),
    Kind(
        "selu, LeCun's start",
        ("mlp parity", "mlp friedman"),
        lambda p: replace(activation(nn.SELU, 5)(p), start=scaled(1.0)),
    ),
    Kind("orthogonal start", ("mlp rings", "deep cnn digits"), lambda p: replace(p, start=orthogonal)),
    Kind(
        "start of 0.02 under norms",
        ("patches digits", "wide bytes", "grouped digits"),
        lambda p: replace(p, start=small),
    ),
    Kind("head at zero", ("strided digits", "grouped digits"), lambda p: replace(p, start=head_at_zero)),
    Kind("no biases", ("mlp parity", "deep cnn digits"), unbiased),
    Kind(
        "a softmax inside",
        ("mlp parity", "mlp cancer"),
        lambda p: replace(p, model=lambda: net.SoftmaxByHand(*DIMENSIONS[p.setting.task])),
    ),
    # losses and data
    Kind("smoothed and mixed", ("strided digits", "grouped digits"), smooth_and_mixed, reach=0.95),
    Kind("focal loss", ("mlp cancer", "columns digits"), lambda p: replace(p, loss=focal)),
    Kind("hinge", ("mlp parity", "deep cnn digits"), lambda p: replace(p, loss=F.multi_margin_loss)),
    Kind("soft targets", ("mlp rings", "grouped digits"), softened),
    Kind(
        "a tenth of the labels wrong",
        ("mlp rings", "residual cnn digits", "columns digits"),
        lambda p: replace(p, prepare=tenth_wrong),
        reach=0.9,
    ),
    Kind(
        "one class is a tenth", ("mlp rings", "deep cnn digits"), lambda p: replace(p, prepare=one_in_ten), reach=0.85
    ),
    Kind("one class is a tenth, weighted", ("mlp rings", "deep cnn digits"), balanced, reach=0.85),
    Kind(
        "outliers under huber", ("mlp friedman",), lambda p: replace(p, prepare=outliers, loss=F.huber_loss), reach=0.85
    ),
    Kind(
        "images moved by a pixel",
        ("strided digits", "residual cnn digits"),
        lambda p: replace(p, batchwise=shifted, epochs=2 * p.epochs),
        reach=0.95,
    ),
    Kind(
        "squares blanked",
        ("grouped digits", "columns digits"),
        lambda p: replace(p, batchwise=covered, epochs=2 * p.epochs),
        reach=0.95,
    ),
]
