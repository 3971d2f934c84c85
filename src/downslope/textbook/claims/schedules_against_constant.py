"""A learning rate that falls against one that stays: step, multistep, exponential, cosine, plateau, lambda."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from downslope import optim, schedules
from downslope.textbook.checks import Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.networks import dense
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.outcome import Outcome, train
from downslope.training.task import by_name

CLAIM = Claim(
    title="Schedules against a constant rate",
    says="Let the learning rate fall: every usual schedule ends lower than the best constant rate.",
    source="Robbins & Monro 1951; CS231n, part 3 (annealing the learning rate); Loshchilov & Hutter 2017, "
    "arXiv:1608.03983 (cosine)",
    task="digits, a dense network",
    core=(Below("validation loss, cosine", "validation loss, constant"),),
    reach=tuple(
        Below(f"validation loss, {name}", "validation loss, constant")
        for name in ("step", "multistep", "exponential", "plateau", "lambda")
    ),
    how="SGD with momentum 0.9 for fifteen epochs. Each schedule, and the constant, starts from the best of three "
    "rates by validation loss on two other seeds. The loss compared is that of the validation digits after the "
    "last epoch.",
    seeds=8,
)

STEPS = 15 * 16
SCHEDULES: dict[str, Callable] = {
    "constant": schedules.constant,
    "step": lambda lr: schedules.step(lr, step_size=STEPS // 3, gamma=0.3),
    "multistep": lambda lr: schedules.multistep(lr, milestones=[STEPS // 2, 3 * STEPS // 4], gamma=0.1),
    "exponential": lambda lr: schedules.exponential(lr, gamma=0.05 ** (1 / STEPS)),
    "cosine": lambda lr: schedules.cosine(lr, steps=STEPS),
    "plateau": lambda lr: schedules.plateau(lr, factor=0.3, patience=1),
    "lambda": lambda lr: schedules.by(lambda step: lr / (1 + 10 * step / STEPS)),
}
RATES = (0.03, 0.06, 0.1)


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    data = task.make_data()

    def run(name: str, lr: float, seed: int) -> Outcome:
        made = SCHEDULES[name]
        return train(
            task, data, lambda own: optim.Momentum(own, lr=made(lr), momentum=0.9), seed=seed, epochs=15, batch=64
        )

    measures: dict[str, list[float]] = {}
    lines, bars = [], []
    for name in SCHEDULES:
        tried = {lr: sum(run(name, lr, seed).validation_loss[-1] for seed in (1000, 1001)) for lr in RATES}
        lr = min(tried, key=lambda lr: tried[lr])
        found = [run(name, lr, seed) for seed in seeds]
        measures[f"validation loss, {name}"] = [each.validation_loss[-1] for each in found]
        measures[f"training loss, {name}"] = [each.train_loss[-1] for each in found]
        measures[f"test accuracy, {name}"] = [each.test_accuracy for each in found]
        lines.append(Line(name, range(1, 16), [each.validation_loss for each in found]))
        bars.append(Bar(f"{name}, from {lr:g}", measures[f"validation loss, {name}"]))
    return Evidence(
        measures,
        [Lines("Validation loss", "epochs", lines, log_y=True), Bars("Validation loss at the end", "loss", bars)],
    )
