"""Deep sigmoid networks hardly train: their gradients vanish; tanh's less, ReLU's least."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import rng, train
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.initialise import initialise
from downslope.training.task import by_name

CLAIM = Claim(
    title="Sigmoids saturate deep networks",
    says="In a deep network sigmoid units saturate and gradients vanish on their way back; tanh is better, ReLU "
    "better still.",
    source="Glorot & Bengio 2010, AISTATS, sections 3 and 4; CS231n, part 1 (commonly used activation functions)",
    task="digits, eight hidden layers of 32",
    core=(
        Below("gradient of the first layer over the last, sigmoid", 0.01),
        Above("accuracy, tanh", "accuracy, sigmoid", plus=0.5),
    ),
    reach=(
        Above("gradient of the first layer over the last, relu", "gradient of the first layer over the last, tanh"),
        Above("accuracy, relu", "accuracy, tanh"),
        Above("share of saturated units, sigmoid", 0.5),
    ),
    how="Dense networks with Xavier's weights for the activation in question, trained by Adam at lr 0.003 for "
    "twenty epochs. Gradients are lengths at the start, over all training samples. A unit is saturated for a "
    "sample where its slope is below a tenth of its steepest; after training, over all hidden units.",
    seeds=6,
)

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU}
DEPTH, EPOCHS = 8, 20
SLOPES = {"sigmoid": lambda y: 4 * y * (1 - y), "tanh": lambda y: 1 - y**2, "relu": lambda y: (y > 0).float()}


def deep(activation: str) -> nn.Module:
    layers = [nn.Flatten(), nn.Linear(64, 32), ACTIVATIONS[activation]()]
    for _ in range(DEPTH - 1):
        layers += [nn.Linear(32, 32), ACTIVATIONS[activation]()]
    model = nn.Sequential(*layers, nn.Linear(32, 10))
    initialise(model, "xavier")
    return model


def experiment(seeds: range) -> Evidence:
    measures: dict[str, list[float]] = {}
    lengths: dict[str, list[list[float]]] = {name: [] for name in ACTIVATIONS}
    for name in ACTIVATIONS:
        task = replace(by_name("digits"), model=lambda name=name: deep(name))
        inputs, targets = task.make_data().train.source
        for seed in seeds:
            with rng.seeded(seed):
                start = task.make_model()
            layers = [layer.weight for layer in start if isinstance(layer, nn.Linear)]
            found = torch.autograd.grad(task.loss(start(inputs), targets), layers)
            lengths[name].append([g.norm().item() for g in found])
            result = train(task, optimizer="adam", lr=0.003, epochs=EPOCHS, seed=seed, eval_epochs=EPOCHS)
            flat, value = [], inputs
            for layer in result.model:
                value = layer(value)
                if isinstance(layer, ACTIVATIONS[name]):
                    flat.append((SLOPES[name](value) < 0.1).float().mean().item())
            for what, figure in {
                "gradient of the first layer over the last": lengths[name][-1][0] / lengths[name][-1][-1],
                "accuracy": result.test_metric or task.chance,
                "share of saturated units": sum(flat) / len(flat),
            }.items():
                measures.setdefault(f"{what}, {name}", []).append(figure)
    layers = range(1, DEPTH + 2)
    return Evidence(
        measures,
        [
            Lines(
                "Length of the gradient by layer",
                "layer",
                [Line(name, layers, runs) for name, runs in lengths.items()],
                log_y=True,
                marks=True,
            ),
            Bars("Test accuracy", "share right", [Bar(name, measures[f"accuracy, {name}"]) for name in ACTIVATIONS]),
        ],
    )
