"""Global average pooling in place of a fully connected head: fewer parameters, as accurate?"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate, curve, runs
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="A fully connected head against global average pooling",
    says="Global average pooling in place of fully connected layers saves most of the parameters, and overfits "
    "less, at no cost in accuracy.",
    source="Lin, Chen & Yan 2014, arXiv:1312.4400, sections 3.2 and 4.6",
    task="digits",
    core=(
        Above("parameters, fully connected", "parameters, average pooling", times=2),
        Above("test accuracy, average pooling", "test accuracy, fully connected", plus=-0.01),
    ),
    reach=(Above("test accuracy, average pooling", "test accuracy, fully connected"),),
    how="Two convolutions with pooling between, then either two fully connected layers (64 and 10), or a "
    "convolution to ten maps of which the means are the answers. Adam for fifteen epochs at the best of three "
    "rates by validation loss on other seeds.",
    seeds=10,
)

HEADS = {
    "fully connected": lambda: [nn.Flatten(), nn.Linear(32 * 4 * 4, 64), nn.ReLU(), nn.Linear(64, 10)],
    "average pooling": lambda: [nn.Conv2d(32, 10, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
}


def network(head: str) -> nn.Module:
    body = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, *HEADS[head]())


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lines, bars = [], []
    for head in HEADS:
        task = replace(by_name("digits"), model=lambda head=head: network(head))
        lr = best_rate(task, "adam", (0.001, 0.003, 0.01))
        (records,) = runs(task, "adam", [{"lr": lr}], seeds)
        measures[f"parameters, {head}"] = [float(sum(p.numel() for p in network(head).parameters()))]
        measures[f"test accuracy, {head}"] = [record["test_metric"] or task.chance for record in records]
        measures[f"training loss, {head}"] = [run[-1] for run in curve(records)]
        lines.append(Line(head, range(1, task.epochs + 1), curve(records, "validation_loss")))
        bars.append(Bar(head, measures[f"test accuracy, {head}"]))
    sizes = [Bar(head, measures[f"parameters, {head}"]) for head in HEADS]
    return Evidence(
        measures,
        [
            Lines("Validation loss", "epochs", lines, log_y=True),
            Bars("Test accuracy", "share right", bars),
            Bars("Parameters", "parameters", sizes),
        ],
    )
