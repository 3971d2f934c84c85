"""A critical point may be a saddle: the Hessian tells, and shows the way down."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

import downslope
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import Task, by_name

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

CLAIM = Claim(
    title="A saddle, told by the Hessian",
    says="Where the gradient is zero, the Hessian's eigenvalues tell a saddle from a minimum, and an eigenvector of "
    "a negative one leads on down.",
    source="Dauphin et al. 2014, arXiv:1406.2572; Lee, Machine Learning 2021, NTU, 'small gradient'",
    task="digits",
    core=(
        Above("share of saddles that are told", 0.6),
        Above("share of minima of which none is called a saddle", 0.6),
        Below("loss after the step along the direction, over that before", 1),
    ),
    reach=(Below("gradient at the saddle", 1e-4),),
    how="A tanh network on digits with all weights zero and the biases of its outputs at the classes' frequencies: "
    "every gradient cancels, and it is no minimum. Hidden widths from 4 to 18, digits cut into other thirds by "
    "seed. As the opposite, softmax regression with a penalty trained to its end by L-BFGS, which is convex. "
    "`critical_point` looks at both, and gives the direction with the way to go.",
    seeds=8,
)


def saddle(inputs: torch.Tensor, targets: torch.Tensor, width: int) -> nn.Module:
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.Tanh(), nn.Linear(width, 10)).double()
    for p in model.parameters():
        nn.init.zeros_(p)
    with torch.no_grad():
        model[3].bias += torch.bincount(targets, minlength=10).double().div(len(targets)).log()
    return model


def minimum(task: Task, inputs: torch.Tensor, targets: torch.Tensor) -> tuple[nn.Module, Loss]:
    """Softmax regression with a penalty, at the end of its training, and its loss."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()

    def penalised(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return task.loss(output, target) + 0.01 * sum(p.square().sum() for p in model.parameters())

    def closure() -> torch.Tensor:
        search.zero_grad()
        loss = penalised(model(inputs), targets)
        loss.backward()
        return loss

    search = torch.optim.LBFGS(model.parameters(), max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe")
    search.step(closure)
    return model, penalised


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    images, labels = task.make_data().train.source
    measures: dict[str, list[float]] = {}
    along = []
    for seed in seeds:
        rows = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))[:300]
        inputs, targets = images[rows].double(), labels[rows]
        model = saddle(inputs, targets, 4 + 2 * seed)
        loss = task.loss(model(inputs), targets)
        norm = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))]).norm()
        found = downslope.critical_point(task.loss, model, (inputs, targets), products=100)
        losses = []
        for step in [0.5 * k for k in range(13)]:
            with torch.no_grad():
                moved = [p + step * d for p, d in zip(found.parameters, found.direction or found.parameters)]
                named = dict(zip(dict(model.named_parameters()), moved))
                losses.append(float(task.loss(torch.func.functional_call(model, named, (inputs,)), targets)))
        along.append(losses)
        convex, penalised = minimum(task, inputs, targets)
        other = downslope.critical_point(penalised, convex, (inputs, targets), products=100)
        for name, value in {
            "share of saddles that are told": found.outcome == "saddle",
            "share of minima of which none is called a saddle": other.outcome == "no curvature below -tau found",
            "loss after the step along the direction, over that before": min(losses) / losses[0],
            "gradient at the saddle": norm.item(),
            "smallest eigenvalue at the saddle": found.smallest or 0.0,
            "smallest eigenvalue at the minimum": other.smallest or 0.0,
        }.items():
            measures.setdefault(name, []).append(value)
    lines = [Line("loss", [0.5 * k for k in range(13)], along)]
    bars = [Bar(f"the {n}", measures[f"smallest eigenvalue at the {n}"]) for n in ("saddle", "minimum")]
    shown = [Lines("Loss along the direction", "distance", lines), Bars("Smallest eigenvalue", "curvature", bars)]
    return Evidence(measures, shown)
