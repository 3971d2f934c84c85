"""A loss that no longer falls is no critical point while its gradients are large."""

from __future__ import annotations

import torch

import downslope
from downslope import optim, rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Line, Lines
from downslope.training.score import evaluate
from downslope.training.task import by_name

CLAIM = Claim(
    title="A flat loss is not a critical point",
    says="When the loss stops falling, training need not be at a critical point: the gradient may still be large.",
    source="Goodfellow, Bengio & Courville 2016, figure 8.1; Lee, Machine Learning 2021, NTU, 'small gradient'",
    task="quadratic",
    core=(
        Below(
            "fall of the loss from one 40 epochs to the next, share",
            "fall of the loss with a tenth of the rate, share",
            times=0.5,
        ),
        Above("length of the gradient at the end over that at a tenth of the rate", 2),
        Above("share of ends that critical_point calls not stationary", 0.5),
    ),
    reach=(Above("fall of the loss with a tenth of the rate, share", 0.1),),
    how="The noisy bowl in 100 dimensions by SGD at lr 0.0325, close to what its steepest directions stand (2 over "
    "a curvature of 60), a hundred epochs; the loss and the gradient are those of all training samples. Ten more "
    "epochs at a tenth of the rate show what the bouncing hid. A fall is a share of the loss above its lowest "
    "value.",
    seeds=8,
)

EPOCHS, LR = 100, 0.0325


def experiment(seeds: range) -> Evidence:
    task = by_name("quadratic")
    data = task.make_data()
    whole = data.train.rows(torch.arange(data.train.size or 0))
    floor = float(task.loss(whole[0].mean(0).expand_as(whole[0]), whole[0]))
    measures: dict[str, list[float]] = {}
    curves, lengths = [], []
    for seed in seeds:
        with rng.seeded(seed):
            model = task.make_model()
        optimizer, losses, norms, moving = optim.SGD(model.parameters(), lr=LR), [], [], False
        for epoch in range(EPOCHS + 10):
            (gradient,) = torch.autograd.grad(task.loss(model(whole[0]), whole[1]), list(model.parameters()))
            losses.append(evaluate(task, model, data.train)[0] - floor)
            norms.append(gradient.norm().item())
            if epoch == EPOCHS:
                point = downslope.critical_point(task.loss, model, whole, products=60)
                moving = point.outcome == "not stationary yet"
                optimizer.param_groups[0]["lr"] = LR / 10
            for inputs, targets in batches(data.train, 128, seed * 100 + epoch):
                optimizer.zero_grad()
                task.loss(model(inputs), targets).backward()
                optimizer.step()
        late, before = sum(losses[EPOCHS - 40 : EPOCHS]) / 40, sum(losses[EPOCHS - 80 : EPOCHS - 40]) / 40
        end, settled = sum(norms[EPOCHS - 40 : EPOCHS]) / 40, sum(norms[-5:]) / 5
        for name, value in {
            "fall of the loss from one 40 epochs to the next, share": 1 - late / before,
            "length of the gradient at the end over that at a tenth of the rate": end / settled,
            "share of ends that critical_point calls not stationary": moving,
            "fall of the loss with a tenth of the rate, share": 1 - losses[-1] / late,
        }.items():
            measures.setdefault(name, []).append(value)
        curves.append(losses)
        lengths.append(norms)
    x = range(EPOCHS + 10)
    return Evidence(
        measures,
        [
            Lines("Loss above the lowest, lr / 10 from 100 on", "epochs", [Line("loss", x, curves)], log_y=True),
            Lines("Length of the whole gradient", "epochs", [Line("gradient", x, lengths)], log_y=True),
        ],
    )
