"""References of the younger rules: variants of Adam, of momentum and of signs, and those that look at whole tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import exp, log, sqrt
from typing import Any

import torch

from reference import ADAM, DECAYED, Reference, Rule, of_package, transcribed

Tensor = torch.Tensor
Betas = tuple[float, float]


def averages(memory: dict, g: Tensor, betas: Betas) -> tuple[int, Tensor, Tensor]:
    """The step, and Adam's two averages with this gradient in them."""
    memory["step"] = memory.get("step", 0) + 1
    memory["m"] = torch.lerp(g, memory.get("m", torch.zeros_like(g)), betas[0])
    memory["v"] = torch.lerp(g.square(), memory.get("v", torch.zeros_like(g)), betas[1])
    return memory["step"], memory["m"], memory["v"]


def nadamw(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8,
    weight_decay: float = 1e-2,
) -> Tensor:  # fmt: skip
    """algoperf's reference_algorithms NAdamW."""
    step, m, v = averages(memory, g, betas)
    ahead = m * betas[0] + g * (1 - betas[0])
    denominator = v.sqrt() / sqrt(1 - betas[1] ** step) + eps
    return p.mul(1 - lr * weight_decay).addcdiv(ahead, denominator, value=-lr / (1 - betas[0] ** step))


def laprop(
    p: Tensor, g: Tensor, memory: dict, lr: float = 4e-4, betas: Betas = (0.9, 0.999), eps: float = 1e-15
) -> Tensor:
    v = memory["v"] = memory.get("v", torch.zeros_like(p)) * betas[1] + (1 - betas[1]) * g * g
    memory["lr1"] = memory.get("lr1", 0.0) * betas[0] + (1 - betas[0]) * lr
    memory["lr2"] = memory.get("lr2", 0.0) * betas[1] + (1 - betas[1])
    scaled = g / (v / memory["lr2"]).sqrt().add(eps)
    m = memory["m"] = memory.get("m", torch.zeros_like(p)) * betas[0] + (1 - betas[0]) * lr * scaled
    return p - m / (memory["lr1"] / lr)


def bounded(
    p: Tensor, g: Tensor, memory: dict, never_falls: bool, lr: float = 1e-3, betas: Betas = (0.9, 0.999),
    final_lr: float = 0.1, gamma: float = 1e-3, eps: float = 1e-8,
) -> Tensor:  # fmt: skip
    step, m, v = averages(memory, g, betas)
    if never_falls:
        v = memory["max"] = torch.maximum(memory.get("max", v), v)
    rate = torch.full_like(v, lr * sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)) / (v.sqrt() + eps)
    low, high = final_lr * (1 - 1 / (gamma * step + 1)), final_lr * (1 + 1 / (gamma * step))
    return p - rate.clamp(low, high) * m


def adamod(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 0.999), gamma: float = 0.999,
    eps: float = 1e-8,
) -> Tensor:  # fmt: skip
    step, m, v = averages(memory, g, betas)
    rate = torch.full_like(v, lr * sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)) / (v.sqrt() + eps)
    memory["rates"] = memory.get("rates", torch.zeros_like(p)).mul(gamma).add(rate, alpha=1 - gamma)
    return p - torch.minimum(rate, memory["rates"]) * m


def padam(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-1, betas: Betas = (0.9, 0.999), partial: float = 0.25,
    eps: float = 1e-8,
) -> Tensor:  # fmt: skip
    step, m, v = averages(memory, g, betas)
    v = memory["max"] = torch.maximum(memory.get("max", torch.zeros_like(v)), v)
    rate = lr * sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)
    return torch.addcdiv(p, m, (v.sqrt() + eps).pow(partial * 2), value=-rate)


