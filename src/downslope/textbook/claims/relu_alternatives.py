"""Leaky ReLU, ELU and maxout do not die where ReLU does."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import train
from downslope.layers import Maxout
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars
from downslope.training.task import by_name

CLAIM = Claim(
    title="Leaky ReLU, ELU and maxout do not die",
    says="Leaky ReLU, ELU and maxout keep a gradient on both sides, so that their units do not die where ReLU's do.",
    source="Maas, Hannun & Ng 2013; Clevert, Unterthiner & Hochreiter 2016, arXiv:1511.07289; Goodfellow et al. "
    "2013, arXiv:1302.4389; CS231n, part 1",
    task="digits, two hidden layers of 64",
    core=(
        Above("share of dead units, relu", 0.3),
        Below("share of dead units, leaky relu", 0.05),
        Below("share of dead units, elu", 0.05),
        Below("share of dead units, maxout", 0.05),
    ),
    reach=(
        Above("accuracy, leaky relu", "accuracy, relu", plus=0.02),
        Above("accuracy, elu", "accuracy, relu", plus=0.02),
        Above("accuracy, maxout", "accuracy, relu", plus=0.02),
    ),
    how="SGD at lr 2, too large for all of them, for ten epochs or until the loss is no longer finite. A unit is "
    "dead when its slope is below 0.001 for all 1000 training samples, with the weights of the end: zero for ReLU, "
    "0.01 on the far side of a leaky one, exp(x) for ELU; a maxout unit always passes its gradient to one of its "
    "pieces. A run that diverges counts as guessing.",
    seeds=8,
)

SLOPES = {
    "relu": lambda x: (x > 0).double(),
    "leaky relu": lambda x: torch.where(x > 0, 1.0, 0.01),
    "elu": lambda x: x.clamp(max=0).exp(),
    "maxout": lambda x: torch.ones_like(x),
}
MADE = {"relu": nn.ReLU, "leaky relu": nn.LeakyReLU, "elu": nn.ELU}


def dense(name: str) -> nn.Module:
    two = [[Maxout(64, 64), nn.Identity()] if name == "maxout" else [nn.Linear(64, 64), MADE[name]()] for _ in range(2)]
    return nn.Sequential(nn.Flatten(), *two[0], *two[1], nn.Linear(64, 10))


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    for name, slope in SLOPES.items():
        task = replace(by_name("digits"), model=lambda name=name: dense(name))
        inputs = task.make_data().train.source[0]
        for seed in seeds:
            result = train(task, optimizer="sgd", lr=2.0, epochs=10, seed=seed, eval_epochs=10)
            with torch.no_grad():
                off = [~(slope(result.model[:k](inputs)) >= 1e-3).any(0) for k in (2, 4)]
            dead = torch.cat(off).double().mean().item()
            measures.setdefault(f"share of dead units, {name}", []).append(dead)
            measures.setdefault(f"accuracy, {name}", []).append(result.test_metric or task.chance)
            measures.setdefault(f"share of runs that diverged, {name}", []).append(result.diverged_at is not None)
    return Evidence(
        measures,
        [
            Bars("Dead units", "share", [Bar(n, measures[f"share of dead units, {n}"]) for n in SLOPES]),
            Bars("Test accuracy", "share right", [Bar(n, measures[f"accuracy, {n}"]) for n in SLOPES]),
        ],
    )
