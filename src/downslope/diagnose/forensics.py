"""A spike of the loss, replayed on a fork from the copy before it, with one thing otherwise each time; and its causes,
ranked by what takes the spike away.

Four causes, each with its own experiment. A bad batch: the same weights on the batches around it; or the step before
without its batch, if that batch's gradient is far above those of the others. A stale second moment: the steps before it
with a second moment that knows their gradients. The learning rate at its edge: the steps before it at 0.3 of the rate.
Overflow: an operation in half precision that leaves its range, and the same pass in float32.

Costs some dozens of steps, made when a report is asked for. The run itself is not touched."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

import torch
from torch import nn

from .. import rng
from .probes.batch import Known
from .probes.origin import first
from .probes.ring import AFTER, Entry, Kept
from .probes.trial import loss_of

SAME = 0.02
"""How far a replayed loss may be off the one seen, in parts of it: a few roundings, no other dropout mask."""
OUTLIER, STALE = 4.0, 4.0
"""Gradient of a batch over that of the others; mean square of a gradient over its second moment."""
BACK = 4  # steps before the spike that an experiment changes
RATE = 0.3
MANY = 1_000_000  # elements of a parameter beyond which they are thinned
WORST = 3  # rows of a bad batch that are named


@dataclass(frozen=True)
class Cause:
    """One cause of a spike: which (`bad batch`, `stale second moment`, `learning rate`, `overflow`), how much of the
    spike its experiment takes away or explains (0 to 1), in words, and what to do."""

    name: str
    share: float
    words: str
    remedy: str


@dataclass
class Inquest:
    """What a replay of a spike found. `causes` are ranked; the figures are those of the experiments."""

    step: int
    causes: list[Cause] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


Fork = tuple[nn.Module, torch.optim.Optimizer]
Before = Callable[[torch.optim.Optimizer], None]


def inquire(kept: Kept, model: nn.Module, optimizer: torch.optim.Optimizer, clip: float | None) -> Inquest | str:
    """Replay a spike and rank its causes; or why that cannot be done. `clip` is what the loop clips gradients to."""
    if not kept.whole:
        return "the loop has written over its batches since"
    at = kept.at
    if at < 1:
        return "no step before it was kept"
    case = _Case(kept, at, model, optimizer, clip)
    with rng.kept():
        case.weigh()
        replayed = case.losses()
        seen = [entry.loss for entry in kept.entries[: at + 1]]
        off = max(abs(a - b) / max(abs(b), 1e-12) for a, b in zip(replayed, seen))
        if not off <= SAME:
            return f"a replay does not give the same losses ({off:.1%} off): the loop does more than can be seen"
        return _judged(case)


@dataclass
class _Case:
    kept: Kept
    at: int
    model: nn.Module
    optimizer: torch.optim.Optimizer
    clip: float | None
    weight: float = 1.0  # of each of several batches of a step, as the loop divides its loss

    def weigh(self) -> None:
        entry = self.kept.entries[0]
        with self.fork() as (model, _):
            batch = entry.batches[0]
            _draw(batch)
            with torch.no_grad():
                share = batch.value / float(loss_of(model, batch, exact=True))
        self.weight = 1 / len(entry.batches) if abs(share * len(entry.batches) - 1) < SAME else 1.0

    @contextmanager
    def fork(self) -> Iterator[Fork]:
        """Copies as they were at the beginning of the kept steps."""
        model, optimizer = copy.deepcopy((self.model, self.optimizer))
        model.load_state_dict(self.kept.begin.model)
        optimizer.load_state_dict(copy.deepcopy(self.kept.begin.optimizer))
        model.train()
        yield model, optimizer

    def losses(self, before: Before | None = None, left_out: int = -1, rate: float = 1.0) -> list[float]:
        """The losses up to the spike, with something otherwise in the last steps before it."""
        found = []
        with self.fork() as fork:
            for i, entry in enumerate(self.kept.entries[: self.at]):
                late = i >= self.at - BACK
                if i == left_out:
                    found.append(math.nan)
                else:
                    found.append(self.step(fork, entry, *((rate, before) if late else ())))
            return [*found, self.loss(fork[0], self.kept.entries[self.at])]

    def step(self, fork: Fork, entry: Entry, rate: float = 1.0, before: Before | None = None) -> float:
        model, optimizer = fork
        for group, lr in zip(optimizer.param_groups, entry.rates):
            if isinstance(group.get("lr"), torch.Tensor):
                group["lr"].fill_(lr * rate)
            elif "lr" in group and math.isfinite(lr):
                group["lr"] = lr * rate
        value = self.gradient(model, entry)
        if self.clip is not None:
            nn.utils.clip_grad_norm_(model.parameters(), self.clip)
        if before is not None:
            before(optimizer)
        optimizer.step()
        return value

    def gradient(self, model: nn.Module, entry: Entry) -> float:
        """Fill in the gradients of a step; its loss."""
        model.zero_grad()
        total = 0.0
        for batch in entry.batches:
            _draw(batch)
            loss = loss_of(model, batch, exact=True)
            (loss * self.weight).backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total * self.weight / len(entry.batches)

    @torch.no_grad()
    def loss(self, model: nn.Module, entry: Entry) -> float:
        """In training mode, as the loop had it; buffers are put back."""
        held = [b.clone() for b in model.buffers()]
        values = []
        for batch in entry.batches:
            _draw(batch)
            values.append(float(loss_of(model, batch, exact=True)))
        for b, before in zip(model.buffers(), held):
            b.copy_(before)
        return sum(values) * self.weight / len(values)

    def before_spike(self, back: int = 0) -> Fork:
        """The fork with the weights of the spike, or of so many steps earlier."""
        with self.fork() as fork:
            for entry in self.kept.entries[: self.at - back]:
                self.step(fork, entry)
            return fork


def _draw(batch: Known) -> None:
    if batch.state is not None:
        torch.set_rng_state(batch.state)


def _judged(case: _Case) -> Inquest:
    kept, at = case.kept, case.at
    spike, others = kept.entries[at], [e for i, e in enumerate(kept.entries) if 0 < abs(i - at) <= AFTER]
    height = kept.loss - kept.usual

    def gone(loss: float) -> float:
        """How much of the spike is away."""
        return min(1.0, max(0.0, (kept.loss - loss) / height)) if math.isfinite(loss) else 0.0

    there, _ = case.before_spike()
    around = median(case.loss(there, e) for e in others)
    own = gone(around)  # the others are low at the same weights: it is this batch alone
    then, optimizer = case.before_spike(back=1)
    thrower = kept.entries[at - 1]
    case.gradient(then, thrower)
    stale = _staleness(optimizer)
    norm = _norm(then)
    usual = median([_norm_of(case, then, e) for e in others if e is not thrower] or [math.nan])
    outlier = norm / usual if usual > 0 else math.nan

    figures: dict[str, Any] = {
        "spike": kept.loss,
        "usual": kept.usual,
        "other_batches_at_the_same_weights": around,
        "gradient_before_over_that_of_other_batches": outlier,
        "staleness": stale,
        "batches": [b.fingerprint for b in spike.batches],
    }
    thrown = 1.0 - own
    slower = case.losses(rate=RATE)[-1]
    without = case.losses(left_out=at - 1)[-1]
    figures |= {"at_0.3_of_the_rate": slower, "without_the_batch_before": without}
    half = _overflow(case, then, there, gone, figures)
    causes = [half]
    before = gone(without) if outlier > OUTLIER else 0.0
    batch = max(own, thrown * before) * (0.5 if half.share > 0.5 else 1.0)  # the batch that overflowed is not bad
    rows = _rows(there, spike) if own >= thrown * before else ""
    where = f"step {kept.step}" if own >= thrown * before else f"step {kept.step - 1}"
    causes.append(
        Cause(
            "bad batch",
            batch,
            f"a bad batch at {where}: "
            + (f"at the same weights the batches around it have {around:.3g}{rows}" if own >= thrown * before
               else f"its gradient is {outlier:.3g} times that of others, and without it the loss is {without:.3g}"),
            f"look at the samples of {where}: labels, scale, missing values; or clip the gradient by its norm",
        )
    )  # fmt: skip
    cured = 0.0
    if stale > STALE:
        refreshed = case.losses(_refresh)[-1]
        figures["with_a_fresh_second_moment"] = refreshed
        cured = thrown * gone(refreshed) * (0.3 if outlier > OUTLIER else 1.0)
        causes.append(
            Cause(
                "stale second moment",
                cured,
                f"a stale second moment: gradients had been small, then had {stale:.3g} times the square that it "
                f"remembers; one that knows them gives {refreshed:.3g}",
                "a lower beta2 (0.95), a larger eps, or clip the gradient by its norm",
            )
        )
    causes.append(
        Cause(
            "learning rate",
            thrown * gone(slower) * (0.5 if max(cured, thrown * before) > 0.5 else 1.0),
            f"the learning rate is at its edge: at {RATE} of it in the {min(BACK, at)} steps before, the loss is "
            f"{slower:.3g}",
            "lower the learning rate there, or clip the gradient by its norm",
        )
    )
    causes.sort(key=lambda cause: -cause.share)
    return Inquest(kept.step, [cause for cause in causes if cause.share > 0.05], figures)


def _overflow(case: _Case, then: nn.Module, there: nn.Module, gone: Any, figures: dict[str, Any]) -> Cause:
    """An operation in half precision whose result is out of range, at the spike or just before."""
    at = case.at
    for model, entry in ((there, case.kept.entries[at]), (then, case.kept.entries[at - 1])):
        found = next(filter(None, (_out_of_range(model, batch) for batch in entry.batches)), None)
        if found is None:
            continue
        full = _in_full(there, case.kept.entries[at])
        share = 1.0 if math.isnan(full) else gone(full)  # where it cannot be tried, the overflow is a fact all the same
        figures |= {"overflow": found} | ({} if math.isnan(full) else {"in_float32": full})
        layer = f" in {found['layer']}" if found["layer"] else ""
        words = f"overflow in {found['dtype']}: {found['operation']}{layer}, from {found['largest_input']:.3g}"
        words += f"; in float32 the loss is {full:.3g}" if share > 0.5 and not math.isnan(full) else ""
        return Cause("overflow", share, words, "keep that operation in float32 or bfloat16, or scale its inputs")
    return Cause("overflow", 0.0, "", "")


def _out_of_range(model: nn.Module, batch: Known) -> dict[str, Any] | None:
    found = first(model, batch)
    return found if found is not None and found["dtype"] in ("float16", "bfloat16") else None


def _in_full(model: nn.Module, entry: Entry) -> float:
    """The loss in float32; nan where the model's own casts do not allow it."""
    twin = copy.deepcopy(model).float()
    batches = [replace(batch, autocast=None) for batch in entry.batches]
    try:
        if any(_out_of_range(twin, batch) for batch in batches):
            return math.nan
        with torch.no_grad():
            return sum(float(loss_of(twin, batch)) for batch in batches) / len(batches)
    except RuntimeError:
        return math.nan


