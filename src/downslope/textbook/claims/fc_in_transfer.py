"""Fully connected layers are said to help when a network is carried over to another task."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import train
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars
from downslope.training.task import by_name

CLAIM = Claim(
    title="Fully connected layers in transfer",
    says="A network with fully connected layers carries over to another task better than one that ends in average "
    "pooling: they are a firewall for what was learned.",
    source="Zhang, Luo, Wei & Wu 2017, In defense of fully connected layers in visual representation transfer",
    task="digits, 0 to 4 first, then 5 to 9",
    core=(Above("accuracy, fully connected, carried over", "accuracy, average pooling, carried over"),),
    reach=(
        Above("accuracy, fully connected, carried over", "accuracy, fully connected, from scratch"),
        Above("accuracy, average pooling, carried over", "accuracy, average pooling, from scratch"),
    ),
    how="Both networks learn the digits 0 to 4 for ten epochs of Adam. Then their last layer is made anew and "
    "everything learns 5 to 9 from forty images, for forty epochs; beside it the same from scratch. Accuracy on "
    "the test images of 5 to 9.",
    seeds=10,
)

HEADS = {
    "fully connected": lambda: [nn.Flatten(), nn.Linear(512, 64), nn.ReLU(), nn.Linear(64, 5)],
    "average pooling": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 5)],
}


def network(head: str) -> nn.Sequential:
    body = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, *HEADS[head]())


def some(first: int, most: int | None, seed: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The parts with five digits from `first` on, at most so many to train on."""
    parts = []
    for images, labels in by_name("digits").data():
        rows = ((labels >= first) & (labels < first + 5)).nonzero().flatten()
        if not parts and most:
            rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))[:most]]
        parts.append((images[rows], labels[rows] - first))
    return parts


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    measures: dict[str, list[float]] = {}
    for head in HEADS:
        for seed in seeds:
            before = replace(task, model=lambda head=head: network(head), data=lambda: some(0, None, 0))
            learned = train(before, lr=0.003, epochs=10, seed=seed, eval_epochs=10).model.state_dict()

            def carried(head: str = head, learned: dict[str, torch.Tensor] = learned) -> nn.Module:
                model = network(head)
                last = f"{len(model) - 1}."
                kept = {name: value for name, value in learned.items() if not name.startswith(last)}
                model.load_state_dict(kept, strict=False)
                return model

            for name, made in {"carried over": carried, "from scratch": before.model}.items():
                after = replace(task, model=made, data=lambda seed=seed: some(5, 40, seed))
                result = train(after, lr=0.003, epochs=40, batch=10, seed=seed, eval_epochs=40)
                measures.setdefault(f"accuracy, {head}, {name}", []).append(result.test_metric)
    bars = [Bar(name.removeprefix("accuracy, "), values) for name, values in measures.items()]
    return Evidence(measures, [Bars("Test accuracy on 5 to 9", "share right", bars)])
