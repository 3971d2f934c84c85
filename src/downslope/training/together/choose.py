"""Whether the members of an ensemble take their steps together."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from ... import rng
from ...optim import Optimizer
from ...optim.stacked_join import join
from ..build import make_optimizer, optimizer_class
from ..config import Config
from ..data import Data
from ..task import Task
from . import memory
from .check import tried
from .feed import Feed
from .model import StackedModel
from .networks import networks
from .timing import quickest


class Seed(NamedTuple):
    """A member, as far as it is another one."""

    seed: int
    of_task: dict[str, Any]


def why_apart(config: Config, task: Task, data: Data) -> str:
    """Why the members of an ensemble cannot take their steps together, in words; nothing where they can.

    They can where a step of several together gives what it gives each alone, to rounding, which is tried."""
    if config.accumulate > 1 or config.amp is not None or config.l1 or config.l2:
        return "steps together have no accumulation, mixed precision or penalties"
    if data.train.loader is not None:
        return f"{data.train.where} is a DataLoader, whose order belongs to one run; give tensors or a dataset"
    if optimizer_class(config.optimizer) is None:
        return "the optimizer is a function, and is not one of downslope's"
    members = [Seed(config.seed + number, {}) for number in range(config.members)]
    device, batch = torch.device(config.device or "cpu"), _batch(config)
    with rng.kept():
        optimizer = make_optimizer(config, task.make_model().to(device), config.lr)
        why = _unfit(optimizer)
        found = None if why else tried(task, data, batch, device, members)
    if found is None or found.why:
        return why or found.why  # type: ignore[union-attr]
    if found.draws:
        return "the network draws random numbers, as for dropout, and each member draws its own"
    return "the network has no form for several at once that is quicker" if found.inner else ""


def _unfit(optimizer: torch.optim.Optimizer) -> str:
    name = type(optimizer).__name__
    if not isinstance(optimizer, Optimizer) or len(optimizer.param_groups) > 1:
        return f"{name} has more than one rule"
    group = optimizer.param_groups[0]
    if optimizer._plan(group).whole:
        return f"{name} needs whole tensors, which each member's optimizer takes by itself"
    if optimizer._precision.chosen or optimizer.param_mode != "nearest":
        return f"{name} has states or parameters in another storage, which each member's optimizer has for itself"
    if optimizer.rule(group).scored is not None:
        return f"{name} scores the model at another point than it trains"
    return f"{name} is made with differentiable=True" if group.get("differentiable") else ""


def gain(config: Config, task: Task, data: Data) -> float:
    """How many times quicker a step of all together is than their steps one after the other, by a short try."""
    members = [Seed(config.seed + number, {}) for number in range(config.members)]
    device = torch.device(config.device or "cpu")
    with rng.kept(), memory.kept():
        feed = Feed(data.train, [member.seed for member in members], _batch(config), device)
        batch, _ = next(iter(feed.epoch(0)))
        inputs, targets = feed.of_trial(batch, 0)
        starts = [start.network for start in networks(task, members, device)]
        model = StackedModel(task, starts)
        optimizers: list[Any] = [make_optimizer(config, start, config.lr) for start in starts]
        joined = join(model.learned, optimizers)
        network, optimizer = starts[0].train(), make_optimizer(config, starts[0], config.lr)

        def alone() -> None:
            optimizer.zero_grad()
            loss = task.loss(network(inputs), targets)
            loss.item()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        def together() -> None:
            model.backward(batch, feed.apart).tolist()
            joined.step()

        return len(members) * quickest(alone) / quickest(together)


def _batch(config: Config) -> int | None:
    return config.batch if isinstance(config.batch, int) else None
