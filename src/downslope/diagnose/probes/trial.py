"""Would another learning rate do better? Short forked runs on the last batches, made when a report is asked for.

Only where the loss was read off its graph and the output of the model is what it took, so that a step can be made anew
without the user's loop. Costs repeats x rates x steps, once; the run itself is not touched."""

from __future__ import annotations

import copy
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ..forks import Change, Step
from ..whatif import Score, Verdict, learning_rates, what_if
from .batch import Batch, Known, tensors
from .losses import Found
from .parameters import rate

LOSSES = {
    "classes": lambda out, y, dim: F.cross_entropy(out.movedim(dim, 1) if out.ndim > 1 else out, y),
    "binary": lambda out, y, dim: F.binary_cross_entropy_with_logits(out, y),
    "values": lambda out, y, dim: F.mse_loss(out, y),
}
KEPT, BYTES = 47, 64 << 20
"""Batches: more than a fork takes steps, and prime, so that strides of 1, 2 and 3 meet each once and nothing is learned
by heart."""
SAMPLES = 1500
"""Of small batches so many are kept that they hold as many samples, for runs made again; forks take the last KEPT."""
REPEATS, STEPS, MORE, LEAST = 3, 12, 40, 8
LIMIT = 60.0
"""Seconds of one comparison, by the step time of the run; slower ones take fewer steps, down to LEAST."""
SHORT = "the seconds that they may take do not suffice"
START = 20_000_000
"""Numbers in a model whose start is kept, a copy of it."""


