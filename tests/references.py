"""For each formula an optimizer by somebody else, to hold ours against.

torch.optim where torch has it. Otherwise the authors' published package if it runs without warnings on today's torch
(qhoptim does not), else pytorch_optimizer, which is not by the authors, set to the authors' rule; else a transcription
of the published rule, written here without looking at the formula. `source` says which. Everything is meant for float64
with torch's default dtype at float64, as torch and the packages keep some of their numbers in the default dtype.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import adabelief_pytorch
import pytorch_optimizer
import schedulefree
import torch

from reference import ADAM, DECAYED, Reference, Transcribed, of_package, of_torch, transcribed
from references_matrices import MATRICES_TABLE
from references_variants import VARIANTS


def heavy_ball(p: torch.Tensor, g: torch.Tensor, memory: dict, lr: float = 0.01, momentum: float = 0.9) -> torch.Tensor:
    """Sutskever et al. 2013, equations 1 and 2, with the sign of the velocity turned."""
    memory["velocity"] = memory.get("velocity", 0) * momentum + g * lr
    return p - memory["velocity"]


def accelerated(
    p: torch.Tensor, g: torch.Tensor, memory: dict, lr: float = 0.01, momentum: float = 0.9
) -> torch.Tensor:
    """Sutskever et al. 2013, equations 3 and 4: theta moves, and the parameter is where the next gradient is taken."""
    theta = memory.get("theta", p)
    velocity = memory.get("velocity", torch.zeros_like(p))
    assert torch.allclose(p, theta - momentum * velocity, rtol=1e-9, atol=1e-9)
    memory["velocity"] = momentum * velocity + lr * g
    memory["theta"] = theta - memory["velocity"]
    return memory["theta"] - momentum * memory["velocity"]


def mean_of_squares(
    p: torch.Tensor, g: torch.Tensor, memory: dict, lr: float = 0.01, eps: float = 1e-8
) -> torch.Tensor:
    """The definition, with all gradients kept."""
    gradients = memory.setdefault("gradients", [])
    gradients.append(g)
    memory["mean"] = torch.stack(gradients).pow(2).mean(0)
    return p - lr / (memory["mean"].sqrt() + eps) * g


def yogi(
    p: torch.Tensor,
    g: torch.Tensor,
    memory: dict,
    lr: float = 0.01,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-3,
    initial_accumulator: float = 1e-6,
) -> torch.Tensor:
    """tensorflow_addons.optimizers.Yogi, which is by the authors, with the sign as its activation."""
    memory["step"] = step = memory.get("step", 0) + 1
    m = memory["m"] = torch.lerp(memory.get("m", torch.zeros_like(p)), g, 1 - betas[0])
    v = memory.get("v", torch.full_like(p, initial_accumulator))
    grow = (1 - betas[1]) * g.square()
    memory["v"] = torch.where(g.square() > v, v + grow, torch.where(g.square() < v, v - grow, v))
    rate = lr * (1 - betas[1] ** step) ** 0.5 / (1 - betas[0] ** step)
    return p - rate / (memory["v"].sqrt() + eps) * m


def orthogonal(
    p: torch.Tensor,
    g: torch.Tensor,
    memory: dict,
    scale: Callable[[int, int], float],
    nesterov: bool,
    lr: float = 1e-3,
    weight_decay: float = 0.1,
    momentum: float = 0.95,
    ns_steps: int = 5,
) -> torch.Tensor:
    """The update of https://github.com/KellerJordan/Muon, without its bfloat16; for convolutions as matrices."""
    m = memory["m"] = torch.lerp(memory.get("m", torch.zeros_like(p)), g, 1 - momentum)
    x = (torch.lerp(g, m, momentum) if nesterov else m).reshape(len(p), -1)
    rows, columns = x.shape
    x = x / max(float(x.norm()), 1e-7)
    for _ in range(ns_steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return p - lr * weight_decay * p - lr * scale(rows, columns) * x.reshape(p.shape)


def adabelief(params: Any, **settings: Any) -> torch.optim.Optimizer:
    return adabelief_pytorch.AdaBelief(params, rectify=False, print_change_log=False, **settings)


def adopt(params: Any, **settings: Any) -> torch.optim.Optimizer:
    """The package counts from 1 and clips at the fourth root of that; the paper and its authors' code count from 0."""
    return pytorch_optimizer.ADOPT(params, foreach=False, clip_lambda=lambda step: (step - 1) ** 0.25, **settings)


def ademamix(params: Any, alpha_warmup: float = 0, beta3_warmup: float = 0, **settings: Any) -> torch.optim.Optimizer:
    """The package has one warm-up for both, the paper and its authors' code one for each."""
    package = pytorch_optimizer.AdEMAMix
    optimizer = package(params, foreach=False, weight_decouple=True, **({"alpha": 2.0} | settings))
    optimizer.schedule_alpha = lambda _, *a: package.schedule_alpha(alpha_warmup or None, *a)
    optimizer.schedule_beta3 = lambda _, *a: package.schedule_beta3(beta3_warmup or None, *a)
    return optimizer


def qhadam(params: Any, **settings: Any) -> torch.optim.Optimizer:
    """The package counts in float32, whatever the parameters are, unless the counts are there already."""
    defaults = {"betas": (0.995, 0.999), "nus": (0.7, 1.0)}
    optimizer = pytorch_optimizer.QHAdam(params, foreach=False, **(defaults | settings))
    for p in (p for group in optimizer.param_groups for p in group["params"]):
        counts = {key: torch.zeros(1, dtype=torch.float64) for key in ("beta1_weight", "beta2_weight")}
        optimizer.state[p] = counts | {key: torch.zeros_like(p) for key in ("exp_avg", "exp_avg_sq")}
    return optimizer


RMSPROP = ({"lr": 0.05, "alpha": 0.8, "eps": 1e-3}, {"lr": 0.1, "alpha": 0.5, "eps": 1e-10})
HEAVY = tuple(settings | {"momentum": momentum} for settings, momentum in zip(RMSPROP, (0.5, 0.99)))
MOMENTA = ({"lr": 0.1, "momentum": 0.5}, {"lr": 0.02, "momentum": 0.99})

TABLE = (
    of_torch("sgd", "SGD", {"lr": 0.1}),
    of_torch(
        "sgd_momentum",
        "SGD",
        *MOMENTA,
        {"lr": 0.1, "momentum": 0.8, "dampening": 0.6},
        momentum=0.9,
        states="momentum_buffer",
    ),
    of_torch("sgd_nesterov", "SGD", *MOMENTA, momentum=0.9, nesterov=True, states="momentum_buffer"),
    transcribed(
        "momentum",
        heavy_ball,
        *MOMENTA,
        source="Sutskever et al. 2013, equations 1 and 2",
        states={"velocity": "velocity"},
    ),
    transcribed(
        "nag",
        accelerated,
        *MOMENTA,
        source="Sutskever et al. 2013, equations 3 and 4",
        states={"velocity": "velocity"},
    ),
    of_package(
        "qhm",
        "QHM",
        {"lr": 0.1, "momentum": 0.5, "nu": 0.3},
        {"lr": 0.1, "momentum": 0.9, "nu": 1.0},
        {"nu": 0.0},
        lr=1.0,
        momentum=0.999,
        nu=0.7,
        states={"momentum_buffer": "momentum_buffer"},
    ),
    of_torch(
        "adagrad",
        "Adagrad",
        {"lr": 0.1, "lr_decay": 0.1, "eps": 1e-3},
        {"lr": 0.5, "initial_accumulator_value": 0.1},
        states="sum",
    ),
    transcribed(
        "root_mean_square",
        mean_of_squares,
        {"lr": 0.1, "eps": 1e-3},
        source="its definition, the mean of all squares",
        states={"mean_square": "mean"},
    ),
    of_torch(
        "adadelta",
        "Adadelta",
        {"lr": 0.5, "rho": 0.95, "eps": 1e-3},
        {"rho": 0.5, "eps": 1e-8},
        states="square_avg acc_delta",
    ),
    of_torch("rmsprop", "RMSprop", *RMSPROP, states="square_avg"),
    of_torch("rmsprop_centered", "RMSprop", *RMSPROP, centered=True, states="square_avg grad_avg"),
    of_torch("rmsprop_momentum", "RMSprop", *HEAVY, momentum=0.9, states="square_avg momentum_buffer"),
    of_torch(
        "rmsprop_centered_momentum",
        "RMSprop",
        *HEAVY,
        momentum=0.9,
        centered=True,
        states="square_avg momentum_buffer grad_avg",
    ),
    of_torch("adam", "Adam", *ADAM, states="exp_avg exp_avg_sq"),
    of_torch("adamw", "AdamW", *DECAYED, states="exp_avg exp_avg_sq"),
    of_torch("amsgrad", "Adam", *ADAM, amsgrad=True, states="exp_avg exp_avg_sq max_exp_avg_sq"),
    of_torch("amsgradw", "AdamW", *DECAYED, amsgrad=True, states="exp_avg exp_avg_sq max_exp_avg_sq"),
    of_torch("adamax", "Adamax", *ADAM, states="exp_avg exp_inf"),
    of_torch(
        "nadam",
        "NAdam",
        *ADAM,
        {"momentum_decay": 0.1},
        {"momentum_decay": 0.0, "betas": (0.95, 0.99)},
        states="exp_avg exp_avg_sq mu_product",
    ),
    of_torch(
        "radam",
        "RAdam",
        *ADAM,
        # rho stays below 5; passes it early; passes it late
        *({"lr": 0.02, "betas": (0.9, beta2)} for beta2 in (0.6, 0.67, 0.9, 0.9999)),
        states="exp_avg exp_avg_sq",
    ),
    transcribed(
        "yogi",
        yogi,
        *ADAM,
        {"initial_accumulator": 0.1},
        {"initial_accumulator": 0.0},
        source="tensorflow_addons.optimizers.Yogi",
        states={"exp_avg": "m", "exp_avg_sq": "v"},
    ),
    Reference(
        "adabelief",
        adabelief,
        ({}, *ADAM),
        "adabelief_pytorch.AdaBelief(rectify=False), by the authors",
        {"exp_avg": "exp_avg", "exp_avg_var": "exp_avg_var"},
    ),
    of_package(
        "adan",
        "Adan",
        {"lr": 0.02, "betas": (0.9, 0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},
        {"lr": 0.1, "betas": (0.5, 0.0, 0.9)},
        states={name: name for name in ("exp_avg", "exp_avg_diff", "exp_avg_sq")},
    ),
    Reference(
        "adopt",
        adopt,
        ({}, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-2}, {"lr": 0.1, "betas": (0.0, 0.5)}),
        "pytorch_optimizer.ADOPT with the paper's clip_lambda",
        {"exp_avg": "exp_avg", "exp_avg_sq": "exp_avg_sq"},
    ),
    Reference(
        "ademamix",
        ademamix,
        (
            {},
            {"lr": 0.02, "betas": (0.8, 0.95, 0.99), "alpha": 5.0, "eps": 1e-3, "weight_decay": 0.3},
            {"lr": 0.02, "alpha_warmup": 30, "beta3_warmup": 30},
            {"lr": 0.02, "alpha_warmup": 200, "beta3_warmup": 0},
            {"lr": 0.02, "alpha_warmup": 0, "beta3_warmup": 200, "betas": (0.5, 0.9, 0.999)},
        ),
        "pytorch_optimizer.AdEMAMix with a warm-up for each",
        {name: name for name in ("exp_avg", "exp_avg_slow", "exp_avg_sq")},
    ),
    Reference(
        "qhadam",
        qhadam,
        (
            {},
            {"lr": 0.02, "betas": (0.8, 0.95), "nus": (0.3, 0.6), "eps": 1e-3},
            {"nus": (1.0, 1.0), "betas": (0.9, 0.999)},
        ),
        "pytorch_optimizer.QHAdam with its counts in float64",
        {},
    ),
    of_torch(
        "rprop",
        "Rprop",
        {"lr": 0.1, "etas": (0.3, 1.9), "step_sizes": (1e-2, 0.3)},
        {"lr": 1e-3, "etas": (0.9, 1.1)},
        states="prev step_size",
    ),
    of_package("signum", "SignSGD", *MOMENTA, lr=0.01, states={"momentum_buffer": "momentum_buffer"}),
    of_package(
        "lion",
        "Lion",
        {"lr": 0.02, "betas": (0.5, 0.8), "weight_decay": 0.3},
        {"lr": 0.01, "betas": (0.95, 0.98)},
        states={"exp_avg": "exp_avg"},
    ),
    of_torch(
        "asgd",
        "ASGD",
        {"lr": 0.1, "lambd": 0.05, "alpha": 0.5, "t0": 10},
        {"lr": 0.05, "t0": 0, "lambd": 0.0},
        states="eta mu ax",
    ),
)


def _schedule_free(formula: str, name: str, *settings: dict[str, Any], states: dict[str, str]) -> Reference:
    def make(params: Any, **given: Any) -> torch.optim.Optimizer:
        optimizer = getattr(schedulefree, name)(params, foreach=False, **given)
        optimizer.train()
        return optimizer

    return Reference(formula, make, ({}, *settings), f"schedulefree.{name}", states)


def _muon(formula: str, name: str, nesterov: bool, scale: Callable[[int, int], float]) -> Reference:
    rule = partial(orthogonal, scale=scale, nesterov=nesterov)
    settings = ({}, {"lr": 0.1, "weight_decay": 0.5, "momentum": 0.8, "ns_steps": 3})
    shapes = ((7, 6), (3, 9), (4, 3, 3))
    make = partial(Transcribed, rule=rule)
    return Reference(formula, make, settings, f"transcribed from {name}", {"momentum_buffer": "m"}, shapes)


def _original(rows: int, columns: int) -> float:
    return max(1.0, rows / columns) ** 0.5


def _moonlight(rows: int, columns: int) -> float:
    return 0.2 * max(rows, columns) ** 0.5


TABLE = (
    *TABLE,
    *VARIANTS,
    _schedule_free(
        "schedule_free_sgd",
        "SGDScheduleFree",
        {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.1, "warmup_steps": 5, "r": 0.5, "weight_lr_power": 1.0},
        states={"z": "z"},
    ),
    _schedule_free(
        "schedule_free_adamw",
        "AdamWScheduleFree",
        {"lr": 0.1, "betas": (0.8, 0.95), "weight_decay": 0.1, "warmup_steps": 5, "r": 1.0, "weight_lr_power": 1.0},
        states={"z": "z", "exp_avg_sq": "exp_avg_sq"},
    ),
    _muon("muon", "KellerJordan/Muon", True, _original),
    _muon("muon_polyak", "KellerJordan/Muon", False, _original),
    _muon("moonlight", "MoonshotAI/Moonlight", True, _moonlight),
    _muon("moonlight_polyak", "MoonshotAI/Moonlight", False, _moonlight),
    *MATRICES_TABLE,
)
REFERENCES: dict[str, Reference] = {reference.formula: reference for reference in TABLE}
CASES = [(reference, settings) for reference in TABLE for settings in reference.settings]
