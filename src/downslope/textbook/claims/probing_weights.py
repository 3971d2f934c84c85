"""Probing each weight gives the gradient of backpropagation, at a cost that grows with their number."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from downslope import rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Line, Lines
from downslope.training.task import by_name

CLAIM = Claim(
    title="Probing each weight against backpropagation",
    says="Moving each weight a little gives the same gradient as backpropagation, but costs two passes for each "
    "weight where backpropagation costs about two more for all.",
    source="Rumelhart, Hinton & Williams 1986, Nature 323; Hinton, Neural Networks for Machine Learning, lecture 3; "
    "CS231n, backpropagation",
    task="spirals",
    core=(
        Above("share of weights where both agree to a millionth", 0.95),
        Above("operations of probing over those of backpropagation, 1218 weights", 100),
    ),
    reach=(
        Below("largest error of probing, over the largest gradient", 1e-6),
        Below("operations of forward and backward over forward alone, 1218 weights", 4),
        Above("growth of the ratio for four times the weights", 3),
    ),
    how="The spirals network in float64 at its start, all training samples: each weight moved by 1e-5 up and down, "
    "and one backward pass. A millionth is of the largest gradient. Operations are the multiplications and "
    "additions that torch's counter sees. The larger network is of width 67, with 4,961 weights.",
    seeds=5,
)

STEP, SMALL, LARGE = 1e-5, 32, 67


def experiment(seeds: range) -> Evidence:
    task = by_name("spirals")
    inputs, targets = task.make_data().train.source
    inputs, errors, agree, ratios, pairs = inputs.double(), [], [], {}, ([], [])
    costs: dict[str, float] = {}
    for width in (SMALL, LARGE):
        for seed in seeds if width == SMALL else seeds[:1]:
            with rng.seeded(seed):
                model = task.with_settings(width=width).make_model().double()
            weights = list(model.parameters())
            with FlopCounterMode(display=False) as forward:
                loss = task.loss(model(inputs), targets)
            with FlopCounterMode(display=False) as backward:
                exact = torch.cat([g.flatten() for g in torch.autograd.grad(loss, weights)])
            one = forward.get_total_flops()
            ratios[width] = 2 * len(exact) * one / (one + backward.get_total_flops())
            costs[f"{len(exact)} weights"] = (one + backward.get_total_flops()) / one
            if width == LARGE:
                continue  # the count is known without probing
            probed = []
            for p in weights:
                flat = p.detach().view(-1)
                for k in range(len(flat)):
                    held, ends = flat[k].item(), []
                    for side in (STEP, -STEP):
                        flat[k] = held + side
                        with torch.no_grad():
                            ends.append(task.loss(model(inputs), targets).item())
                    flat[k] = held
                    probed.append((ends[0] - ends[1]) / (2 * STEP))
            errors.append(float((torch.tensor(probed) - exact).abs().max() / exact.abs().max()))
            agree.append(float(((torch.tensor(probed) - exact).abs() < 1e-6 * exact.abs().max()).double().mean()))
            pairs = (exact.tolist(), [(torch.tensor(probed) - exact).abs().tolist()])
    size = f"{next(iter(costs))}"
    return Evidence(
        {
            "share of weights where both agree to a millionth": agree,
            "largest error of probing, over the largest gradient": errors,
            f"operations of probing over those of backpropagation, {size}": [ratios[SMALL]],
            "operations of probing over those of backpropagation, 4961 weights": [ratios[LARGE]],
            f"operations of forward and backward over forward alone, {size}": [costs[size]],
            "growth of the ratio for four times the weights": [ratios[LARGE] / ratios[SMALL]],
        },
        [
            Lines("Error of probing by size of gradient", "|gradient|", [ordered(*pairs)], True, True),
            Bars("Operations over backpropagation's", "times", [Bar(f"width {w}", [r]) for w, r in ratios.items()]),
        ],
    )


def ordered(exact: list[float], errors: list[list[float]]) -> Line:
    pairs = sorted((abs(g), max(e, 1e-18)) for g, e in zip(exact, errors[0]) if g)
    return Line("difference", [g for g, _ in pairs], [[e for _, e in pairs]])
