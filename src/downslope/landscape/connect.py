"""Between two solutions: the straight line, and a quadratic Bezier curve fitted so that the loss stays low along it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import functional_call

from .. import optim, rng
from ..errors import RunError
from ..training.data import Batch
from .grid import Keeper, Tell, over_points
from .network import Network

STEPS, RATE = 400, 0.01
PIECES = 61  # points along a way


@dataclass(frozen=True)
class Connection:
    """Losses at `t` from 0 to 1 along the line and along the curve with control point `bend`, all in float64."""

    t: Tensor
    line: Tensor
    curve: Tensor
    bend: Tensor

    def barrier(self, losses: Tensor) -> float:
        """By how much a way rises above the straight line between the losses of its ends, at most."""
        return float((losses - torch.lerp(losses[0], losses[-1], self.t)).max())


def bezier(first: Tensor, bend: Tensor, second: Tensor, t: Tensor) -> Tensor:
    """Points (T, P) of the quadratic Bezier curve at t (T): the ends at 0 and 1 (Garipov et al. 2018, eq. 3)."""
    s = t[:, None].to(first)
    return (1 - s) ** 2 * first + 2 * s * (1 - s) * bend + s**2 * second


def fit(
    network: Network,
    first: Tensor,
    second: Tensor,
    *,
    steps: int = STEPS,
    lr: float = RATE,
    seed: int = 0,
    tell: Tell | None = None,
) -> Tensor:
    """The control point (P) of a Bezier curve of low loss: Adam on the loss at a random t of a batch each step.

    Garipov et al. 2018, arXiv:1802.10026, section 3.2, with Adam for SGD so that no rate has to be found. Batch norms
    take the statistics of each batch while the curve is fitted. Starts in the middle. Costs `steps` steps."""
    if first.shape != second.shape:
        raise RunError(f"the solutions have {len(first):,} and {len(second):,} parameters; they must be of one network")
    model = copy.deepcopy(network.model)
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train()
    bend = ((first + second) / 2).clone().requires_grad_()
    optimizer = optim.by_name("adam")([bend], lr=lr)
    cut = _cut(network.batches)
    with rng.seeded(seed):
        for step in range(steps):
            inputs, targets = cut[int(torch.randint(len(cut), ()))]
            for group in optimizer.param_groups:
                group["lr"] = lr * min(1.0, 2 * (1 - step / steps))  # constant, then down to 0
            t = torch.rand((), dtype=first.dtype)
            point = (1 - t) ** 2 * first + 2 * t * (1 - t) * bend + t**2 * second
            loss = network.task.loss(functional_call(model, network.shaped(point), (inputs,)), targets)
            (bend.grad,) = torch.autograd.grad(loss, bend)
            optimizer.step()
            if tell is not None:
                tell("fitting the curve", step + 1, steps)
    return bend.detach()


def _cut(batches: Sequence[Batch], rows: int = 128) -> list[Batch]:
    """Smaller batches, where inputs and targets are tensors."""
    found: list[Batch] = []
    for inputs, targets in batches:
        if isinstance(inputs, Tensor) and isinstance(targets, Tensor) and len(inputs) == len(targets):
            order = torch.randperm(len(inputs), generator=torch.Generator().manual_seed(0))
            found += [(inputs[i], targets[i]) for i in order.split(rows)]
        else:
            found.append((inputs, targets))
    return found


def connect(
    network: Network,
    first: Tensor,
    second: Tensor,
    bend: Tensor,
    keeper: Keeper | None = None,
    tell: Tell | None = None,
) -> Connection:
    """The losses along both ways, PIECES points each. A network with batch norms should recompute them at each point
    (`norms="recompute"`): those of one end mean nothing in between."""
    t = torch.linspace(0, 1, PIECES, dtype=torch.float64)

    def line(i: int, j: int) -> Tensor:
        s = t[i:j, None].to(first)
        return (1 - s) * first + s * second

    along = over_points(network, line, PIECES, "line", keeper, tell)
    curve = over_points(network, lambda i, j: bezier(first, bend, second, t[i:j]), PIECES, "curve", keeper, tell)
    return Connection(t, along, curve, bend)
