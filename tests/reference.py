"""What a reference is: an optimizer by somebody else, and what of it can be compared with a formula of ours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytorch_optimizer
import torch

Rule = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class Reference:
    """How to make the other optimizer, and what of it can be compared.

    `make(params, **settings)` takes the formula's own names of settings; its defaults are the formula's defaults, so a
    test without settings compares those too. `states` maps the formula's states to the keys of the other's state that
    hold the same values.
    """

    formula: str
    make: Callable[..., torch.optim.Optimizer]
    settings: tuple[dict[str, Any], ...]
    source: str
    states: dict[str, str]
    shapes: tuple[tuple[int, ...], ...] = ((7, 6), (5,), ())
    together: bool = False  # whether the parameters share numbers, so that only an optimizer of all can be compared
    smooth: bool = False  # whether to compare with gradients of one size, none of them 0
    rtol: float = 1e-12  # of the double precision comparison

    @property
    def is_torch(self) -> bool:
        return self.source.startswith("torch.optim.")


class Transcribed(torch.optim.Optimizer):
    """`rule(p, g, memory, **settings)` gives the new p; `memory` is the parameter's own dictionary."""

    def __init__(self, params: Any, rule: Rule, **settings: Any):
        super().__init__(params, settings)
        self.rule = rule

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            settings = {key: group[key] for key in self.defaults}
            for p in group["params"]:
                p.copy_(self.rule(p.clone(), p.grad.clone(), self.state[p], **settings))


def of_torch(formula: str, name: str, *settings: dict[str, Any], states: str = "", **fixed: Any) -> Reference:
    make = partial(getattr(torch.optim, name), foreach=False, **fixed)
    shown = ", ".join(f"{key}={value}" for key, value in fixed.items())
    keys = {state: state for state in states.split()}
    return Reference(formula, make, ({}, *settings), f"torch.optim.{name}" + (f"({shown})" if shown else ""), keys)


def of_package(formula: str, name: str, *settings: dict[str, Any], states: dict[str, str], **fixed: Any) -> Reference:
    make = partial(getattr(pytorch_optimizer, name), foreach=False, **fixed)
    return Reference(formula, make, ({}, *settings), f"pytorch_optimizer.{name}", states)


def transcribed(formula: str, rule: Rule, *settings: dict[str, Any], source: str, states: dict[str, str]) -> Reference:
    return Reference(formula, partial(Transcribed, rule=rule), ({}, *settings), f"transcribed from {source}", states)


ADAM = (
    {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3},
    {"lr": 0.1, "betas": (0.0, 0.5), "eps": 1e-12},
)
DECAYED = tuple(settings | {"weight_decay": decay} for settings, decay in zip(ADAM, (0.0, 0.3)))
