"""Curvature as the optimizer feels it: the sharpness of the preconditioned Hessian against the rule's own limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .checks import examine
from .lanczos import MEMORY, Lanczos, search
from .objective import Objective
from .read import BATCHES, check_products, check_share, read, run_guarded
from .spectrum import RADIUS, noise_of

State = dict[str, Any]
Group = dict[str, Any]


@dataclass(frozen=True)
class Stability:
    """How near an optimizer is to the edge at which its steps on a quadratic grow.

    `share` is the largest curvature it feels over the limit of its rule: above 1 the steps grow. `sharpness` and
    `limit` are the two, where all parameters have one limit (that of plain descent is 2 / lr); None otherwise. `error`
    bounds how far the share is from an eigenvalue, `missed` how far the largest lies beyond with probability
    `confidence`. `share` is None where the rule has no such limit or a check failed: `why` says so."""

    share: float | None
    sharpness: float | None
    limit: float | None
    error: float
    missed: float
    confidence: float
    products: int
    why: str

    def __str__(self) -> str:
        if self.share is None:
            return f"no limit is known: {self.why}"
        felt = "" if self.limit is None else f" (sharpness {self.sharpness:.4g}, limit {self.limit:.4g})"
        return (
            f"{self.share:.3g} ± {self.error + self.missed:.1g} of the limit of {self.why}{felt}; "
            f"{self.products} products"
        )


# ---- rules: (state, group, parameter) -> (preconditioner, limit times lr, lr); the step is lr / preconditioner

Rule = Callable[[State, Group, Tensor], tuple[Tensor, float, float]]


def _sgd(state: State, group: Group, p: Tensor) -> tuple[Tensor, float, float]:
    beta = float(group.get("momentum", 0))
    bound = (2 + 2 * beta) / (1 - float(group.get("dampening", 0))) if beta else 2.0
    if beta and group.get("nesterov"):
        bound = (2 + 2 * beta) / (1 + 2 * beta)
    return torch.ones_like(p, dtype=torch.float64), bound, float(group["lr"])


def _averaged(beta: float) -> float:
    """Momentum as an average of gradients: heavy ball with lr times 1 - beta; 38 at beta 0.9 (arXiv:2207.14484)."""
    return (2 + 2 * beta) / (1 - beta)


def _adam(state: State, group: Group, p: Tensor) -> tuple[Tensor, float, float]:
    beta1, beta2 = map(float, group["betas"])
    t = float(state["step"])
    square = state["max_exp_avg_sq"] if group.get("amsgrad") else state["exp_avg_sq"]
    root = (square.double() / (1 - beta2**t)).sqrt() + float(group["eps"])
    return root * (1 - beta1**t), _averaged(beta1), float(group["lr"])


def _adamax(state: State, group: Group, p: Tensor) -> tuple[Tensor, float, float]:
    beta1 = float(group["betas"][0])
    return state["exp_inf"].double() * (1 - beta1 ** float(state["step"])), _averaged(beta1), float(group["lr"])


def _rmsprop(state: State, group: Group, p: Tensor) -> tuple[Tensor, float, float]:
    square = state["square_avg"].double()
    if group.get("centered"):
        square = square - state["grad_avg"].double() ** 2
    root = square.clamp(min=0).sqrt() + float(group["eps"])
    return root, 2 + 2 * float(group.get("momentum", 0)), float(group["lr"])


def _adagrad(state: State, group: Group, p: Tensor) -> tuple[Tensor, float, float]:
    lr = float(group["lr"]) / (1 + (float(state.get("step", 1)) - 1) * float(group.get("lr_decay", 0)))
    return state["sum"].double().sqrt() + float(group["eps"]), 2.0, lr


def _adadelta(state: State, group: Group, p: Tensor) -> tuple[Tensor, float, float]:
    eps = float(group["eps"])
    root = (state["square_avg"].double() + eps).sqrt() / (state["acc_delta"].double() + eps).sqrt()
    return root, 2.0, float(group["lr"])


RULES: dict[str, Rule] = {
    "sgd": _sgd, "adam": _adam, "adamw": _adam, "adamax": _adamax, "rmsprop": _rmsprop, "adagrad": _adagrad,
    "adadelta": _adadelta,
}  # fmt: skip
"""By the name of the optimizer's class; downslope's own have torch's names and states."""


@dataclass(frozen=True)
class Metric:
    """`scale` is lr / (preconditioner x limit) of each element, 0 where the optimizer does not own it; `decay` the
    coupled weight decay; `bound` the limit itself where it is one for all."""

    scale: Tensor
    decay: Tensor
    bound: float | None
    rule: str


