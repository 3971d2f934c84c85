"""What the published rules look at: tensors of every tenth step, the course of losses and scores.

The rules are functions of a `Look` (one step's tensors) or of the `Course` (figures so far); `Record` sits in the loop
of the benchmark, asks them all and remembers the first step at which each fired."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import nn

Tensor = torch.Tensor
EVERY = 10
"""Steps between looks at tensors. SageMaker's hook saves every 500 by default, at which most rules see nothing of runs
of this length; its documents lower that for short runs."""


@dataclass
class Look:
    """Tensors of one step, by name."""

    step: int
    lr: float
    inputs: Tensor
    loss: float
    gradients: dict[str, Tensor]
    before: dict[str, Tensor]  # weights before the step, and after it
    after: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)  # of layers
    relus: dict[str, Tensor] = field(default_factory=dict)  # what activations gave, or were given
    tanhs: dict[str, Tensor] = field(default_factory=dict)
    sigmoids: dict[str, Tensor] = field(default_factory=dict)


@dataclass
class Course:
    """Figures so far: a loss a step; once an epoch the losses and accuracies of both parts (nan where none)."""

    losses: list[float] = field(default_factory=list)
    train: list[float] = field(default_factory=list)
    validation: list[float] = field(default_factory=list)
    train_accuracy: list[float] = field(default_factory=list)
    validation_accuracy: list[float] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)  # of the training targets
    right: dict[int, int] = field(default_factory=dict)
    classes: int = 0
    last: str = ""  # the kind of the last layer
    stacked: bool = False  # two linear layers with nothing between them
    dropout: float = 0.0


@dataclass(frozen=True)
class Rule:
    """One rule of a tool, and the symptoms that it means, by its document; `fires` takes the looks and the course."""

    name: str
    tool: str
    means: frozenset[str]
    fires: Callable[[list[Look], Course], bool]


class Record:
    """Sits in the loop, and looks on."""

    def __init__(self) -> None:
        from .table import RULES

        self.rules, self.course = RULES, Course()
        self.fired: dict[str, int] = {}
        self.looks: list[Look] = []
        self._current: Look | None = None

    def before(self, step: int, model: nn.Module, inputs: Tensor, loss: float, optimizer: Any) -> None:
        self.course.losses.append(loss)
        if step == 0:
            _structure(model, self.course)
        if step % EVERY and step != 1:
            self._current = None
            return
        look = Look(step, float(optimizer.param_groups[0].get("lr", math.nan)), inputs, loss, {}, {})
        for name, p in model.named_parameters():
            look.before[name] = p.detach().clone()
            if p.grad is not None and not p.grad.is_sparse:
                look.gradients[name] = p.grad.detach().clone()
        _activations(model, inputs, look)
        self._current = look

    def after(self, step: int, model: nn.Module) -> None:
        if self._current is None:
            return
        self._current.after = {name: p.detach().clone() for name, p in model.named_parameters()}
        self.looks = [*self.looks[-4:], self._current]
        self._ask(step)

    def epoch(self, model: nn.Module, x: Tensor, y: Tensor, vx: Tensor, vy: Tensor, losses: Any, value: float) -> None:
        twin, course = copy.deepcopy(model).eval(), self.course
        course.validation.append(value)
        size = max(1, len(losses) // max(1, len(course.validation)))
        course.train.append(sum(losses[-size:]) / size)
        with torch.no_grad():
            for inputs, targets, into in ((x, y, course.train_accuracy), (vx, vy, course.validation_accuracy)):
                output = twin(inputs[:500])
                targets = targets[:500].flatten()
                sorted_out = targets.dtype == torch.int64 and output.ndim == 2 and output.shape[1] > 1
                into.append(float((output.argmax(1) == targets).double().mean()) if sorted_out else math.nan)
                if sorted_out and into is course.train_accuracy:
                    course.classes = output.shape[1]
                    said = output.argmax(1)
                    values, numbers = targets.unique(return_counts=True)
                    course.counts = dict(zip(values.tolist(), numbers.tolist()))
                    course.right = {c: int(((said == c) & (targets == c)).sum()) for c in course.counts}
        self._ask(len(losses))

    def alarms(self) -> dict[str, int]:
        """The first step at which each rule fired."""
        return self.fired

    def _ask(self, step: int) -> None:
        for rule in self.rules:
            if rule.name not in self.fired and rule.fires(self.looks, self.course):
                self.fired[rule.name] = step


def _structure(model: nn.Module, course: Course) -> None:
    kept = [m for m in model.modules() if not list(m.children()) and not isinstance(m, nn.Flatten | nn.Dropout)]
    course.last = type(kept[-1]).__name__ if kept else ""
    course.stacked = any(isinstance(a, nn.Linear) and isinstance(b, nn.Linear) for a, b in pairwise(kept))
    course.dropout = max((m.p for m in model.modules() if isinstance(m, nn.Dropout)), default=0.0)


def _activations(model: nn.Module, inputs: Tensor, look: Look) -> None:
    """Of a copy, so that nothing of the run is touched; in training mode, with the random numbers put back."""
    from downslope import rng

    twin = copy.deepcopy(model)
    handles = []
    for name, m in twin.named_modules():
        if isinstance(m, nn.ReLU):
            handles.append(m.register_forward_hook(_into(look.relus, name, False)))
        elif isinstance(m, nn.Tanh):
            handles.append(m.register_forward_hook(_into(look.tanhs, name, True)))
        elif isinstance(m, nn.Sigmoid):
            handles.append(m.register_forward_hook(_into(look.sigmoids, name, True)))
        elif isinstance(m, nn.Linear | nn.Conv2d):
            handles.append(m.register_forward_hook(_into(look.outputs, name, False)))
    with torch.no_grad(), rng.kept():
        twin(inputs)


def _into(where: dict[str, Tensor], name: str, inputs: bool) -> Any:
    def hook(m: nn.Module, args: Any, output: Tensor) -> None:
        where[name] = (args[0] if inputs else output).detach()

    return hook
