"""Random search finds better settings than a grid of as many trials."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import runs
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Scatter
from downslope.training.task import by_name

CLAIM = Claim(
    title="Random search against a grid",
    says="When few of the settings matter, random search finds better ones than a grid of as many trials: it tries "
    "more values of each.",
    source="Bergstra & Bengio 2012, JMLR 13, figure 1",
    task="digits, a dense network",
    core=(Above("best validation accuracy, random", "best validation accuracy, grid"),),
    reach=(
        Above("test accuracy of the choice, random", "test accuracy of the choice, grid"),
        Above("rates tried, random", "rates tried, grid"),
    ),
    how="Nine trials of two epochs of SGD: the learning rate from 0.001 to 10 and weight decay from 1e-6 to 0.01, "
    "both on a log scale; at the points of a grid of three by three, in the middle of nine equal cells, or at "
    "random. Forty searches of each, of which the networks have their own seeds.",
    seeds=40,
)

LOW, HIGH = torch.tensor([-3.0, -6.0]), torch.tensor([1.0, -2.0])
KINDS = ("grid", "random")


def trials(kind: str, seed: int) -> list[dict[str, float]]:
    places = torch.rand(9, 2, generator=torch.Generator().manual_seed(seed))
    if kind == "grid":
        middle = torch.tensor([1.0, 3.0, 5.0]) / 6
        places = torch.cartesian_prod(middle, middle)
    powers = 10 ** (LOW + places * (HIGH - LOW)).double()
    return [{"lr": round(lr, 6), "weight_decay": round(decay, 9)} for lr, decay in powers.tolist()]


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    data = task.make_data()
    measures: dict[str, list[float]] = {}
    for kind in KINDS:
        for seed in seeds:
            tried = trials(kind, seed)
            found = [record for (record,) in runs(task, "sgd", tried, [seed], epochs=2, data=data)]
            best = max(found, key=lambda record: record["validation_metric"] or 0)
            rates = {settings["lr"] for settings in tried}
            measures.setdefault(f"best validation accuracy, {kind}", []).append(best["validation_metric"] or 0.1)
            measures.setdefault(f"test accuracy of the choice, {kind}", []).append(best["test_metric"] or 0.1)
            measures.setdefault(f"rates tried, {kind}", []).append(float(len(rates)))
    both = [[torch.tensor([*each.values()]).log10().tolist() for each in trials(kind, 0)] for kind in KINDS]
    bars = [Bar(kind, measures[f"best validation accuracy, {kind}"]) for kind in KINDS]
    return Evidence(
        measures,
        [
            Scatter("Trials: rate across, decay up", [*both[0], *both[1]], [0] * 9 + [1] * 9, KINDS),
            Bars("Best validation accuracy", "share right", bars),
        ],
    )