def diffgrad(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> Tensor:
    step, m, v = averages(memory, g, betas)
    friction = torch.sigmoid((memory.get("g", torch.zeros_like(g)) - g).abs())
    memory["g"] = g
    rate = lr * sqrt(1 - betas[1] ** step) / (1 - betas[0] ** step)
    return p.addcdiv(m * friction, v.sqrt().add(eps), value=-rate)


def adapnm(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: tuple[float, float, float] = (0.9, 0.999, 1.0),
    eps: float = 1e-8,
) -> Tensor:  # fmt: skip
    step, _, v = averages(memory, g, betas[:2])
    memory["max"] = torch.maximum(memory.get("max", torch.zeros_like(v)), v)
    pair = memory.setdefault("pair", [torch.zeros_like(p), torch.zeros_like(p)])
    mine, other = pair[step % 2], pair[1 - step % 2]
    mine.mul_(betas[0] ** 2).add_(g, alpha=1 - betas[0] ** 2)
    momentum = (mine * (1 + betas[2]) - other * betas[2]) / sqrt((1 + betas[2]) ** 2 + betas[2] ** 2)
    denominator = memory["max"].sqrt() / sqrt(1 - betas[1] ** step) + eps
    return p.addcdiv(momentum, denominator, value=-lr / (1 - betas[0] ** step))


def kate(p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, eta: float = 0.9, eps: float = 1e-8) -> Tensor:
    square = g * g
    memory["b"] = memory.get("b", torch.zeros_like(p)) + square
    memory["m"] = memory.get("m", torch.zeros_like(p)) + eta * square + square / (memory["b"] + eps)
    return p - lr * torch.sqrt(memory["m"]) * g / (memory["b"] + eps)


def adamnorm(
    p: Tensor,
    g: Tensor,
    memory: dict,
    lr: float = 1e-3,
    betas: Betas = (0.9, 0.999),
    eps: float = 1e-8,
    r: float = 0.95,
) -> Tensor:
    step = memory["step"] = memory.get("step", 0) + 1
    length = g.norm()
    memory["norm"] = r * memory.get("norm", 0.0) + (1 - r) * length
    seen = g * memory["norm"] / length if memory["norm"] > length > 0 else g
    memory["m"] = betas[0] * memory.get("m", torch.zeros_like(p)) + (1 - betas[0]) * seen
    memory["v"] = betas[1] * memory.get("v", torch.zeros_like(p)) + (1 - betas[1]) * g * g + eps
    denominator = memory["v"].sqrt() / sqrt(1 - betas[1] ** step) + eps
    return p.addcdiv(memory["m"], denominator, value=-lr / (1 - betas[0] ** step))


def sgdw(
    p: Tensor, g: Tensor, memory: dict, lr: float = 0.01, momentum: float = 0.9, weight_decay: float = 1e-2
) -> Tensor:
    """Loshchilov & Hutter 2019, Algorithm 1, lines 8 and 9, with alpha for the schedule too."""
    memory["m"] = momentum * memory.get("m", torch.zeros_like(p)) + lr * g
    return p.sub(memory["m"]).sub(p, alpha=lr * weight_decay)


def smorms3(p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, eps: float = 1e-16) -> Tensor:
    mem = memory.get("mem", torch.ones_like(p))
    r = 1 / (mem + 1)
    memory["g"] = torch.lerp(memory.get("g", torch.zeros_like(p)), g, r)
    memory["g2"] = torch.lerp(memory.get("g2", torch.zeros_like(p)), g * g, r)
    ratio = memory["g"] * memory["g"] / (memory["g2"] + eps)
    memory["mem"] = 1 + mem * (1 - ratio)
    return p - g * ratio.clamp(max=lr) / (memory["g2"].sqrt() + eps)


def adam_atan2(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 0.999), a: float = 1.27, b: float = 1.0
) -> Tensor:
    step, m, v = averages(memory, g, betas)
    return p.add(torch.atan2(m / (1 - betas[0] ** step), b * (v / (1 - betas[1] ** step)).sqrt()), alpha=-lr * a)


def adamd(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-8
) -> Tensor:
    step, m, v = averages(memory, g, betas)
    return p.addcdiv(m, v.div(1 - betas[1] ** step).sqrt().add(eps), value=-lr)


def adax(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 1e-4), eps: float = 1e-12
) -> Tensor:
    step, m, _ = averages(memory, g, (betas[0], 0.0))
    v = memory["long"] = memory.get("long", torch.zeros_like(p)) * (1 + betas[1]) + betas[1] * g * g
    return p.addcdiv(m, (v / ((1 + betas[1]) ** step - 1)).sqrt() + eps, value=-lr)


def by_agreement(
    p: Tensor, g: Tensor, memory: dict, scale: Callable[[Tensor, float], Tensor], lr: float = 0.1, beta: float = 0.9,
    **own: float,
) -> Tensor:  # fmt: skip
    """tf.contrib.opt.PowerSignOptimizer and AddSignOptimizer."""
    m = memory["m"] = memory.get("m", torch.zeros_like(p)) * beta + (1 - beta) * g
    return p - lr * scale(g.sign() * m.sign(), **own) * g


def power(agree: Tensor, base: float = exp(1)) -> Tensor:
    return torch.exp(agree * log(base))


def plus(agree: Tensor, alpha: float = 1.0) -> Tensor:
    return agree + alpha


