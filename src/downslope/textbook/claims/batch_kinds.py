"""Full batch, mini-batch, one sample: what each costs, how noisy it is, where it ends."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import optim, rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.score import evaluate
from downslope.training.task import by_name

CLAIM = Claim(
    title="Full batch, mini-batch, one sample",
    says="The full batch takes the fewest steps but the most samples, one sample the reverse and is the noisiest, "
    "so that it ends in a wandering around the minimum; mini-batches are the best of both.",
    source="Bottou 1998, Online learning and stochastic approximations; Ruder 2016, arXiv:1609.04747, section 2",
    task="digits, a small dense network",
    core=(
        Below("samples to a loss of 0.3, mini-batch", "samples to a loss of 0.3, full batch", times=0.5),
        Below("steps to a loss of 0.3, mini-batch", "steps to a loss of 0.3, one sample", times=0.5),
        Above("noise of the gradient, one sample", "noise of the gradient, mini-batch", times=4),
    ),
    reach=(
        Below("samples to a loss of 0.3, one sample", "samples to a loss of 0.3, full batch"),
        Below("steps to a loss of 0.3, full batch", "steps to a loss of 0.3, mini-batch"),
        Above("loss at the end over that after steps of a tenth, one sample", 1.1),
    ),
    how="SGD at the best of three rates by samples needed, on another seed. Noise is the distance of a batch's "
    "gradient from the whole one, in lengths of that, at the start. At the end, all train on for 2000 samples (20 "
    "full batches) at a tenth of the rate: if the loss falls, the rate's noise was what held it up. Steps are what "
    "time is spent on where samples run side by side, samples where they do not.",
    seeds=6,
)

SIZES = {"one sample": (1, 3000, 250), "mini-batch": (32, 10_000, 320), "full batch": (1000, 200_000, 1000)}
RATES = {"one sample": (0.01, 0.03, 0.1), "mini-batch": (0.1, 0.3, 0.6), "full batch": (0.3, 0.6, 1.0)}
GOAL = 0.3


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    part = task.make_data().train
    every = part.rows(torch.arange(1000))

    def gradient(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        found = torch.autograd.grad(task.loss(model(batch[0]), batch[1]), list(model.parameters()))
        return torch.cat([g.flatten() for g in found])

    def path(kind: str, lr: float, seed: int) -> dict[str, float | list[float]]:
        size, budget, look = SIZES[kind]
        with rng.seeded(seed):
            model = task.make_model()
        whole, draws = gradient(model, every), list(batches(part, size, seed))[:50]
        off = sum(float((gradient(model, batch) - whole).norm() / whole.norm()) for batch in draws) / len(draws)
        optimizer, losses, end = optim.SGD(model.parameters(), lr=lr), [evaluate(task, model, part)[0]], 0.0
        settle = budget + (2000 if size < 1000 else 20_000)
        for step, (inputs, targets) in enumerate(batches(part, size, seed, 1000), 1):
            optimizer.zero_grad()
            task.loss(model(inputs), targets).backward()
            optimizer.step()
            if step * size % look < size:
                losses.append(evaluate(task, model, part)[0])
            if step * size >= settle:
                break
            if end == 0 and step * size >= budget:
                end, optimizer.param_groups[0]["lr"] = losses[-1], lr / 10
        needed = next((k for k, loss in enumerate(losses) if loss < GOAL), len(losses)) * look
        steps = {"samples": float(needed), "steps": needed / size}
        return {**steps, "noise": off, "fall": end / losses[-1], "losses": losses}

    best = {kind: min(rates, key=lambda lr: path(kind, lr, 1000)["samples"]) for kind, rates in RATES.items()}
    found = {kind: [path(kind, best[kind], seed) for seed in seeds] for kind in SIZES}
    words = {
        "samples": "samples to a loss of 0.3", "steps": "steps to a loss of 0.3", "noise": "noise of the gradient",
        "fall": "loss at the end over that after steps of a tenth",
    }  # fmt: skip
    measures = {f"{words[key]}, {kind}": [p[key] for p in paths] for key in words for kind, paths in found.items()}
    lines = [
        Line(kind, [max(1, k * SIZES[kind][2]) for k in range(10**3)], [path["losses"] for path in paths])
        for kind, paths in found.items()
    ]
    bars = [Bar(kind, measures[f"steps to a loss of 0.3, {kind}"]) for kind in SIZES]
    curves = Lines("Training loss", "samples seen", lines, log_x=True, log_y=True)
    return Evidence(measures, [curves, Bars("Steps to a loss of 0.3", "steps", bars, log_x=True)])
