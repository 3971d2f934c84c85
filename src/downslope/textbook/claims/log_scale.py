"""Search learning rates on a log scale."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import runs
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Rates on a log scale",
    says="Search the learning rate on a log scale, for it acts by factors: drawn evenly, nearly all trials are large.",
    source="CS231n, part 3 (hyperparameter search); Bengio 2012, arXiv:1206.5533, section 3.3",
    task="digits, a dense network",
    core=(Above("best validation accuracy, log scale", "best validation accuracy, even"),),
    reach=(Above("best validation accuracy, log scale, adam", "best validation accuracy, even, adam"),),
    how="Five random rates from 1e-5 to 10, two epochs each, by SGD, which likes large ones here; and by Adam, "
    "which does not. Thirty searches each.",
    seeds=30,
)

WAYS = {"log scale": lambda u: 10 ** (-5 + 6 * u), "even": lambda u: 1e-5 + (10 - 1e-5) * u}


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    data = task.make_data()
    measures: dict[str, list[float]] = {}
    lines = []
    for rule in ("sgd", "adam"):
        for way, place in WAYS.items():
            name = f"best validation accuracy, {way}" + (", adam" if rule == "adam" else "")
            for seed in seeds:
                rates = place(torch.rand(5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
                choices = [{"lr": float(f"{lr:.6g}")} for lr in rates.tolist()]
                found = runs(task, rule, choices, [seed], epochs=2, data=data)
                measures.setdefault(name, []).append(max(r["validation_metric"] or task.chance for (r,) in found))
        scan = [{"lr": float(f"{10 ** (-5 + k / 3):.6g}")} for k in range(19)]
        found = runs(task, rule, scan, [0, 1, 2], epochs=2, data=data)
        by_seed = [[record["validation_metric"] or task.chance for record in run] for run in zip(*found)]
        lines.append(Line(rule, [settings["lr"] for settings in scan], by_seed, rule))
    bars = [Bar(name.removeprefix("best validation accuracy, "), values) for name, values in measures.items()]
    return Evidence(
        measures,
        [
            Lines("Accuracy by rate", "learning rate", lines, log_x=True),
            Bars("Best validation accuracy of five", "share right", bars),
        ],
    )
