"""Small batches are said to generalise better than large ones."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from downslope import train
from downslope.diagnose.curvature import extremes
from downslope.textbook.checks import Above, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate
from downslope.textbook.panels import Bar, Bars
from downslope.training.task import by_name

CLAIM = Claim(
    title="Small against large batches",
    says="Large batches end in sharper minima and generalise worse than small ones.",
    source="Keskar et al. 2017, arXiv:1609.04836; against it Hoffer, Hubara & Soudry 2017, arXiv:1705.08741",
    task="digits, a small dense network",
    core=(
        Above("test accuracy, 16 samples", "test accuracy, 1000 samples"),
        Above("largest curvature, 1000 samples", "largest curvature, 16 samples"),
    ),
    reach=(Close("test accuracy, 1000 samples and as many steps", "test accuracy, 16 samples", within=0.005),),
    how="SGD for fifteen epochs, each batch size at the best of five rates by validation loss on other seeds; the "
    "third takes as many steps of 1000 samples, which is all of them, as the first of 16. The curvature is the "
    "largest eigenvalue of the Hessian of the training loss.",
    seeds=8,
)

RATES = {16: (0.03, 0.1, 0.2, 0.3, 0.5), 1000: (0.1, 0.3, 0.5, 1.0, 2.0)}
RUNS = {"16 samples": (16, 15), "1000 samples": (1000, 15), "1000 samples and as many steps": (1000, 15 * 63)}


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    data = task.make_data()
    best = {size: best_rate(task, "sgd", rates, epochs=15, batch=size, data=data) for size, rates in RATES.items()}
    right: dict[str, list[float]] = {name: [] for name in RUNS}
    sharp: dict[str, list[float]] = {name: [] for name in RUNS}
    for name, (size, epochs) in RUNS.items():
        for seed in seeds:
            result = train(
                task, optimizer="sgd", lr=best[size], batch=size, epochs=epochs, seed=seed, eval_epochs=epochs
            )
            right[name].append(result.test_metric or task.chance)
            found = extremes(task.loss, result.model, data.train.source, products=40)
            sharp[name].append(found.largest.value if found.largest else 0.0)
    return Evidence(
        {
            **{f"test accuracy, {name}": found for name, found in right.items()},
            **{f"largest curvature, {name}": found for name, found in sharp.items()},
        },
        [
            Bars("Test accuracy", "share right", [Bar(name, found) for name, found in right.items()]),
            Bars("Largest curvature", "eigenvalue", [Bar(name, found) for name, found in sharp.items()]),
        ],
    )
