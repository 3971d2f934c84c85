"""Search coarsely first, then finely around the best."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import runs
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="From coarse to fine",
    says="Search a wide range coarsely with short runs first, then finely around the best of them.",
    source="CS231n, part 3 (hyperparameter ranges; from coarse to fine)",
    task="digits, a dense network",
    core=(Below("validation loss of the choice, coarse to fine", "validation loss of the choice, one stage"),),
    reach=(Above("test accuracy of the choice, coarse to fine", "test accuracy of the choice, one stage"),),
    how="The rate of SGD, from 1e-4 to 10 on a log scale, with a budget of 36 epochs: six random rates for six "
    "epochs each; or twelve for one epoch and then four, half a decade around the best at most, for six. Thirty "
    "searches of each; what is chosen has six epochs in both.",
    seeds=30,
)

LOW, HIGH = -4.0, 1.0


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    data = task.make_data()
    measures: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}

    def search(powers: torch.Tensor, epochs: int, seed: int) -> dict:
        choices = [{"lr": float(f"{10**power:.6g}")} for power in powers.tolist()]
        found = [record for (record,) in runs(task, "sgd", choices, [seed], epochs=epochs, data=data)]
        return min(found, key=lambda record: 9.0 if record["diverged"] else record["validation_loss"])

    for seed in seeds:
        random = torch.Generator().manual_seed(seed)
        one = search(LOW + (HIGH - LOW) * torch.rand(6, generator=random), 6, seed)
        first = search(LOW + (HIGH - LOW) * torch.rand(12, generator=random), 1, seed)
        centre = torch.tensor(first["trial"]["settings"]["lr"]).log10()
        fine = search(centre + torch.rand(4, generator=random) - 0.5, 6, seed)
        for name, record in {"one stage": one, "coarse to fine": fine}.items():
            measures.setdefault(f"validation loss of the choice, {name}", []).append(record["validation_loss"])
            measures.setdefault(f"test accuracy of the choice, {name}", []).append(record["test_metric"])
            errors.setdefault(name, []).append(record["trial"]["settings"]["lr"])
    scan = [{"lr": float(f"{10 ** (LOW + k / 4):.6g}")} for k in range(21)]
    found = runs(task, "sgd", scan, [0, 1, 2], epochs=6, data=data)
    valley = [[2.3 if r["diverged"] else min(2.3, r["validation_loss"]) for r in run] for run in zip(*found)]
    bars = [Bar(name, rates) for name, rates in errors.items()]
    losses = [Bar(name, measures[f"validation loss of the choice, {name}"]) for name in errors]
    return Evidence(
        measures,
        [
            Lines("The valley", "learning rate", [Line("loss", [s["lr"] for s in scan], valley)], log_x=True),
            Bars("Rates chosen", "learning rate", bars, log_x=True),
            Bars("Validation loss of the choice", "loss", losses),
        ],
    )