def rmsprop_tf(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-2, alpha: float = 0.9, momentum: float = 0.9, eps: float = 1e-10
) -> Tensor:
    """tf.compat.v1.train.RMSPropOptimizer and timm's RMSpropTF(lr_in_momentum=True)."""
    average = memory.get("average", torch.ones_like(p))
    average = memory["average"] = average + (g.pow(2) - average) * (1 - alpha)
    memory["buffer"] = memory.get("buffer", torch.zeros_like(p)) * momentum + lr * g * (average + eps).rsqrt()
    return p - memory["buffer"]


def lars(
    p: Tensor, g: Tensor, memory: dict, lr: float = 0.1, momentum: float = 0.9, weight_decay: float = 0.0,
    trust_coefficient: float = 1e-3,
) -> Tensor:  # fmt: skip
    """You et al. 2017, Algorithm 1, with the authors' exception for norms of 0."""
    w, d = float(p.norm()), float(g.norm())
    local = trust_coefficient * w / (d + weight_decay * w) if w > 0 and d > 0 else 1.0
    memory["v"] = momentum * memory.get("v", torch.zeros_like(p)) + lr * local * (g + weight_decay * p)
    return p - memory["v"]


def lamb(
    p: Tensor, g: Tensor, memory: dict, lr: float = 1e-3, betas: Betas = (0.9, 0.999), eps: float = 1e-6,
    weight_decay: float = 0.01,
) -> Tensor:  # fmt: skip
    """You et al. 2020, Algorithm 2, as TensorFlow Addons and optax have it."""
    step, m, v = averages(memory, g, betas)
    r = (m / (1 - betas[0] ** step)) / ((v / (1 - betas[1] ** step)).sqrt() + eps)
    r = r + weight_decay * p
    w, u = float(p.norm()), float(r.norm())
    return p - lr * (w / u if w > 0 and u > 0 else 1.0) * r


def mars(
    p: Tensor, g: Tensor, memory: dict, lr: float = 3e-3, betas: Betas = (0.95, 0.99), gamma: float = 0.025,
    eps: float = 1e-8, weight_decay: float = 0.0,
) -> Tensor:  # fmt: skip
    """optimizers/mars.py of the authors' repository with mars_type="mars-adamw" and optimize_1d."""
    c = (g - memory.get("last", torch.zeros_like(g))) * (gamma * (betas[0] / (1 - betas[0]))) + g
    memory["last"] = g
    length = c.norm()
    if length > 1:
        c = c / length
    step, m, v = averages(memory, c, betas)
    denominator = (v.sqrt() / sqrt(1 - betas[1] ** step) + eps) * (1 - betas[0] ** step)
    return p - lr * (weight_decay * p + m / denominator)


def by(rule: Rule, formula: str, source: str, *settings: dict[str, Any], **states: str) -> Reference:
    return transcribed(formula, rule, *settings, source=source, states=states)


def same(*names: str) -> dict[str, str]:
    return {name: name for name in names}


