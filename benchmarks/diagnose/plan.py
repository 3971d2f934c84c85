"""What a run does: a setting, and what a kind of run changes in it."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import nn

import downslope
from downslope.diagnose.finding import Report

from .datasets import data
from .setting import Setting

Tensor = torch.Tensor


def adam(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr)


def sgd(parameters: Any, lr: float) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr, momentum=0.9)


@dataclass(frozen=True)
class Plan:
    """A run as a kind wants it; `of` is the plain one of a setting, which is the healthy twin of its sick runs."""

    setting: Setting
    model: Callable[[], nn.Module]
    loss: Callable[[Tensor, Tensor], Tensor]
    lr: float
    epochs: int
    batch: int
    optimizer: Callable[[Any, float], torch.optim.Optimizer] = adam
    parameters: Callable[[nn.Module], Any] = lambda model: model.parameters()
    start: Callable[[nn.Module], Any] | None = None  # changes the first weights
    prepare: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None  # of all data, once
    rows: int | None = None
    order: str = "shuffled"  # or sorted, or grouped: batches of one class, shuffled
    batchwise: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]] | None = None
    each: Callable[[nn.Module, int], Any] | None = None  # before each step
    schedule: Callable[[torch.optim.Optimizer, int], Any] | None = None  # of all steps
    clip: float | None = None  # the norm of gradients
    clip_value: float | None = None  # each of their values
    accumulate: int = 1
    cast: torch.dtype | None = None  # autocast
    scale: float = 1.0  # of the loss, as a GradScaler does
    patience: int | None = None  # epochs without a better validation loss
    slips: frozenset[str] = frozenset()  # what the loop does wrong, by name: see `train`

    @classmethod
    def of(cls, setting: Setting) -> Plan:
        return cls(setting, setting.model, setting.loss, setting.lr, setting.epochs, setting.batch)

    def slip(self, *names: str) -> Plan:
        return replace(self, slips=self.slips | set(names))


@dataclass
class Outcome:
    """What came of a run: the score and the loss on validation data, measured on a copy after all was over; the
    course of the losses; what the watch said."""

    score: float
    loss: float
    losses: list[float]
    validation: list[float]
    model: nn.Module
    first: dict[str, Tensor]  # the weights at the start
    report: Report | None = None
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)


def train(plan: Plan, seed: int, budget: float | None = 1.0, look: Any = None) -> Outcome:
    """Train in a loop as users write them, under a watch, or with no budget under none.

    `look(step, model, inputs, ...)` is shown every step for the published rules; it sees a loop that is the same."""
    torch.manual_seed(seed)
    x, y, vx, vy = data(plan.setting.task)
    raw = vy
    if plan.rows is not None:
        x, y = x[: plan.rows], y[: plan.rows]
    if plan.prepare is not None:
        (x, y), (vx, vy) = plan.prepare(x, y), plan.prepare(vx, vy)
    model = plan.model()
    if plan.start is not None:
        with torch.no_grad():
            plan.start(model)
    optimizer = plan.optimizer(plan.parameters(model), plan.lr)
    if "head replaced" in plan.slips:
        _replace(model, -1)
    if "first replaced" in plan.slips:
        _replace(model, 0)
    steps = plan.epochs * (len(x) // (plan.batch * plan.accumulate))
    scheduler = plan.schedule(optimizer, steps) if plan.schedule is not None else None
    first = {name: p.detach().clone() for name, p in model.state_dict().items()}
    losses: list[float] = []
    validation: list[float] = []
    watch = downslope.watch(model, optimizer, budget=budget) if budget is not None else None
    try:
        for _ in range(plan.epochs):
            if "train() forgotten" not in plan.slips:
                model.train()
            _mode(optimizer, "train")
            order = _order(plan, y)
            losses += _epoch(plan, model, optimizer, scheduler, x, y, order, len(losses), look)
            if "eval() forgotten" not in plan.slips:
                model.eval()
            _mode(optimizer, "eval")
            with torch.no_grad(), _cast(plan):
                validation.append(float(plan.loss(model(vx), vy)))
            if watch is not None:
                watch.validation(validation[-1])
            if look is not None:
                look.epoch(model, x, y, vx, vy, losses, validation[-1])
            low = min(validation, key=lambda v: v if math.isfinite(v) else math.inf)
            if plan.patience is not None and len(validation) - validation.index(low) > plan.patience:
                break
        report = watch.report() if watch is not None else None
    finally:
        if watch is not None:
            watch.close()
    return Outcome(
        *_score(plan, model, vx, raw if len(raw) == len(vy) else vy), losses, validation, model, first, report
    )


def _order(plan: Plan, y: Tensor) -> Tensor:
    if plan.order == "sorted":
        return torch.argsort(y, stable=True)
    order = torch.randperm(len(y))
    if plan.order == "grouped":
        batches = order[torch.argsort(y[order], stable=True)].split(plan.batch)
        order = torch.cat([batches[i] for i in torch.randperm(len(batches))])
    return order


def _score(plan: Plan, model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float]:
    """The setting's own score and loss, against the true labels; a model with one score for two groups has neither."""
    model.eval()
    with torch.no_grad(), _cast(plan):
        output = model(x).float()
    if not output.isfinite().all():
        return -math.inf, math.nan
    if output.shape[1:] == (1,) and y.dtype == torch.int64:
        return 0.0, 0.0
    return plan.setting.metric(output, y), float(plan.setting.loss(output, y))


