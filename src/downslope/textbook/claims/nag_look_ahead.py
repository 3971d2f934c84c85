"""Nesterov's gradient looks ahead: it brakes before the ball has gone too far."""

from __future__ import annotations

import torch

from downslope.landscape.surfaces import quadratic
from downslope.landscape.trajectories import Path, walk
from downslope.textbook.checks import Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import last, runs
from downslope.textbook.panels import Bar, Bars, Line, Lines, Surface, Walk
from downslope.training.task import by_name

CLAIM = Claim(
    title="Nesterov's look-ahead",
    says="Nesterov's momentum takes the gradient where the step will lead, and so brakes before it overshoots.",
    source="Nesterov 1983; Sutskever et al. 2013, ICML, section 2 and figure 1",
    task="the surface `quadratic`, condition 100, and digits",
    core=(
        Below("farthest past the floor, nag", "farthest past the floor, momentum"),
        Below("steps to a thousandth of the height, nag", "steps to a thousandth of the height, momentum"),
    ),
    reach=(Below("digits, loss of epoch 6, nag", "digits, loss of epoch 6, momentum"),),
    how="Twenty starts around the surface's own, 300 steps in float64, both at lr 0.5 and momentum 0.95; past the "
    "floor is how far a walk gets on the other side of the valley's floor. Then the digits network with both at lr "
    "0.03 and momentum 0.9.",
    seeds=20,
)

SETTINGS = {"lr": 0.5, "momentum": 0.95}
RULES = ("momentum", "nag")
ACROSS = torch.tensor([-0.5, 0.75**0.5], dtype=torch.float64)


def experiment(seeds: range) -> Evidence:
    surface, task = quadratic(condition=100, angle=30), by_name("digits")
    measures: dict[str, list[float]] = {}
    first: dict[str, Path] = {}
    for seed in seeds:
        spread = torch.randn(2, generator=torch.Generator().manual_seed(seed)).tolist()
        start = [at + 0.3 * off for at, off in zip(surface.start, spread)]
        for path in walk(surface, dict.fromkeys(RULES, SETTINGS), steps=300, start=start):
            across = path.points @ ACROSS
            past = (-across * across[0].sign()).max().item()
            there = (path.values < 1e-3 * path.values[0]).nonzero()
            for name, value in {
                "farthest past the floor": past,
                "steps to a thousandth of the height": float(there[0]) if len(there) else 300.0,
            }.items():
                measures.setdefault(f"{name}, {path.name}", []).append(value)
            first.setdefault(path.name, path)
    for rule in RULES:
        (records,) = runs(task, rule, [{"lr": 0.03, "momentum": 0.9}], seeds, epochs=6)
        measures[f"digits, loss of epoch 6, {rule}"] = last(records, diverged=2.3026)
    return Evidence(
        measures,
        [
            Surface("The first walks", "quadratic", [Walk(r, p.points[:100], r) for r, p in first.items()]),
            Lines(
                "Across the valley",
                "steps",
                [Line(r, range(100), [p.points[:100] @ ACROSS], r) for r, p in first.items()],
            ),
            Bars(
                "Digits: training loss of epoch 6",
                "loss",
                [Bar(r, measures[f"digits, loss of epoch 6, {r}"], r) for r in RULES],
            ),
        ],
    )