class Trial:
    """The last batches with their targets, and the runs forked on them."""

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, start: bool = True):
        self.model, self.optimizer = model, optimizer
        self.batches: deque[Known] = deque()
        self.usable: bool | None = None
        self.place = 0  # of the scores, among the tensors that the model gives
        self.agrees = True  # the loss of a fork is the loss of the run: no smoothing, weights or penalty in it
        self.answers: dict[tuple[Any, ...], Verdict | None] = {}
        self.start: dict[str, torch.Tensor] | None = None
        self.states: dict[Any, Any] = {}  # of the optimizer at its start; most rules have none by then
        self.modes: list[bool] = []  # of the modules when they last trained
        self.top = 0.0  # the highest learning rate so far
        self.seconds = 0.0  # of a step
        self.left = math.inf  # seconds that forks may still take
        self.clip: float | None = None  # the norm that the loop clips gradients to
        self.refused: set[str] = set()
        if not start:  # no copy of it: asking a model in parts for its state changes where they are
            return
        whole = sum(t.numel() for t in model.state_dict().values() if isinstance(t, torch.Tensor))
        if whole <= START and _fresh(optimizer):
            self.start = {k: v.detach().clone() for k, v in model.state_dict().items() if isinstance(v, torch.Tensor)}
            self.states = copy.deepcopy(optimizer.state_dict()["state"]) if optimizer.state else {}

    def known(self, batch: Batch | None, output: Any, found: Found | None, value: float) -> Known | None:
        """The batch with its loss, if a step could be made from it."""
        if batch is None or found is None or found.targets is None or found.kind not in LOSSES or self.usable is False:
            return None
        if self.usable is None:
            at = _place(output, found)
            self.usable, self.place = at is not None, at or 0
            if not self.usable:
                return None
        with torch.no_grad():
            scores = tensors(output)[self.place].detach().float()
            own = float(LOSSES[found.kind](scores, found.targets, found.dim))  # type: ignore[no-untyped-call]
            own *= found.targets.numel() if found.summed else 1
        self.agrees = self.agrees and not abs(own - value) > 0.02 * abs(value) + 1e-6
        return Known(
            **vars(batch),
            kind=found.kind,
            targets=found.targets,
            dim=found.dim,
            place=self.place,
            value=value,
            summed=found.summed,
        )

    def keep(self, batch: Known, training: bool = True) -> None:
        if not self.modes or self.modes[0] != training:
            self.modes = [m.training for m in self.model.modules()]
        self.batches.append(batch)
        most = min(max(KEPT, SAMPLES // max(1, batch.samples)), max(2, BYTES // max(1, batch.bytes)))
        while len(self.batches) > most:
            self.batches.popleft()

    @property
    def recent(self) -> list[Known]:
        """The last KEPT batches."""
        return list(self.batches)[-KEPT:]

    def rates(self, factors: tuple[Any, ...]) -> Verdict | None:
        """What comes of the learning rate times each factor, from here, or after a first "start", from the weights that
        the run began with; None if that cannot be tried."""
        if factors not in self.answers:
            numbers = [f for f in factors if f != "start"]
            self.answers[factors] = self.compare(learning_rates(numbers), start=len(numbers) < len(factors))
        return self.answers[factors]

    @property
    def ready(self) -> bool:
        """Can a step be made anew?"""
        return bool(self.usable) and len(self.batches) >= 2

    def compare(
        self,
        changes: Sequence[Change],
        start: bool = False,
        step: Step | None = None,
        score: Score | None = None,
        steps: int | None = None,
        repeats: int = REPEATS,
        patient: bool = False,
    ) -> Verdict | None:
        """Forks with each change, from here or from the first weights, on the batches that are kept; None if that
        cannot be tried, or would take over LIMIT seconds, or what is left of those that forks may take, with the
        fewest steps that say something and nobody is `patient`."""
        if not self.ready:
            return None
        kept, twins = self.recent, (self.model, self.optimizer)
        if start:
            if self.start is None:
                return None
            twins = self.begun()
        wanted = steps or (MORE if start else STEPS)
        most = min(LIMIT, self.left) / max(1e-9, self.seconds * repeats * (len(changes) + 1))
        if patient:
            most = wanted
        elif most < min(wanted, LEAST):
            short = f"{self.seconds:.2g} s a step is too long for them" if self.left > LIMIT else SHORT
            self.refused.add(f"forked runs were not made: {short}")
            return None
        count = int(min(wanted, most))
        batches = [[kept[(r * 5 + i * (r + 1)) % len(kept)] for i in range(count)] for r in range(repeats)]
        began = time.perf_counter()
        try:
            return what_if(*twins, step or self.step, batches, score or (lambda m: score_of(m, kept[::3])), changes)
        finally:
            self.left -= time.perf_counter() - began

    def step(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Known) -> float:
        """As the loop makes it, clipping included."""
        return take(model, optimizer, [batch], self.clip)

    def unclipped(self, model: nn.Module, optimizer: torch.optim.Optimizer, batch: Known) -> float:
        """The same without the loop's clipping."""
        return take(model, optimizer, [batch])

    def begun(self) -> tuple[nn.Module, torch.optim.Optimizer]:
        """Copies as the run began: the first weights and states, the modes that it trained in, and the highest
        learning rate that there was."""
        assert self.start is not None
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        model.load_state_dict(self.start, strict=False)
        for module, training in zip(model.modules(), self.modes):
            module.training = training
        optimizer.state.clear()
        if self.states:
            optimizer.load_state_dict({**optimizer.state_dict(), "state": copy.deepcopy(self.states)})
        high = max((rate(group) for group in optimizer.param_groups), default=0.0)
        for group in optimizer.param_groups:  # a head at three times the rate stays at that
            group["lr"] = self.top * (rate(group) / high if high > 0 else 1.0)
        return model, optimizer


def _fresh(optimizer: torch.optim.Optimizer) -> bool:
    """Has it taken no step yet? Adagrad has states from its making on."""
    steps = [state.get("step") for state in optimizer.state.values() if isinstance(state, dict)]
    return not optimizer.state or (bool(steps) and all(step is not None and float(step) == 0 for step in steps))


def _place(output: Any, found: Found) -> int | None:
    """Which of the tensors that the model gives the loss took; None if it took none as it is."""
    if found.scores is None:
        return None
    wanted = found.scores.detach().float()
    with torch.no_grad():
        for i, out in enumerate(tensors(output)):
            if out.shape != wanted.shape or not out.is_floating_point():
                continue
            own = F.log_softmax(out.detach().float(), found.dim) if found.kind == "classes" else out.detach().float()
            if torch.allclose(own, wanted, rtol=1e-3, atol=1e-4, equal_nan=True):
                return i
    return None


def loss_of(model: nn.Module, batch: Known, exact: bool = False) -> torch.Tensor:
    """The loss that was taken of a batch, anew."""
    out = batch.scores(model, exact)
    found = LOSSES[batch.kind](out.float() if out.dtype is torch.float16 else out, batch.targets, batch.dim)  # type: ignore[no-untyped-call]
    return found * batch.targets.numel() if batch.summed else found  # type: ignore[no-any-return]


def take(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Known],
    clip: float | None = None,
    zero: bool = True,
    loss: Callable[[nn.Module, Known], torch.Tensor] = loss_of,
) -> float:
    """A step on the mean over batches; their mean loss. None is taken if that is not finite."""
    if zero:
        optimizer.zero_grad()
    total = 0.0
    for batch in batches:
        value = loss(model, batch)
        total += float(value.detach()) / len(batches)
        if not math.isfinite(total):
            return total
        (value / len(batches)).backward()  # type: ignore[no-untyped-call]
    if clip is not None:
        nn.utils.clip_grad_norm_(model.parameters(), clip)
    optimizer.step()
    return total


def score_of(
    model: nn.Module, batches: Sequence[Known], loss: Callable[[nn.Module, Known], torch.Tensor] = loss_of
) -> list[float]:
    """In the mode that the model is in; what a forward pass does to its buffers is undone."""
    kept = [b.clone() for b in model.buffers()]
    with torch.no_grad():
        try:
            return [float(loss(model, batch)) for batch in batches]
        finally:
            for b, before in zip(model.buffers(), kept):
                b.copy_(before)
