"""Batch norm regularises: the noise of its batches keeps the network from fitting too well."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import curve, runs
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Batch norm regularises",
    says="Batch normalisation regularises: a sample is seen beside others each time, and that noise does dropout's "
    "work.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.4; Luo et al. 2019, arXiv:1809.00846",
    task="digits, 200 of them to train on",
    core=(
        Above("test accuracy, batch norm, batches of 16", "test accuracy, without, batches of 16"),
        Below("test loss, batch norm, batches of 16", "test loss, without, batches of 16"),
    ),
    reach=(Above("test accuracy, batch norm, batches of 16", "test accuracy, batch norm, batches of 200"),),
    how="Two hidden layers of 64, Adam at lr 0.003 for sixty epochs of 200 training digits, which all fit. With all "
    "200 in one batch the noise is gone and the rest of batch norm is not; that one runs for as many steps.",
    seeds=12,
)


def few() -> list[tuple[torch.Tensor, torch.Tensor]]:
    (images, labels), *rest = by_name("digits").data()
    return [(images[:200], labels[:200]), *rest]


CHOICES = {
    "without, batches of 16": ("none", 16, 60),
    "batch norm, batches of 16": ("before", 16, 60),
    "batch norm, batches of 200": ("before", 200, 780),
}


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lines = []
    for name, (norm, batch, epochs) in CHOICES.items():
        task = replace(by_name("digits"), model=lambda norm=norm: dense((64, 64), norm), data=few)
        (records,) = runs(task, "adam", [{"lr": 0.003}], seeds, epochs=epochs, batch=batch)
        measures[f"test accuracy, {name}"] = [record["test_metric"] or task.chance for record in records]
        measures[f"test loss, {name}"] = [record["test_loss"] for record in records]
        measures[f"training loss, {name}"] = [run[-1] for run in curve(records)]
        steps = [(k + 1) * (200 // batch + (200 % batch > 0)) for k in range(epochs)]
        lines.append(Line(name, steps, curve(records, "validation_loss")))
    bars = [Bar(name, measures[f"test accuracy, {name}"]) for name in CHOICES]
    return Evidence(
        measures,
        [Lines("Validation loss", "steps", lines, log_y=True), Bars("Test accuracy", "share right", bars)],
    )
