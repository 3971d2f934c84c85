"""Batch norm before the activation, or after it?"""

from __future__ import annotations

from dataclasses import replace

from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate, curve, runs
from downslope.textbook.networks import convolutional, dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Batch norm before or after the activation",
    says="Batch normalisation belongs before the activation, where its inputs are closest to normal.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2; against it Mishkin, Sergievskiy & Matas 2017, "
    "arXiv:1606.02228, section 3.2",
    task="digits, a convolutional and a dense network",
    core=(Above("test accuracy, convolutional, before", "test accuracy, convolutional, after"),),
    reach=(Above("test accuracy, dense, before", "test accuracy, dense, after"),),
    how="SGD for ten epochs, each at the best of four rates by validation loss on other seeds. The dense network "
    "has three hidden layers of 64.",
    seeds=16,
)

NETWORKS = {"convolutional": convolutional, "dense": lambda norm: dense((64, 64, 64), norm)}
RATES = (0.03, 0.1, 0.3, 1.0)


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lines, bars = [], []
    for name, network in NETWORKS.items():
        for place in ("before", "after"):
            task = replace(by_name("digits"), model=lambda network=network, place=place: network(place))
            lr = best_rate(task, "sgd", RATES, epochs=10)
            (records,) = runs(task, "sgd", [{"lr": lr}], seeds, epochs=10)
            right = [record["test_metric"] or task.chance for record in records]
            measures[f"test accuracy, {name}, {place}"] = right
            lines.append(Line(f"{name}, {place}, lr {lr:g}", range(1, 11), curve(records)))
            bars.append(Bar(f"{name}, {place}", right))
    return Evidence(
        measures, [Lines("Training loss", "epochs", lines, log_y=True), Bars("Test accuracy", "share right", bars)]
    )
