"""Shuffle the data: in sorted order a network forgets what it saw first."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope import train
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Shuffle the data",
    says="Shuffle the training data before every epoch; in a meaningful order the gradient is biased for long "
    "stretches.",
    source="Bengio 2012, arXiv:1206.5533, section 3.1.3; Ruder 2016, arXiv:1609.04747, section 6.1",
    task="digits, a dense network",
    core=(Above("accuracy, shuffled every epoch", "accuracy, sorted by class", plus=0.1),),
    reach=(
        Above("accuracy, shuffled every epoch", "accuracy, shuffled once"),
        Above("accuracy after 2 epochs, shuffled every epoch", "accuracy after 2 epochs, shuffled once"),
    ),
    how="SGD at lr 0.1 for ten epochs: in a new order every epoch, in one random order that stays, and class by "
    "class. Accuracy on the test digits, after two epochs on the validation ones.",
    seeds=12,
)


def by_class() -> list[tuple[torch.Tensor, torch.Tensor]]:
    (images, labels), *rest = by_name("digits").data()
    order = labels.argsort(stable=True)
    return [(images[order], labels[order]), *rest]


ORDERS = {"shuffled every epoch": ("shuffle", None), "shuffled once": ("sequential", None),
          "sorted by class": ("sequential", by_class)}  # fmt: skip


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lines, bars = [], []
    for name, (order, data) in ORDERS.items():
        task = replace(by_name("digits"), model=dense, **({"data": data} if data else {}))
        runs = []
        for seed in seeds:
            result = train(task, optimizer="sgd", lr=0.1, epochs=10, seed=seed, order=order)
            scores = [record["validation_metric"] for record in result.records if record["event"] == "epoch"]
            measures.setdefault(f"accuracy, {name}", []).append(result.test_metric)
            measures.setdefault(f"accuracy after 2 epochs, {name}", []).append(scores[1])
            runs.append(scores)
        lines.append(Line(name, range(1, 11), runs))
        bars.append(Bar(name, measures[f"accuracy, {name}"]))
    return Evidence(
        measures, [Lines("Validation accuracy", "epochs", lines), Bars("Test accuracy", "share right", bars)]
    )