MOMENTS = {"exp_avg": "m", "exp_avg_sq": "v"}
BOUNDS = ({"lr": 0.02, "final_lr": 0.5, "gamma": 0.1}, {"lr": 0.1, "betas": (0.5, 0.9), "eps": 1e-3, "gamma": 0.5})
PNM = {"lr": 0.1, "betas": (0.5, 0.3)}
NORMED = ({"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3}, {"lr": 0.1, "weight_decay": 0.0})

VARIANTS = (
    of_package("aggmo", "AggMo", {"lr": 0.02, "betas": (0.1, 0.5, 0.8)}, lr=0.1, states={}),
    of_package(
        "accsgd",
        "AccSGD",
        {"lr": 0.1, "kappa": 100.0, "xi": 5.0, "constant": 0.5},
        lr=0.01,
        states=same("momentum_buffer"),
    ),
    of_package(
        "pid",
        "PID",
        {"lr": 0.02, "momentum": 0.5, "integral": 2.0, "derivative": 3.0},
        {"derivative": 0.0},
        momentum=0.9,
        states={"i_buffer": "i_buffer", "d_buffer": "d_buffer", "grad_buffer": "grad_buffer"},
    ),
    of_package("pnm", "PNM", PNM, lr=0.01, states={}),
    by(
        rmsprop_tf,
        "rmsprop_tf",
        "timm.optim.RMSpropTF",
        {"lr": 0.05, "alpha": 0.8, "momentum": 0.5, "eps": 1e-3},
        square_avg="average",
        momentum_buffer="buffer",
    ),
    of_package(
        "madgrad",
        "MADGRAD",
        {"lr": 0.1, "momentum": 0.5, "eps": 1e-3},
        lr=0.01,
        states=same("grad_sum_sq", "s", "x0"),
    ),
    by(kate, "kate", "the authors' optimizers.py", {"lr": 0.1, "eta": 0.3, "eps": 1e-3}, m="m", b="b"),
    of_package(
        "ftrl",
        "FTRL",
        {"lr": 0.5, "beta": 1.0, "lambda_1": 0.3, "lambda_2": 0.1},
        {"beta": 0.1},
        lr=0.1,
        beta=1.0,
        states=same("z", "n"),
    ),
    by(nadamw, "nadamw", "AlgoPerf's reference_algorithms", *DECAYED, **MOMENTS),
    by(laprop, "laprop", "the authors' laprop.py", *ADAM, exp_avg="m", exp_avg_sq="v", exp_avg_lr="lr1"),
    by(
        adapnm,
        "adapnm",
        "the authors' adapnm.py",
        {"lr": 0.02, "betas": (0.8, 0.95, 0.5), "eps": 1e-3},
        exp_avg_sq="v",
        max_exp_avg_sq="max",
    ),
    by(partial(bounded, never_falls=False), "adabound", "the authors' adabound", *BOUNDS, **MOMENTS),
    by(
        partial(bounded, never_falls=True),
        "amsbound",
        "the authors' adabound(amsbound=True)",
        *BOUNDS,
        **MOMENTS,
        max_exp_avg_sq="max",
    ),
    by(adamod, "adamod", "the authors' adamod", *ADAM, {"gamma": 0.5}, **MOMENTS, exp_avg_lr="rates"),
    by(padam, "padam", "the authors' Padam.py", *ADAM, {"partial": 0.4}, **MOMENTS, max_exp_avg_sq="max"),
    by(diffgrad, "diffgrad", "the authors' diffGrad_v2.py", *ADAM, **MOMENTS, previous_grad="g"),
    of_package("sign_sgd", "SignSGD", {"lr": 0.1}, momentum=0.0, states={}),
    of_package("tiger", "Tiger", {"lr": 0.1, "beta": 0.5, "weight_decay": 0.3}, states={"m": "exp_avg"}),
    of_package("grams", "Grams", *DECAYED, states=same("exp_avg", "exp_avg_sq")),
    of_package("ano", "Ano", *ADAM, states=same("exp_avg", "exp_avg_sq")),
    by(
        lars,
        "lars",
        "You et al. 2017, Algorithm 1",
        {"lr": 1.0, "momentum": 0.5, "weight_decay": 0.3, "trust_coefficient": 0.02},
        momentum_buffer="v",
    ),
    by(lamb, "lamb", "You et al. 2020, Algorithm 2", *NORMED, **MOMENTS),
    of_package(
        "novograd",
        "NovoGrad",
        {"lr": 0.02, "betas": (0.8, 0.5), "eps": 1e-3, "weight_decay": 0.3},
        states={"exp_avg": "moments", "exp_avg_sq": "grads_ema"},
    ),
    of_package("fromage", "Fromage", {"lr": 0.2}, states={}),
    by(
        adamnorm,
        "adamnorm",
        "the authors' AdamNorm.py",
        *ADAM,
        {"r": 0.5},
        exp_avg="m",
        exp_avg_var="v",
        exp_grad_norm="norm",
    ),
    of_package("stableadamw", "StableAdamW", *NORMED, states=same("exp_avg", "exp_avg_sq")),
    by(mars, "mars", "the authors' mars.py", *NORMED, {"gamma": 0.5}, **MOMENTS, last_grad="last"),
    by(sgdw, "sgdw", "Loshchilov & Hutter 2019, Algorithm 1", {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.3}, m="m"),
    by(
        smorms3,
        "smorms3",
        "the author's listing",
        {"lr": 0.1, "eps": 1e-3},
        mem="mem",
        g_avg="g",
        square_avg="g2",
    ),
    by(adamd, "adamd", "St John 2021", *ADAM, **MOMENTS),
    by(
        adam_atan2, "adam_atan2", "Everett et al. 2024", {"lr": 0.1, "betas": (0.5, 0.8), "a": 1.0, "b": 2.0}, **MOMENTS
    ),
    by(
        adax,
        "adax",
        "Li et al. 2020, Algorithm 1",
        {"lr": 0.1, "betas": (0.5, 0.1), "eps": 1e-3},
        exp_avg="m",
        exp_avg_sq="long",
    ),
    by(
        partial(by_agreement, scale=power), "powersign", "tf.contrib.opt", {"lr": 0.02, "beta": 0.5, "base": 3.0}, m="m"
    ),
    by(partial(by_agreement, scale=plus), "addsign", "tf.contrib.opt", {"lr": 0.02, "beta": 0.5, "alpha": 2.0}, m="m"),
)