def _rows(model: nn.Module, entry: Entry) -> str:
    """The samples of a batch with the highest losses, by their places in it."""
    if len(entry.batches) != 1:
        return ""
    batch = entry.batches[0]
    held = model.training
    model.eval()  # batch norm alone would mix the rows
    try:
        values = []
        for i in range(min(batch.samples, 256)):
            row = batch.rows([i])
            if row is None:
                return ""
            with torch.no_grad():
                values.append((float(loss_of(model, row, exact=True)), i))
    except (RuntimeError, ValueError):
        return ""
    finally:
        model.train(held)
    values.sort(reverse=True)
    return f"; highest in its rows {', '.join(str(i) for _, i in values[:WORST])}"


def _norm(model: nn.Module) -> float:
    return math.sqrt(math.fsum(float(p.grad.double().square().sum()) for p in model.parameters() if p.grad is not None))


def _norm_of(case: _Case, model: nn.Module, entry: Entry) -> float:
    case.gradient(model, entry)
    return _norm(model)


def _staleness(optimizer: torch.optim.Optimizer) -> float:
    """Square of the gradient over its second moment, corrected for its start, in the median of the gradient's energy:
    half of the squares are in elements that have this ratio or more."""
    ratios, squares = [torch.zeros(1, dtype=torch.float64)], [torch.zeros(1, dtype=torch.float64)]
    for p, v, root in _moments(optimizer):
        if p.grad is not None:
            stride = max(1, p.numel() // MANY)
            square = p.grad.detach().flatten()[::stride].double().square()
            ratios.append(square / (v.flatten()[::stride].double() / root).clamp(min=1e-300))
            squares.append(square * stride)
    ratio, square = torch.cat(ratios).cpu(), torch.cat(squares).cpu()
    order = ratio.argsort()
    energy = square[order].cumsum(0)
    return float(ratio[order][int((energy < energy[-1] / 2).sum())]) if energy[-1] > 0 else 0.0


def _moments(optimizer: torch.optim.Optimizer) -> Iterator[tuple[torch.Tensor, torch.Tensor, float]]:
    """(parameter, second moment, what it is to be divided by)."""
    for group in optimizer.param_groups:
        betas = group.get("betas")
        beta2 = float(betas[1]) if isinstance(betas, tuple | list) and len(betas) > 1 else 0.0
        for p in group["params"]:
            state = optimizer.state.get(p, {})
            v, t = state.get("exp_avg_sq"), state.get("step")
            if isinstance(v, torch.Tensor) and v.shape == p.shape:
                yield p, v, 1.0 - beta2 ** max(1.0, float(t)) if t is not None else 1.0


def _refresh(optimizer: torch.optim.Optimizer) -> None:
    """Make the second moment know the gradient that is about to be used."""
    for p, v, root in _moments(optimizer):
        if p.grad is not None:
            v.copy_(torch.maximum(v, (p.grad.square() * root).to(v.dtype)))
