"""A bias before batch norm does nothing: the mean that is taken off takes it along."""

from __future__ import annotations

from dataclasses import replace

import torch

from downslope import rng
from downslope.textbook.checks import Below, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import curve, runs
from downslope.textbook.networks import convolutional
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="The bias before batch norm is useless",
    says="A layer before batch normalisation needs no bias: it is subtracted with the mean.",
    source="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2",
    task="digits, the convolutional network with batch norm",
    core=(
        Below("largest gradient of the biases over that of the weights", 1e-5),
        Close("training loss, with biases", "training loss, without", within=0.005),
    ),
    reach=(Close("test accuracy, with biases", "test accuracy, without", within=0.005),),
    how="The gradient of the first batch in float64 at the start. Then both, from the same weights, for ten epochs "
    "by SGD at lr 0.1: what differs is rounding and what the running means make of it.",
    seeds=10,
)


def same(bias: bool) -> torch.nn.Module:
    """Both have the weights that the one with biases draws."""
    full = convolutional("before")
    model = convolutional("before", bias=bias)
    left = {name: value for name, value in full.state_dict().items() if bias or name not in ("0.bias", "4.bias")}
    model.load_state_dict(left)
    return model


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    data = task.make_data()
    inputs, targets = (values[:64] for values in data.train.source)
    ratios = []
    for seed in seeds:
        with rng.seeded(seed):
            model = convolutional("before").double()
        task.loss(model(inputs.double()), targets).backward()
        ratios.append(float(max(model[k].bias.grad.abs().max() / model[k].weight.grad.abs().max() for k in (0, 4))))
    measures = {"largest gradient of the biases over that of the weights": ratios}
    lines, bars = [], []
    for name, bias in {"with biases": True, "without": False}.items():
        own = replace(task, model=lambda bias=bias: same(bias))
        (records,) = runs(own, "sgd", [{"lr": 0.1}], seeds, epochs=10, data=data)
        measures[f"training loss, {name}"] = [run[-1] for run in curve(records)]
        measures[f"test accuracy, {name}"] = [record["test_metric"] or task.chance for record in records]
        lines.append(Line(name, range(1, 11), curve(records)))
        bars.append(Bar(name, measures[f"test accuracy, {name}"]))
    return Evidence(
        measures, [Lines("Training loss", "epochs", lines, log_y=True), Bars("Test accuracy", "share right", bars)]
    )
