"""Batch norm forgives a bad initialisation."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from downslope.textbook.checks import Above, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import runs
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars
from downslope.training.initialise import initialise
from downslope.training.task import by_name

CLAIM = Claim(
    title="Batch norm forgives the initialisation",
    says="With batch normalisation it hardly matters how large the weights start.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 1; CS231n, part 2",
    task="digits, four hidden layers of 64",
    core=(
        Above("accuracy, batch norm, weights of 0.01", "accuracy, without, weights of 0.01", plus=0.1),
        Above("accuracy, batch norm, weights of 1", "accuracy, without, weights of 1", plus=0.1),
    ),
    reach=(
        Close("accuracy, batch norm, weights of 0.01", "accuracy, batch norm, he", within=0.02),
        Close("accuracy, batch norm, weights of 1", "accuracy, batch norm, he", within=0.02),
    ),
    how="SGD at lr 0.1 for ten epochs from normal weights of deviation 0.01 and 1, and from He's; test accuracy. A "
    "run that diverges counts as guessing.",
    seeds=8,
)

SCHEMES = {"weights of 0.01": "small-normal", "weights of 1": "unit-normal", "he": "he"}
KINDS = {"without": "none", "batch norm": "before"}


def started(norm: str, scheme: str) -> nn.Module:
    model = dense((64,) * 4, norm)
    initialise(model, scheme)
    return model


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    for name, norm in KINDS.items():
        for words, scheme in SCHEMES.items():
            task = replace(by_name("digits"), model=lambda norm=norm, scheme=scheme: started(norm, scheme))
            (records,) = runs(task, "sgd", [{"lr": 0.1}], seeds, epochs=10)
            measures[f"accuracy, {name}, {words}"] = [record["test_metric"] or task.chance for record in records]
    bars = [Bar(name.removeprefix("accuracy, "), values) for name, values in measures.items()]
    return Evidence(measures, [Bars("Test accuracy after ten epochs", "share right", bars)])
