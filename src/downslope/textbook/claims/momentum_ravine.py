"""Momentum damps a ravine: the steps across cancel, those along add up."""

from __future__ import annotations

import math

import torch

from downslope.landscape.surfaces import quadratic
from downslope.landscape.trajectories import Path, walk
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Line, Lines, Surface, Walk

CLAIM = Claim(
    title="Momentum damps a ravine",
    says="Across a ravine plain descent bounces from wall to wall; momentum damps that, and speeds up along the floor.",
    source="Rumelhart, Hinton & Williams 1986, Nature 323; Sutton 1986; Goh 2017, Distill, doi:10.23915/distill.00006",
    task="the surface `quadratic`, condition 100",
    core=(
        Below("turns across in 100 steps, momentum", "turns across in 100 steps, sgd"),
        Below("steps to a thousandth of the height, momentum", "steps to a thousandth of the height, sgd"),
    ),
    reach=(
        Below("mean distance across in 100 steps, momentum", "mean distance across in 100 steps, sgd"),
        Above("share that arrives at 1.5 times sgd's largest rate, momentum", 0.8),
    ),
    how="Twenty starts on one circle, 400 steps in float64, both at 0.95 of the largest rate at which plain descent "
    "does not diverge (2 over the curvature across), momentum 0.9. A walk that does not get to a thousandth of its "
    "first height counts as 400 steps. The distance across asks whether momentum really damps, or only turns less "
    "often.",
    seeds=20,
)

LARGEST = 2.0  # 2 / curvature across, which is 1
RULES = {"sgd": {"lr": 0.95 * LARGEST}, "momentum": {"lr": 0.95 * LARGEST, "momentum": 0.9}}
ACROSS = torch.tensor([-math.sin(math.pi / 6), math.cos(math.pi / 6)], dtype=torch.float64)


def experiment(seeds: range) -> Evidence:
    surface = quadratic(condition=100, angle=30)
    turns: dict[str, list[float]] = {rule: [] for rule in RULES}
    far: dict[str, list[float]] = {rule: [] for rule in RULES}
    steps: dict[str, list[float]] = {rule: [] for rule in RULES}
    stands = []
    first: dict[str, Path] = {}
    for seed in seeds:
        angle = 2 * math.pi * torch.rand(1, generator=torch.Generator().manual_seed(seed)).item()
        start = [3 * math.cos(angle), 3 * math.sin(angle)]
        for rule, settings in RULES.items():
            (path,) = walk(surface, {rule: settings}, steps=400, start=start)
            across = path.points[:101] @ ACROSS
            turns[rule].append(float((across[1:] * across[:-1] < 0).sum()))
            far[rule].append(across.abs().mean().item())
            there = (path.values < 1e-3 * path.values[0]).nonzero()
            steps[rule].append(float(there[0]) if len(there) else 400.0)
            first.setdefault(rule, path)
        (fast,) = walk(surface, {"momentum": {"lr": 1.5 * LARGEST, "momentum": 0.9}}, steps=400, start=start)
        stands.append(bool(fast.finite and fast.values[-1] < 1e-3 * fast.values[0]))
    measures: dict[str, list[float]] = {}
    for rule in RULES:
        measures[f"turns across in 100 steps, {rule}"] = turns[rule]
        measures[f"mean distance across in 100 steps, {rule}"] = far[rule]
        measures[f"steps to a thousandth of the height, {rule}"] = steps[rule]
    measures["share that arrives at 1.5 times sgd's largest rate, momentum"] = stands
    return Evidence(
        measures,
        [
            Surface("The first walks", "quadratic", [Walk(r, p.points[:61], r) for r, p in first.items()]),
            Lines(
                "Across the ravine",
                "steps",
                [Line(r, range(61), [p.points[:61] @ ACROSS], r) for r, p in first.items()],
            ),
            Lines("Height", "steps", [Line(r, range(401), [p.values], r) for r, p in first.items()], log_y=True),
        ],
    )
