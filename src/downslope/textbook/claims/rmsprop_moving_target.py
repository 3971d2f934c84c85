"""RMSprop forgets, and so follows a target that moves; Adagrad cannot."""

from __future__ import annotations

import torch

from downslope import optim
from downslope.tasks.quadratic import hessian
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="RMSprop on a moving target",
    says="RMSprop forgets old gradients and so follows a target that moves; Adagrad, which sums them all, falls "
    "behind.",
    source="Tieleman & Hinton 2012, lecture 6.5; Goodfellow, Bengio & Courville 2016, section 8.5.2",
    task="quadratic, its centre moved",
    core=(Below("height in the last third, rmsprop", "height in the last third, adagrad"),),
    reach=(
        Below("height in the last third, rmsprop", "height in the last third, sgd"),
        Above("growth of the height from the first third to the last, adagrad", 1),
    ),
    how="The noisy bowl in 100 dimensions whose centre jumps, every epoch of 7 steps, by a random vector of length "
    "3; 150 epochs. The height is that of the mean of the bowls above its lowest point. Each rule has the best of "
    "five rates, by its whole path with another seed.",
    seeds=8,
)

EPOCHS, JUMP = 150, 3.0
RATES = {
    "rmsprop": (0.003, 0.01, 0.03, 0.1, 0.3),
    "adagrad": (0.03, 0.1, 0.3, 1.0, 3.0),
    "sgd": (0.001, 0.003, 0.01, 0.02, 0.03),
}


def heights(rule: str, lr: float, seed: int) -> list[float]:
    """How high above the lowest point, at the end of each epoch."""
    task = by_name("quadratic")
    part, model, bowl = task.make_data().train, task.make_model(), hessian().float()
    optimizer = optim.by_name(rule)(model.parameters(), lr=lr)
    jumps = torch.randn(EPOCHS, 100, generator=torch.Generator().manual_seed(seed))
    centre, middle, found = torch.zeros(100), part.rows(torch.arange(part.size or 0))[0].mean(0), []
    for jump, each in zip(jumps, range(EPOCHS)):
        centre = centre + JUMP * jump / jump.norm()
        for inputs, _ in batches(part, 128, seed * EPOCHS + each):
            optimizer.zero_grad()
            task.loss(model(inputs), inputs + centre).backward()
            optimizer.step()
        away = model.theta.detach() - middle - centre
        found.append((away @ bowl @ away / 2).item())
    return found


def experiment(seeds: range) -> Evidence:
    paths, third = {}, EPOCHS // 3
    for rule, rates in RATES.items():
        best = min(rates, key=lambda lr: torch.tensor(heights(rule, lr, 1000)).nan_to_num(1e9).mean().item())
        paths[rule] = [heights(rule, best, seed) for seed in seeds]
    ends = {rule: [sum(path[-third:]) / third for path in found] for rule, found in paths.items()}
    growth = [end * third / sum(path[:third]) for end, path in zip(ends["adagrad"], paths["adagrad"])]
    return Evidence(
        {
            **{f"height in the last third, {rule}": found for rule, found in ends.items()},
            "growth of the height from the first third to the last, adagrad": growth,
        },
        [
            Lines(
                "Height above the moving centre",
                "epochs",
                [Line(rule, range(EPOCHS), found, rule) for rule, found in paths.items()],
                log_y=True,
            ),
            Bars("Height in the last third", "height", [Bar(rule, found, rule) for rule, found in ends.items()]),
        ],
    )
