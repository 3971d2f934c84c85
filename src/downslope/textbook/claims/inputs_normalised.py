"""Inputs of different sizes make a ravine; normalised, they make a bowl."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope.tasks import diabetes
from downslope.textbook.checks import Above, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import best_rate, curve, runs
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Inputs normalised or not",
    says="Normalise the inputs: where they differ in size the loss is a ravine, and descent is slow.",
    source="LeCun, Bottou, Orr & Müller 1998, Efficient BackProp, section 4.3; CS231n, part 2 (data preprocessing)",
    task="diabetes",
    core=(
        Above("condition of the inputs, in their units", "condition of the inputs, normalised", times=10),
        Above("training loss, sgd in their units", "training loss, sgd normalised", plus=0.05),
    ),
    reach=(
        Above("training loss, sgd shifted only", "training loss, sgd normalised", plus=0.05),
        Close("training loss, adam in their units", "training loss, adam normalised", within=0.05),
    ),
    how="The measurements of patients in the units of their clinics (years, mmHg, mg/dl), shifted to mean zero "
    "alone, and shifted and scaled as the task does. Each trained for the task's fifty epochs at the best of seven "
    "rates by training loss on other seeds. The condition is the largest over the smallest eigenvalue of the "
    "inputs' second moments, which is that of a linear model's loss. The limits: is it the shift or the scale, and "
    "does Adam mind?",
    seeds=8,
)

RATES = {"sgd": (1e-5, 1e-4, 1e-3, 1e-2, 0.03, 0.1, 0.3), "adam": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 0.03, 0.1)}


def data(mean: bool, scale: bool) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The task's parts with the means, the scales or both put back."""
    from sklearn.datasets import load_diabetes

    order = torch.randperm(442, generator=torch.Generator().manual_seed(0))[: diabetes.SIZES[0]]
    raw = torch.tensor(load_diabetes(scaled=False).data, dtype=torch.float32)[order]
    return [(x * (raw.std(0) if scale else 1) + (raw.mean(0) if mean else 0), y) for x, y in diabetes.data()]


KINDS = {"normalised": (False, False), "shifted only": (False, True), "in their units": (True, True)}


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lines, bars = [], []
    for kind, (mean, scale) in KINDS.items():
        task = replace(by_name("diabetes"), data=lambda mean=mean, scale=scale: data(mean, scale))
        inputs = task.make_data().train.source[0].double()
        moments = torch.linalg.eigvalsh(inputs.T @ inputs)
        measures[f"condition of the inputs, {kind}"] = [float(moments[-1] / moments[0])]
        for rule, rates in RATES.items():
            lr = best_rate(task, rule, rates, what="train_loss")
            (records,) = runs(task, rule, [{"lr": lr}], seeds)
            losses = [1.0 if r["diverged"] else min(1.0, r["curve"]["train_loss"][-1]) for r in records]
            measures[f"training loss, {rule} {kind}"] = losses
            bars.append(Bar(f"{rule}, {kind}", losses, rule))
            if rule == "sgd":
                lines.append(Line(f"{kind}, lr {lr:g}", range(1, task.epochs + 1), curve(records)))
    bars.sort(key=lambda bar: bar.optimizer)
    losses_of_sgd = Lines("SGD: training loss", "epochs", lines, low=0.3, high=1.5)
    return Evidence(measures, [losses_of_sgd, Bars("Training loss at the end", "loss", bars)])
