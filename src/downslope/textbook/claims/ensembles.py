"""Independent models, averaged, are better than any one of them."""

from __future__ import annotations

from dataclasses import replace

from downslope import train
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars
from downslope.training.task import by_name

CLAIM = Claim(
    title="Ensembles of independent models",
    says="Train several independent models and average their answers: that is worth some extra per cent.",
    source="Hansen & Salamon 1990, IEEE PAMI 12; CS231n, part 3 (model ensembles, 'approximately 2 %')",
    task="digits, a dense network",
    core=(
        Above("test accuracy, five together", "test accuracy, mean of the five"),
        Below("test loss, five together", "test loss, mean of the five"),
    ),
    reach=(
        Above("test accuracy, five together", "test accuracy, best of the five by validation"),
        Above("test accuracy, five together", "test accuracy, mean of the five", plus=0.01),
    ),
    how="Five dense networks that differ in their seeds, Adam at lr 0.003 for ten epochs; their probabilities are "
    "averaged. Twenty such ensembles. The best of the five is the one that the validation digits choose.",
    seeds=20,
)


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    measures: dict[str, list[float]] = {}
    for seed in seeds:
        result = train(task, lr=0.003, epochs=10, members=5, seed=100 * seed, eval_epochs=10)
        best = max(result.members, key=lambda member: member.validation_metric)
        for name, value in {
            "test accuracy, mean of the five": sum(member.test_metric for member in result.members) / 5,
            "test accuracy, best of the five by validation": best.test_metric,
            "test accuracy, five together": result.test_metric,
            "test loss, mean of the five": sum(member.test_loss for member in result.members) / 5,
            "test loss, five together": result.test_loss,
        }.items():
            measures.setdefault(name, []).append(value)
    panels = [
        Bars(
            f"Test {what}",
            what,
            [Bar(n.split(", ")[1], v) for n, v in measures.items() if n.startswith(f"test {what}")],
        )
        for what in ("accuracy", "loss")
    ]
    return Evidence(measures, panels)
