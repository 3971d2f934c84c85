"""Batch norm allows learning rates ten times as large."""

from __future__ import annotations

from dataclasses import replace

from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import runs
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Batch norm allows ten times the learning rate",
    says="With batch normalisation, learning rates ten times as large still train.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 4.2 (there 5 and 30 times)",
    task="digits, four hidden layers of 64",
    core=(Above("largest rate that trains, batch norm", "largest rate that trains, without"),),
    reach=(
        Above("largest rate that trains, batch norm", "largest rate that trains, without", times=10),
        Above("best accuracy over rates, batch norm", "best accuracy over rates, without"),
    ),
    how="SGD for six epochs at thirteen rates, each twice the one before. A rate trains when more than half of the "
    "validation digits are right at the end.",
    seeds=6,
)

RATES = [0.01 * 2**k for k in range(13)]
KINDS = {"without": "none", "batch norm": "before"}


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lines = []
    for name, norm in KINDS.items():
        task = replace(by_name("digits"), model=lambda norm=norm: dense((64,) * 4, norm))
        found = runs(task, "sgd", [{"lr": lr} for lr in RATES], seeds, epochs=6)
        right = [[record["validation_metric"] or task.chance for record in row] for row in found]
        by_seed = list(zip(*right))
        largest = [max((lr for lr, r in zip(RATES, run) if r > 0.5), default=0.0) for run in by_seed]
        measures[f"largest rate that trains, {name}"] = largest
        measures[f"best accuracy over rates, {name}"] = [max(run) for run in by_seed]
        lines.append(Line(name, RATES, by_seed))
    bars = [Bar(name, measures[f"largest rate that trains, {name}"]) for name in KINDS]
    return Evidence(
        measures,
        [
            Lines("Validation accuracy after six epochs", "learning rate", lines, log_x=True, marks=True),
            Bars("Largest rate that trains", "learning rate", bars, log_x=True),
        ],
    )
