"""L1 makes weights zero, L2 makes them small; both keep a network from fitting too well."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope import train
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Histogram
from downslope.training.task import by_name

CLAIM = Claim(
    title="L1 and L2",
    says="An L1 penalty makes many weights zero, an L2 penalty makes all of them small; both generalise better than "
    "none.",
    source="Tibshirani 1996, JRSS B 58; Goodfellow, Bengio & Courville 2016, section 7.1; CS231n, part 2",
    task="digits, 200 of them to train on",
    core=(
        Above("share of weights below 0.01, L1", "share of weights below 0.01, L2", plus=0.2),
        Below("length of the weights, L2", "length of the weights, none"),
    ),
    reach=(
        Above("test accuracy, L2", "test accuracy, none"),
        Above("test accuracy, L1", "test accuracy, none"),
    ),
    how="One hidden layer of 64, Adam at lr 0.003 for sixty epochs of 200 digits. Each penalty has the strength of "
    "four with the best validation accuracy on two other seeds. Adam's steps leave no weight at exactly zero: what "
    "is below 0.01, a tenth of the typical weight, counts.",
    seeds=10,
)

STRENGTHS = {"none": (0.0,), "L1": (3e-4, 1e-3, 3e-3, 1e-2), "L2": (3e-4, 1e-3, 3e-3, 1e-2)}


def few() -> list[tuple[torch.Tensor, torch.Tensor]]:
    (images, labels), *rest = by_name("digits").data()
    return [(images[:200], labels[:200]), *rest]


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense, data=few)
    measures: dict[str, list[float]] = {}
    spread, bars = [], []

    def run(penalty: str, strength: float, seed: int):
        option = {"none": "l2", "L1": "l1", "L2": "l2"}[penalty]
        return train(task, lr=0.003, batch=16, epochs=60, seed=seed, eval_epochs=60, **{option: strength})

    for penalty, strengths in STRENGTHS.items():
        tried = {s: sum(run(penalty, s, seed).validation_metric for seed in (1000, 1001)) for s in strengths}
        best = max(tried, key=lambda s: tried[s])
        for seed in seeds:
            result = run(penalty, best, seed)
            weights = torch.cat([p.detach().flatten() for p in result.model.parameters() if p.ndim > 1])
            for name, value in {
                "share of weights below 0.01": (weights.abs() < 0.01).double().mean().item(),
                "length of the weights": weights.norm().item(),
                "test accuracy": result.test_metric,
            }.items():
                measures.setdefault(f"{name}, {penalty}", []).append(value)
        spread.append((f"{penalty} {best:g}" if best else penalty, weights.clamp(-0.5, 0.5)))
        bars.append(Bar(f"{penalty} {best:g}" if best else penalty, measures[f"test accuracy, {penalty}"]))
    return Evidence(measures, [Histogram("Weights", "value", spread), Bars("Test accuracy", "share right", bars)])
