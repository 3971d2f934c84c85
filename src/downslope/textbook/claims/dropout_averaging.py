"""Dropout as averaging: one pass with all units stands for the mean of many thinned networks."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import train
from downslope.textbook.checks import Above, Below, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Dropout as averaging",
    says="Dropout trains many thinned networks at once; all units together, scaled, answer as their average does, "
    "and generalise better than a network trained without.",
    source="Srivastava et al. 2014, JMLR 15, sections 1 and 7.5; Hinton et al. 2012, arXiv:1207.0580",
    task="digits, 200 of them to train on",
    core=(
        Below("test loss, all units", "test loss, one thinned network"),
        Close("test accuracy, all units", "test accuracy, mean of 50 thinned networks", within=0.01),
    ),
    reach=(
        Above("test accuracy, all units", "test accuracy, trained without dropout"),
        Below("test loss, all units", "test loss, mean of 50 thinned networks", plus=0.01),
    ),
    how="Two hidden layers of 128, dropout 0.5 on both, Adam at lr 0.003 for sixty epochs of 200 digits. The mean "
    "is that of probabilities over networks with other units left out.",
    seeds=10,
)


def few() -> list[tuple[torch.Tensor, torch.Tensor]]:
    (images, labels), *rest = by_name("digits").data()
    return [(images[:200], labels[:200]), *rest]


def scored(logs: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Loss and accuracy of log-probabilities."""
    return nn.functional.nll_loss(logs, labels).item(), logs.argmax(1).eq(labels).double().mean().item()


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    curves = []
    for seed in seeds:
        models = {}
        for drop in (0.5, 0.0):
            task = replace(by_name("digits"), model=lambda drop=drop: dense((128, 128), dropout=drop), data=few)
            models[drop] = train(task, lr=0.003, batch=16, epochs=60, seed=seed, eval_epochs=60).model
        images, labels = task.make_data().test.source
        with torch.no_grad():
            whole, plain = (models[drop].eval()(images).log_softmax(1) for drop in (0.5, 0.0))
            torch.manual_seed(seed)
            thinned = models[0.5].train()
            each = torch.stack([thinned(images).log_softmax(1) for _ in range(50)])
        means = each.exp().cumsum(0).div(torch.arange(1, 51).view(-1, 1, 1)).log()
        curves.append([scored(mean, labels)[0] for mean in means])
        for name, found in {
            "all units": scored(whole, labels),
            "one thinned network": torch.tensor([scored(one, labels) for one in each]).mean(0).tolist(),
            "mean of 50 thinned networks": scored(means[-1], labels),
            "trained without dropout": scored(plain, labels),
        }.items():
            measures.setdefault(f"test loss, {name}", []).append(found[0])
            measures.setdefault(f"test accuracy, {name}", []).append(found[1])
    bars = [Bar(n.removeprefix("test accuracy, "), values) for n, values in measures.items() if "accuracy" in n]
    level = ("all units at once", sum(measures["test loss, all units"]) / len(seeds))
    lines = [Line("mean of so many", range(1, 51), curves)]
    return Evidence(
        measures,
        [
            Lines("Test loss of thinned networks", "networks", lines, level=level),
            Bars("Test accuracy", "share right", bars),
        ],
    )
