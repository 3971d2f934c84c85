"""On images tuned SGD with momentum is said to generalise better than Adam."""

from __future__ import annotations

from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate, curve, runs
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Tuned SGD with momentum against Adam on images",
    says="On images, Adam is quicker at first, but SGD with momentum, well tuned, ends at the better test accuracy.",
    source="Wilson et al. 2017, arXiv:1705.08292; CS231n, part 3",
    task="digits",
    core=(Above("test accuracy, momentum", "test accuracy, adam"),),
    reach=(
        Below("training loss of epoch 2, adam", "training loss of epoch 2, momentum"),
        Below("test loss, momentum", "test loss, adam"),
    ),
    how="Fifteen epochs on a cosine schedule. The rate of each is the best of five by validation loss on three "
    "seeds that are used for nothing else. Twenty fresh seeds; the test part has 400 digits, so one digit is "
    "0.0025.",
    seeds=20,
)

RATES = {"momentum": (0.01, 0.03, 0.06, 0.1, 0.2), "adam": (0.003, 0.006, 0.01, 0.02, 0.04)}


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    measures, lines, bars = {}, [], []
    for rule, rates in RATES.items():
        lr = best_rate(task, rule, rates, schedule="cosine")
        (records,) = runs(task, rule, [{"lr": lr}], seeds, schedule="cosine")
        measures[f"test accuracy, {rule}"] = [record["test_metric"] or task.chance for record in records]
        measures[f"test loss, {rule}"] = [2.3026 if r["diverged"] else r["test_loss"] for r in records]
        measures[f"training loss of epoch 2, {rule}"] = [run[1] for run in curve(records)]
        lines.append(Line(f"{rule}, lr {lr:g}", range(1, task.epochs + 1), curve(records), rule))
        bars.append(Bar(f"{rule}, lr {lr:g}", measures[f"test accuracy, {rule}"], rule))
    return Evidence(
        measures,
        [Lines("Training loss", "epochs", lines, log_y=True), Bars("Test accuracy", "share right", bars)],
    )
