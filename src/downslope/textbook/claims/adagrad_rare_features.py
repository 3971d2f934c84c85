"""Adagrad takes larger steps for rare features than for common ones."""

from __future__ import annotations

import torch

from downslope import optim, rng
from downslope.textbook.checks import Above
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.lab import batches
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.data import Part
from downslope.training.task import by_name

CLAIM = Claim(
    title="Adagrad favours rare features",
    says="Adagrad gives features that are seen rarely larger steps than those that are seen all the time.",
    source="Duchi, Hazan & Singer 2011, JMLR 12, section 1: very predictive but comparatively rare features",
    task="modules-sparse",
    core=(Above("step per unit of gradient, rare over common, adagrad", 3),),
    reach=(
        Above("accuracy on functions of rare names, adagrad", "accuracy on functions of rare names, sgd", plus=0.02),
    ),
    how="One epoch of each rule. A name is rare when it is in 2 or 3 training functions, common when it is in more "
    "than 100. The step per unit of gradient is how far the next step would move a weight for a gradient of 1: the "
    "rate for SGD, less the root of its sum of squares for Adagrad. Accuracy is that on the half of the test "
    "functions whose names are rarest; rates, of a grid of six, are the best of each rule on the validation "
    "functions and another seed.",
    seeds=6,
)

RATES = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
RULES = {"adagrad": optim.Adagrad, "sgd": optim.SGD}


def experiment(seeds: range) -> Evidence:
    task = by_name("modules-sparse")
    data = task.make_data()
    seen = torch.bincount(data.train.rows(torch.arange(data.train.size or 0))[0].flatten(), minlength=4001)
    seen[0] = 0  # the filling
    rare, common = (seen >= 2) & (seen <= 3), seen > 100

    def trained(rule: str, lr: float, seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        with rng.seeded(seed):
            model = task.make_model()
        optimizer = RULES[rule](model.parameters(), lr=lr)
        for batch, labels in batches(data.train, 32, seed):
            optimizer.zero_grad()
            task.loss(model(batch), labels).backward()
            optimizer.step()
        return model, optimizer

    def right(model: torch.nn.Module, part: Part) -> float:
        inputs, targets = part.rows(torch.arange(part.size or 0))
        typical = torch.stack([seen[row[row > 0]].double().clamp(min=1).log().mean() for row in inputs])
        few = typical <= typical.median()
        with torch.no_grad():
            return float(task.metric(model(inputs[few]), targets[few]))

    measures: dict[str, list[float]] = {}
    steps = {}
    for rule in RULES:
        lr = max(RATES, key=lambda lr: right(trained(rule, lr, 1000)[0], data.validation))
        for seed in seeds:
            model, optimizer = trained(rule, lr, seed)
            held = optimizer.state[model.names.weight].get("sum", torch.ones_like(model.names.weight))
            unit = lr / (held.sqrt() + 1e-10)
            unit = torch.where(held > 0, unit, torch.nan).log().nanmean(1)
            ratio = (unit[rare].nanmean() - unit[common].nanmean()).exp()
            measures.setdefault(f"step per unit of gradient, rare over common, {rule}", []).append(ratio.item())
            measures.setdefault(f"accuracy on functions of rare names, {rule}", []).append(right(model, data.test))
            steps[rule] = [unit[(seen >= low) & (seen < 2 * low)].nanmean().exp().item() for low in SIZES]
    bars = [Bar(r, measures[f"accuracy on functions of rare names, {r}"], r) for r in RULES]
    lines = [Line(rule, SIZES, [run], rule) for rule, run in steps.items()]
    title = "Step per unit of gradient"
    return Evidence(
        measures,
        [
            Lines(title, "functions with the name", lines, True, True, True),
            Bars("Accuracy, rare names", "share right", bars),
        ],
    )


SIZES = (2, 4, 8, 16, 32, 64, 128, 256)