def _epoch(
    plan: Plan, model: nn.Module, optimizer: Any, scheduler: Any, x: Any, y: Any, order: Any, done: int, look: Any
) -> list[float]:
    losses = []
    size = plan.batch * plan.accumulate
    for i in range(0, len(order) - size + 1, size):
        step = done + len(losses)
        if plan.each is not None:
            plan.each(model, step)
        if "not zeroed" not in plan.slips and (i == 0 or "zeroed once an epoch" not in plan.slips):
            optimizer.zero_grad()
        if "closure" in plan.slips:
            losses.append(_closure(plan, model, optimizer, x[order[i : i + size]], y[order[i : i + size]]))
            continue
        total = 0.0
        for rows in order[i : i + size].split(plan.batch):
            inputs, targets = x[rows], y[rows]
            if plan.batchwise is not None:
                inputs, targets = plan.batchwise(inputs, targets, step)
            with _cast(plan):
                loss = plan.loss(model(inputs), targets)
            loss = loss / plan.accumulate
            (loss * plan.scale if plan.scale != 1 else loss).backward()
            total += float(loss.detach())
        if plan.scale != 1:
            for p in model.parameters():
                if p.grad is not None:
                    p.grad.div_(plan.scale)
        if "zeroed before the step" in plan.slips:
            optimizer.zero_grad()
        if plan.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), plan.clip)
        if plan.clip_value is not None:
            nn.utils.clip_grad_value_(model.parameters(), plan.clip_value)
        if look is not None:
            look.before(step, model, inputs, total, optimizer)
        if scheduler is not None and "scheduler first" in plan.slips:
            scheduler.step()
        optimizer.step()
        if scheduler is not None and not {"scheduler first", "scheduler forgotten"} & plan.slips:
            scheduler.step()
        if look is not None:
            look.after(step, model)
        losses.append(total)
    return losses


def _closure(plan: Plan, model: nn.Module, optimizer: Any, x: Tensor, y: Tensor) -> float:
    def again() -> Tensor:
        optimizer.zero_grad()
        loss = plan.loss(model(x), y)
        loss.backward()
        return loss

    return float(optimizer.step(again))


def _cast(plan: Plan) -> Any:
    return torch.autocast("cpu", plan.cast) if plan.cast is not None else contextlib.nullcontext()


def _mode(optimizer: Any, name: str) -> None:
    """Schedule-free rules keep two sets of weights and are told which is wanted."""
    switch = getattr(optimizer, name, None)
    if callable(switch):
        switch()


def _replace(model: nn.Module, which: int) -> None:
    """The first or last layer by a new one of the same shape."""
    name, layer = [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear | nn.Conv2d)][which]
    new = copy.deepcopy(layer)
    new.reset_parameters()
    parent = model.get_submodule(name.rpartition(".")[0])
    setattr(parent, name.rpartition(".")[2], new)


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without torch's own warnings of broadcasting and of schedulers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
