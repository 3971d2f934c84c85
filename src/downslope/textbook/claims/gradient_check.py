"""A gradient check: relative errors tell a right backward pass from a wrong one."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from downslope import check, rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars
from downslope.training.task import by_name

CLAIM = Claim(
    title="The gradient check",
    says="Held against central differences, a right gradient has a relative error below 1e-7, a wrong one above "
    "1e-2; in single precision or at kinks even a right one may be far off.",
    source="CS231n, part 3 (gradient checks)",
    task="digits, a dense network",
    core=(
        Below("relative error, right", 1e-7),
        Above("relative error, a slip in backward", 1e-2),
    ),
    reach=(
        Below("relative error, right, single precision", 1e-4),
        Below("relative error, right, ReLU", 1e-7),
        Above("share of slips that downslope check finds", 0.6),
    ),
    how="The gradient of the first layer along twenty random directions, by a backward pass and by central "
    "differences of width 1e-5; the error is the length of the difference of the two times twenty numbers over the "
    "larger length. A hidden layer of 32 tanh units; the slip is 1 - y where it should be 1 - y². ReLU has kinks, "
    "single precision too few digits.",
    seeds=8,
)


class Slip(torch.autograd.Function):
    """tanh, with a slip in its derivative."""

    @staticmethod
    def forward(ctx, x: torch.Tensor) -> torch.Tensor:
        y = x.tanh()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx, grad: torch.Tensor) -> torch.Tensor:
        return grad * (1 - ctx.saved_tensors[0])


class Wrong(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return Slip.apply(x)


def network(middle: type[nn.Module]) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), middle(), nn.Linear(32, 10))


KINDS = {"right": (nn.Tanh, torch.float64), "a slip in backward": (Wrong, torch.float64),
         "right, single precision": (nn.Tanh, torch.float32), "right, ReLU": (nn.ReLU, torch.float64)}  # fmt: skip


def experiment(seeds: range) -> Evidence:
    task = by_name("digits")
    images, targets = (values[:50] for values in task.make_data().train.source)
    measures: dict[str, list[float]] = {}
    for name, (middle, dtype) in KINDS.items():
        for seed in seeds:
            with rng.seeded(seed):
                model = network(middle).to(dtype)
                ways = torch.randn(20, 32, 64, dtype=dtype)
            inputs, weight = images.to(dtype), model[1].weight
            (exact,) = torch.autograd.grad(task.loss(model(inputs), targets), weight)
            pairs = []
            for way in ways:
                ends = []
                for side in (1e-5, -1e-5):
                    with torch.no_grad():
                        moved = {"1.weight": weight + side * way}
                        ends.append(task.loss(torch.func.functional_call(model, moved, (inputs,)), targets).item())
                pairs.append([float((exact * way).sum()), (ends[0] - ends[1]) / 2e-5])
            a, n = torch.tensor(pairs, dtype=torch.float64).T
            error = (a - n).norm() / torch.maximum(a.norm(), n.norm())
            measures.setdefault(f"relative error, {name}", []).append(error.item())
    for seed in seeds:
        own = replace(task, model=lambda: network(Wrong))
        verdicts = [*check(own, only=["gradcheck"], seed=seed)]
        measures.setdefault("share of slips that downslope check finds", []).append(verdicts[0].verdict == "fail")
    bars = [Bar(name, measures[f"relative error, {name}"]) for name in KINDS]
    return Evidence(measures, [Bars("Relative error over twenty directions", "error", bars, log_x=True)])
