"""Without its bias correction Adam's first steps are far too large."""

from __future__ import annotations

import downslope
from downslope import rng, sqrt
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adam's bias correction",
    says="Adam's averages start at zero; without the correction for that its first steps are far too large.",
    source="Kingma & Ba 2015, arXiv:1412.6980, sections 3 and 6.4",
    task="digits",
    core=(
        Above("largest step of the first 20 over lr, without", "largest step of the first 20 over lr, with", times=2),
        Above("loss of epoch 1, without", "loss of epoch 1, with"),
    ),
    reach=(Above("loss of epoch 6, without", "loss of epoch 6, with"),),
    how="Adam as a formula, once as in the paper and once without its two corrections, on digits at lr 0.01 for six "
    "epochs of 16 steps. A step is the mean length of the change of a weight, in units of the learning rate.",
    seeds=8,
)


@downslope.optimizer
def uncorrected(p, g, exp_avg=0, exp_avg_sq=0, *, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    return p - lr * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


RULES = {"with": downslope.optim.Adam, "without": uncorrected}
EPOCHS, LR = 6, 0.01


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    part = task.make_data().train
    losses: dict[str, list[list[float]]] = {name: [] for name in RULES}
    steps: dict[str, list[list[float]]] = {name: [] for name in RULES}
    for name, rule in RULES.items():
        for seed in seeds:
            with rng.seeded(seed):
                model = task.make_model()
            optimizer, run, moved = rule(model.parameters(), lr=LR), [], []
            for inputs, targets in batches(part, 64, seed, EPOCHS):
                before = [p.detach().clone() for p in model.parameters()]
                loss = task.loss(model(inputs), targets)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                run.append(loss.item())
                changes = [(p.detach() - q).abs().sum() for p, q in zip(model.parameters(), before)]
                moved.append(float(sum(changes)) / LR / sum(q.numel() for q in before))
            losses[name].append(run)
            steps[name].append(moved)
    measures = {}
    for name in RULES:
        measures[f"largest step of the first 20 over lr, {name}"] = [max(moved[:20]) for moved in steps[name]]
        measures[f"loss of epoch 1, {name}"] = [sum(run[:16]) / 16 for run in losses[name]]
        measures[f"loss of epoch 6, {name}"] = [sum(run[-16:]) / 16 for run in losses[name]]
    named = {"with": "adam, corrected", "without": "adam, not corrected"}
    look = {"with": "adam", "without": ""}
    return Evidence(
        measures,
        [
            Lines("Mean step over lr", "steps", [Line(named[n], range(1, 97), steps[n], look[n]) for n in RULES]),
            Lines(
                "Training loss", "steps", [Line(named[n], range(1, 97), losses[n], look[n]) for n in RULES], log_y=True
            ),
        ],
    )