def metric(optimizer: Any, objective: Objective) -> Metric | str:
    """What an optimizer makes of a space, or why nobody can tell."""
    scales: dict[int, Tensor] = {}
    decays: dict[int, Tensor] = {}
    bounds, names = set[float](), dict[str, None]()
    wanted = {id(p) for p in objective.parameters}
    for group in optimizer.param_groups:
        kind = optimizer.rule(group) if hasattr(optimizer, "rule") else type(optimizer)
        rule = RULES.get(kind.__name__.lower())
        if rule is None:
            return f"{kind.__name__} has no limit of this kind"
        for p in group["params"]:
            if id(p) not in wanted:
                continue
            try:
                root, times, lr = rule(optimizer.state.get(p, {}), group, p.detach())
            except KeyError as error:
                return f"{kind.__name__} has no state {error.args[0]!r} yet; take a step first"
            scales[id(p)] = lr / (root * times)
            coupled = kind.__name__.lower() != "adamw" and not group.get("decoupled_weight_decay")
            decay = float(group.get("weight_decay", 0) or 0) if coupled else 0.0
            decays[id(p)] = torch.full_like(p, decay, dtype=torch.float64)
            names[kind.__name__] = None
            bounds.add(times / lr if lr else math.inf)
    if not scales:
        return "the optimizer has none of the model's parameters"
    scale = objective.flat([scales.get(id(p)) for p in objective.parameters])
    decay_ = objective.flat([decays.get(id(p)) for p in objective.parameters])
    if not bool(torch.isfinite(scale).all()):
        return "a preconditioner is zero somewhere: steps there have no limit"
    return Metric(scale, decay_, bounds.pop() if len(bounds) == 1 else None, ", ".join(names))


def stability(
    optimizer: Any,
    what: Any,
    model: Any,
    data: Any = None,
    *,
    products: int = 60,
    confidence: float = 0.99,
    train: bool = False,
    batches: int = BATCHES,
    seed: int = 0,
    memory: float = MEMORY,
) -> Stability:
    """How near an optimizer is to its own edge of stability, from the state that it is in.

    The step is lr P^-1 g with P of the optimizer's state, so that what must stay below the limit is the largest
    eigenvalue of P^-1/2 H P^-1/2: 2/lr for descent, (2 + 2 beta)/lr for momentum, (2 + 2 beta)/((1 - beta) lr) where
    momentum is an average, as Adam's (Cohen et al. 2022, arXiv:2207.14484). Coupled weight decay counts as curvature;
    decoupled does not. What can be handed over is told at `critical_point`; everything is left as it was. Costs up to
    `products` Hessian-vector products."""
    who = "stability"
    check_share("confidence", confidence, who)
    check_products(products, who)
    objective = read(what, model, data, train=train, batches=batches, who=who)
    generator = torch.Generator().manual_seed(seed)

    def unknown(why: str) -> Stability:
        return Stability(None, None, None, 0.0, math.inf, confidence, 0, why)

    with objective.opened():
        found = metric(optimizer, objective)
        if isinstance(found, str):
            return unknown(found)
        run_guarded(objective, who)
        seen = examine(objective, generator, RADIUS * max(1.0, objective.length))
        if seen.failed or seen.products is None:
            return unknown(str(seen.failed))
        hessian, root, decay = seen.products, found.scale.sqrt(), found.decay
        sign = -1.0 if optimizer.param_groups[0].get("maximize") else 1.0

        def felt(v: Tensor) -> Tensor:
            moved = root * v
            return root * (sign * hessian(moved) + decay * moved)

        lanczos = Lanczos(felt, objective.random(generator), generator, memory)
        search(lanczos, products, lambda l: _settled(l, confidence))
        if not lanczos.finite or not len(lanczos.basis):
            return unknown("a Hessian-vector product is nan or infinite")
        top = lanczos.ends()[1]
        error = top.residual + noise_of(lanczos, objective)
        limit = found.bound
        sharpness = None if limit is None else top.value * limit
        gap = lanczos.gap(confidence)
    return Stability(top.value, sharpness, limit, error, gap, confidence, lanczos.products, found.rule)


def _settled(lanczos: Lanczos, confidence: float) -> bool:
    """Known to 5 %: nobody sets a learning rate finer."""
    top = lanczos.ends()[1]
    return top.residual + lanczos.gap(confidence) <= 0.05 * abs(top.value)
