"""Momentum carries over a bump that stops plain gradient descent."""

from __future__ import annotations

import torch

from downslope.landscape.surfaces import by_name
from downslope.landscape.trajectories import Path, walk
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Line, Lines, Surface, Walk

CLAIM = Claim(
    title="Momentum crosses a bump",
    says="With momentum a ball rolls over a small bump that stops plain gradient descent.",
    source="Polyak 1964, USSR Comp. Math. 4(5), the heavy ball; Goodfellow, Bengio & Courville 2016, section 8.3.2",
    task="the surface `bump`",
    core=(
        Below("share past the bump, sgd", 0.2),
        Above("share past the bump, momentum 0.9", 0.8),
    ),
    reach=(
        Above("share past the bump, momentum 0.5", 0.8),
        Above("share past the bump, sgd at ten times the rate", 0.8),
    ),
    seeds=20,
    how="A slope with a bump before its minimum. Twenty starts, spread around the surface's own, 250 steps in "
    "float64; a walk has passed when it ends within 0.3 of the minimum. The limits asked for: little momentum, and "
    "whether a larger rate alone would do.",
)

WALKERS = {
    "sgd": ("sgd", {"lr": 0.05}),
    "sgd at ten times the rate": ("sgd", {"lr": 0.5}),
    "momentum 0.5": ("momentum", {"lr": 0.05, "momentum": 0.5}),
    "momentum 0.9": ("momentum", {"lr": 0.05, "momentum": 0.9}),
}


def experiment(seeds: range) -> Evidence:
    surface = by_name("bump")
    minimum = torch.tensor(surface.minima[0], dtype=torch.float64)
    passed: dict[str, list[bool]] = {name: [] for name in WALKERS}
    first: dict[str, Path] = {}
    for seed in seeds:
        spread = torch.randn(2, generator=torch.Generator().manual_seed(seed)).tolist()
        start = [at + 0.15 * off for at, off in zip(surface.start, spread)]
        for name, (rule, settings) in WALKERS.items():
            (path,) = walk(surface, {rule: settings}, start=start)
            passed[name].append(bool((path.points[-1] - minimum).norm() < 0.3))
            first.setdefault(name, path)
    return Evidence(
        {f"share past the bump, {name}": shares for name, shares in passed.items()},
        [
            Surface(
                "The first walks",
                "bump",
                [Walk(name, first[name].points, WALKERS[name][0]) for name in ("sgd", "momentum 0.9")],
            ),
            Lines(
                "Height by step",
                "steps",
                [Line(name, range(len(path.values)), [path.values]) for name, path in first.items()],
            ),
            Bars("Walks that end at the minimum", "share", [Bar(*pair) for pair in passed.items()]),
        ],
    )
