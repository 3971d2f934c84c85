"""Adam's steps do not depend on the scale of the gradient; plain gradient descent's do."""

from __future__ import annotations

from downslope import optim, rng
from downslope.textbook.checks import Above, Close
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adam does not see the scale of the gradient",
    says="Adam's step is invariant to a rescaling of the gradient: a loss times 1000 or by 1000 trains alike.",
    source="Kingma & Ba 2015, arXiv:1412.6980, section 2.1",
    task="digits",
    core=(
        Close("Adam's loss, times 1000", "Adam's loss, times 1", within=0.02),
        Above("SGD's loss, by 1000", "SGD's loss, times 1", times=2),
    ),
    reach=(
        Close("Adam's loss, by 1000", "Adam's loss, times 1", within=0.02),
        Close("Adam's loss, by 1e8", "Adam's loss, times 1", within=0.02),
    ),
    seeds=6,
    how="The digits network for five epochs on its loss times a constant. The losses compared are the unscaled ones "
    "of the last epoch. The limits asked for: eps = 1e-8 stands beside the root of the squared gradients, so that "
    "scales small enough must show.",
)

SCALES = {"times 1000": 1e3, "times 1": 1.0, "by 1000": 1e-3, "by 1e8": 1e-8}
RULES = {"Adam": lambda own: optim.Adam(own, lr=0.003), "SGD": lambda own: optim.SGD(own, lr=0.1)}


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    part = task.make_data().train
    losses: dict[str, dict[str, list[list[float]]]] = {rule: {name: [] for name in SCALES} for rule in RULES}
    for rule, make in RULES.items():
        for name, scale in SCALES.items():
            for seed in seeds:
                with rng.seeded(seed):
                    model = task.make_model()
                optimizer, run = make(model.parameters()), []
                for inputs, targets in batches(part, 64, seed, epochs=5):
                    loss = task.loss(model(inputs), targets)
                    optimizer.zero_grad()
                    (scale * loss).backward()
                    optimizer.step()
                    run.append(min(loss.nan_to_num(10.0).item(), 10.0))  # SGD explodes at 1000: 10 stands for that
                losses[rule][name].append(run)
    tail = -(-(part.size or 0) // 64)
    return Evidence(
        {
            f"{rule}'s loss, {name}": [sum(run[-tail:]) / tail for run in runs]
            for rule, by_scale in losses.items()
            for name, runs in by_scale.items()
        },
        [
            Lines(
                f"{rule} on a loss times a constant",
                "steps",
                [Line(name, range(1, len(runs[0]) + 1), runs) for name, runs in by_scale.items()],
                log_y=True,
            )
            for rule, by_scale in losses.items()
        ],
    )
