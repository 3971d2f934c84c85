"""The gradient of a composition is the product of its layers' Jacobians, best multiplied from the end."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from downslope import rng
from downslope.textbook.checks import Above, Below
from downslope.textbook.claim import Claim, Evidence
from downslope.textbook.panels import Bar, Bars, Picture
from downslope.training.task import by_name

CLAIM = Claim(
    title="The chain rule on three layers",
    says="The gradient through three layers is the product of their Jacobians; backpropagation multiplies it from "
    "the loss backwards, which is the cheap way round.",
    source="Rumelhart, Hinton & Williams 1986, Nature 323; Griewank & Walther 2008, Evaluating Derivatives, section "
    "3.2",
    task="digits, a dense network of three layers",
    core=(Below("largest difference of product and backpropagation, over the largest gradient", 1e-10),),
    reach=(
        Above("operations from the input onwards over from the loss backwards", 2),
        Below("largest difference of the two orders, over the largest gradient", 1e-10),
    ),
    how="A network of 64, 32, 32 and 10 units at its start, cut into three layers with their ReLU and the loss, in "
    "float64: the Jacobian of each is taken by itself at the values that reach it, for one sample, and they are "
    "multiplied from both ends. Backpropagation through the whole is the reference. Operations are those of the "
    "products.",
    seeds=20,
)


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 10))


def experiment(seeds: range) -> Evidence:
    task = replace(by_name("digits"), model=dense)
    inputs, targets = task.make_data().train.source
    apart, orders, shapes = [], [], []
    costs = {"from the input onwards": 0, "from the loss backwards": 0}
    for seed in seeds:
        with rng.seeded(seed):
            model = task.make_model().double()
        x, target = inputs[seed : seed + 1].double(), targets[seed : seed + 1]
        stages = [model[:3], model[3:5], model[5:], lambda z, target=target: task.loss(z, target).view(1)]
        jacobians, value = [], x
        for stage in stages:
            jacobian = torch.autograd.functional.jacobian(stage, value)
            value = stage(value).detach()
            jacobians.append(jacobian.reshape(value.numel(), -1))
        with FlopCounterMode(display=False) as onwards:
            product = jacobians[0]
            for jacobian in jacobians[1:]:
                product = jacobian @ product
        with FlopCounterMode(display=False) as backwards:
            reverse = jacobians[-1]
            for jacobian in jacobians[-2::-1]:
                reverse = reverse @ jacobian
        start = x.clone().requires_grad_()
        (exact,) = torch.autograd.grad(task.loss(model(start), target), start)
        exact, size = exact.view(1, -1), exact.abs().max()
        apart.append(float((reverse - exact).abs().max() / size))
        orders.append(float((reverse - product).abs().max() / size))
        costs = {
            "from the input onwards": onwards.get_total_flops(),
            "from the loss backwards": backwards.get_total_flops(),
        }
        shapes = jacobians
    return Evidence(
        {
            "largest difference of product and backpropagation, over the largest gradient": apart,
            "largest difference of the two orders, over the largest gradient": orders,
            "operations from the input onwards over from the loss backwards": [
                costs["from the input onwards"] / costs["from the loss backwards"]
            ],
        },
        [
            Picture("Jacobian of layer 1, 32 x 64", shapes[0]),
            Picture("Jacobian of layer 2, 32 x 32", shapes[1]),
            Bars("Operations of the products", "operations", [Bar(name, [float(n)]) for name, n in costs.items()]),
        ],
    )
