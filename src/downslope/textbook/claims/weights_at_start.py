"""Weights of 0.01, of 1, Xavier's and He's: what activations look like by depth."""

from __future__ import annotations

import torch
from torch import nn

from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Histogram, Line, Lines
from downslope.training.initialise import initialise
from downslope.training.task import by_name

CLAIM = Claim(
    title="How large weights start",
    says="With weights of 0.01 activations die out with depth, with weights of 1 they saturate; Xavier's keep their "
    "spread through tanh, He's through ReLU.",
    source="Glorot & Bengio 2010, AISTATS; He et al. 2015, arXiv:1502.01852; CS231n, lecture 6, slides on weight "
    "initialization",
    task="digits, ten layers of 200",
    core=(
        Below("spread in layer 10, tanh, small-normal", 1e-6),
        Above("share beyond 0.99 in layer 10, tanh, unit-normal", 0.5),
        Above("spread in layer 10, tanh, xavier", 0.2),
        Above("spread in layer 10 over layer 1, relu, he", 0.5),
    ),
    reach=(
        Below("spread in layer 10 over layer 1, relu, xavier without gain", 0.1),
        Below("spread in layer 10 over layer 1, relu, he", 2),
    ),
    how="Dense networks of ten layers, the training digits through them once, nothing trained. Spread is the "
    "standard deviation over all units and samples. Xavier without gain is the formula as first written, with a "
    "slope of 1 for the activation, which ReLU, that lets half through, has not.",
    seeds=10,
)

DEPTH, WIDTH = 10, 200
KINDS = {
    "tanh, small-normal": (nn.Tanh, "small-normal"), "tanh, unit-normal": (nn.Tanh, "unit-normal"),
    "tanh, xavier": (nn.Tanh, "xavier"), "relu, xavier without gain": (nn.ReLU, "xavier"), "relu, he": (nn.ReLU, "he"),
}  # fmt: skip


def deep(activation: type[nn.Module]) -> nn.Sequential:
    layers: list[nn.Module] = [nn.Flatten()]
    for width in [64, *[WIDTH] * (DEPTH - 1)]:
        layers += [nn.Linear(width, WIDTH), activation()]
    return nn.Sequential(*layers)


@torch.no_grad()
def experiment(seeds: range) -> Evidence:
    inputs = by_name("digits").make_data().train.source[0][:300]
    measures: dict[str, list[float]] = {}
    spreads: dict[str, list[list[float]]] = {kind: [] for kind in KINDS}
    last = {}
    for kind, (activation, scheme) in KINDS.items():
        for seed in seeds:
            model = deep(activation)
            initialise(model, scheme, seed=seed)
            for layer in model if "without gain" in kind else []:
                if isinstance(layer, nn.Linear):  # `initialise` knows of ReLU's gain
                    layer.weight /= nn.init.calculate_gain("relu")
            value, found = inputs, []
            for layer in model:
                value = layer(value)
                if isinstance(layer, activation):
                    found.append(value.std().item())
            spreads[kind].append(found)
            measures.setdefault(f"spread in layer 10, {kind}", []).append(found[-1])
            measures.setdefault(f"spread in layer 10 over layer 1, {kind}", []).append(found[-1] / found[0])
            if activation is nn.Tanh:
                far = (value.abs() > 0.99).double().mean().item()
                measures.setdefault(f"share beyond 0.99 in layer 10, {kind}", []).append(far)
        last[kind] = value.flatten()[:4000]
    lines = [Line(kind, range(1, DEPTH + 1), runs) for kind, runs in spreads.items()]
    tanh = [(kind, values) for kind, values in last.items() if "tanh" in kind]
    spread = Lines("Spread of activations by layer", "layer", lines, log_y=True, marks=True)
    return Evidence(measures, [spread, Histogram("Activations of layer 10, tanh", "activation", tanh)])
