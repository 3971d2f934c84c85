"""Start with momentum 0.5 and raise it to 0.9 or 0.99 when the first large gradients are over."""

from __future__ import annotations

from downslope import optim
from downslope.schedules import Schedule, multistep
from downslope.textbook.checks import Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.outcome import train
from downslope.training.task import by_name

CLAIM = Claim(
    title="Momentum starts at 0.5",
    says="Start with a momentum of 0.5 and raise it to 0.9 or 0.99 once the large first gradients have gone.",
    source="Hinton 2010, A practical guide to training restricted Boltzmann machines, section 9.1; CS231n, part 3",
    task="digits",
    core=(Below("loss of epoch 8, 0.5 then 0.9", "loss of epoch 8, 0.9"),),
    reach=(
        Below("loss of epoch 8, 0.5 then 0.99", "loss of epoch 8, 0.99"),
        Below("loss of epoch 8, 0.5 then 0.9", "loss of epoch 8, 0.5"),
        Below("largest loss of an epoch, 0.5 then 0.99", "largest loss of an epoch, 0.99"),
    ),
    how="The digits network for eight epochs of 16 steps at lr 0.03; the momentum is raised after 32 steps. A run "
    "that diverges, or ends worse than guessing, counts as a loss of log 10.",
    seeds=6,
)

EPOCHS, CHANCE = 8, 2.3026


def raised(end: float) -> Schedule:
    return multistep(0.5, milestones=[32], gamma=end / 0.5)


MOMENTA = {"0.5": 0.5, "0.9": 0.9, "0.99": 0.99, "0.5 then 0.9": raised(0.9), "0.5 then 0.99": raised(0.99)}


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    data = task.make_data()
    curves: dict[str, list[list[float]]] = {name: [] for name in MOMENTA}
    for name, momentum in MOMENTA.items():
        for seed in seeds:
            outcome = train(
                task,
                data,
                lambda own, momentum=momentum: optim.Momentum(own, lr=0.03, momentum=momentum),
                seed=seed,
                epochs=EPOCHS,
                batch=64,
            )
            run = [min(loss, CHANCE) for loss in outcome.train_loss]
            curves[name].append(run + [CHANCE] * (EPOCHS - len(run)))
    ends = {name: [run[-1] for run in runs] for name, runs in curves.items()}
    worst = {name: [max(run) for run in runs] for name, runs in curves.items()}
    return Evidence(
        {
            **{f"loss of epoch 8, {name}": losses for name, losses in ends.items()},
            **{f"largest loss of an epoch, {name}": losses for name, losses in worst.items()},
        },
        [
            Lines(
                "Training loss by momentum",
                "epochs",
                [Line(name, range(1, EPOCHS + 1), runs) for name, runs in curves.items()],
                log_y=True,
            ),
            Bars("Training loss of epoch 8", "loss", [Bar(*pair) for pair in ends.items()]),
        ],
    )
