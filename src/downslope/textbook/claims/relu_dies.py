"""At a large learning rate ReLU units die: they are off for every sample and get no gradient any more."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

import downslope
from downslope import optim, rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="ReLU units die at a large learning rate",
    says="At a learning rate that is too large many ReLU units die: they give zero for every sample, and never "
    "learn again.",
    source="CS231n, part 1 (commonly used activation functions); Lu et al. 2019, arXiv:1903.06733",
    task="digits, two hidden layers of 64",
    core=(
        Above("share of dead units, lr 2", 0.3),
        Below("share of dead units, lr 0.03", 0.1),
    ),
    reach=(
        Above("share of units dead after 5 epochs that are dead after 10, lr 2", 0.95),
        Above("share of runs where watch finds it, lr 2", 0.5),
    ),
    how="SGD for ten epochs at three rates. A unit is dead when its output is zero for all 1000 training samples. "
    "Dead for good would mean that those of epoch 5 still are in epoch 10; `downslope.watch` looks on, and is "
    "asked whether it reports dead units, or the rate that killed them.",
    seeds=8,
)

RATES = (0.03, 1.0, 2.0)


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    part = task.make_data().train
    inputs = part.rows(torch.arange(1000))[0]

    def dead(model: nn.Module) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([(model[:k](inputs) <= 0).all(0) for k in (3, 5)])

    measures: dict[str, list[float]] = {}
    tracks: dict[str, list[list[float]]] = {}
    for lr in RATES:
        for seed in seeds:
            with rng.seeded(seed):
                model = task.make_model()
            optimizer, found = optim.SGD(model.parameters(), lr=lr), [dead(model)]
            with downslope.watch(model, optimizer, budget=1.0) as watch:
                for epoch in range(10):
                    for images, labels in batches(part, 64, seed * 10 + epoch):
                        optimizer.zero_grad()
                        task.loss(model(images), labels).backward()
                        optimizer.step()
                    found.append(dead(model))
                seen = {finding.symptom for finding in watch.report()}
            stay = (found[5] & found[10]).sum().item() / max(1, found[5].sum().item())
            for name, value in {
                "share of dead units": found[10].double().mean().item(),
                "share of units dead after 5 epochs that are dead after 10": stay,
                "share of runs where watch finds it": bool(seen & {"dead-relu", "lr-too-high"}),
            }.items():
                measures.setdefault(f"{name}, lr {lr:g}", []).append(value)
            tracks.setdefault(f"lr {lr:g}", []).append([each.double().mean().item() for each in found])
    return Evidence(
        {name: values for name, values in measures.items() if "lr 2" in name or "5 epochs" not in name},
        [
            Lines("Share of dead units", "epochs", [Line(name, range(11), runs) for name, runs in tracks.items()]),
            Bars("Dead after ten epochs", "share", [Bar(n, [run[-1] for run in r]) for n, r in tracks.items()]),
        ],
    )
