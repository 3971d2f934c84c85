"""The run made again from its first weights, at other learning rates, and scored on samples it did not train on.

A short fork from here says what the next steps bring. What a run has lost by its learning rate, and whether anything
can be learned of its data, shows in the whole of it. So the samples of the batches that are kept are dealt anew: a
fifth is held out, the others are trained on for as many steps as the run took, with its schedule. All rates see the
same batches and random numbers."""

from __future__ import annotations

import copy
import math
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import median

import torch
from torch import nn

from .. import rng
from ..modes import evaluating
from .forks import Change, changed
from .probes.batch import Known, joined
from .probes.trial import LIMIT, SHORT, Trial, loss_of, take
from .signals import steady_factor
from .whatif import mean_loss

FOLDS = 5
FEW = 300
"""Samples: of fewer every fold is held out once; of more, REPEATS folds."""
REPEATS = 2
PASSES = 1.0
"""Over the samples at most, where they are a part of the data: more would learn them by heart, as the run cannot."""
LOOKS = 8
"""At the held-out loss on the way."""
LEARNED = 0.97
"""Of the loss at the start: what does not come below that has learned nothing that held-out samples know of."""
SHORTEST = 0.2
"""Of the loss at the start: a way down that is shorter is taken to be that long, so that little is not made much of."""
LEAST = 30
"""Steps: a shorter run says nothing about the whole of one."""
SHARE, QUICK = 0.5, 20.0
"""What all of it may take: that part of the run's own time, QUICK seconds at least, LIMIT at most, and no more than is
left to all forks."""


@dataclass(frozen=True)
class Made:
    """One run: its loss on the samples that were held out, and on those it trained on; the lowest that the first had
    been on the way; how many answers are right, of how many (none where there are no classes). Infinite where it
    diverged."""

    held: float
    trained: float
    low: float
    right: int = 0
    of: int = 0


@dataclass
class Again:
    """What came of it, for each factor on the learning rate a run for each fold; `start` is the held-out loss of the
    first weights. `whole`: they took half the steps of the run or more, on what stands for all of its data."""

    steps: int
    whole: bool
    start: float
    runs: dict[float, list[Made]] = field(default_factory=dict)

    def held(self, factor: float) -> float:
        """The held-out loss, in the mean over folds."""
        return mean_loss([made.held for made in self.runs[factor]])

    def trained(self, factor: float) -> float:
        """The loss on samples that were trained on."""
        return mean_loss([made.trained for made in self.runs[factor]])

    def gain(self, factor: float, early: bool = False) -> float:
        """How much lower the held-out loss comes by a factor than by the rate as it was, in parts of the way down from
        the start; nan where folds do not agree on which is lower. `early`: each where it was lowest."""
        low, other = ([made.low if early else made.held for made in self.runs[f]] for f in (factor, 1.0))
        if not mean_loss(low) < LEARNED * self.start or any(a >= b for a, b in zip(low, other)):
            return math.nan
        way = max(self.start - mean_loss(low), SHORTEST * abs(self.start))
        return (mean_loss(other) - mean_loss(low)) / way

    def right(self, factor: float) -> tuple[int, int]:
        """Right answers to samples that were held out, of how many."""
        return sum(made.right for made in self.runs[factor]), sum(made.of for made in self.runs[factor])


class Maker:
    """Makes the run again, once for each rate that is asked for."""

    def __init__(self, trial: Trial, rates: Sequence[float], batches: float):
        """`rates` are the learning rates of the run's steps; `batches` how many batches go into a step."""
        self.trial, self.rates = trial, list(rates)
        self.found: Again | None = None
        self.samples = Samples.of(trial)
        if self.samples is None or trial.start is None or len(self.rates) < LEAST:
            self.samples = None
            return
        s = self.samples
        self.size = int(min(s.batch * max(1.0, batches), 0.8 * s.count))
        self.folds = FOLDS if s.count < FEW else REPEATS
        run = len(self.rates)
        most = run if s.all else int(PASSES * 0.8 * s.count / max(1, self.size))
        seconds = min(LIMIT, max(QUICK, SHARE * trial.seconds * run), trial.left)
        most = min(most, int(seconds / (3 * self.folds * max(1e-9, trial.seconds))))
        self.steps = min(run, most)
        if self.steps < LEAST:
            short = f"{trial.seconds:.2g} s a step is too long for that" if trial.left > LIMIT else SHORT
            trial.refused.add(f"the run was not made again: {short}")
            self.samples = None

    def __call__(self, factors: Sequence[float], held: bool = False) -> Again | None:
        """The runs at these factors, those made before with them; None where it cannot be made. With `held` the rate
        stays where it was highest instead of following the run's."""
        if self.samples is None:
            return None
        began = time.perf_counter()
        with rng.kept():
            if self.found is None:
                whole = self.samples.all and self.steps >= 0.5 * len(self.rates)
                start = [self._score(self._twin(1.0)[0], fold)[0] for fold in range(self.folds)]
                self.found = Again(self.steps, whole, mean_loss(start))
            found = Again(self.found.steps, self.found.whole, self.found.start) if held else self.found
            for factor in factors:
                if factor not in found.runs:
                    found.runs[factor] = [self._run(factor, fold, held) for fold in range(self.folds)]
        self.trial.left -= time.perf_counter() - began
        return found

    @cached_property
    def neighbours(self) -> tuple[int, int]:
        """Of how many samples the nearest other one, by its first tensor, has the same class; of how many. None are
        counted where that tensor is not of floats or targets are no classes, one each."""
        found = self.samples
        if found is None or found.whole.kind not in ("classes", "binary") or found.whole.each != 1:
            return 0, 0
        places = [i for fold in found.folds for i in fold]
        inputs, targets = found.whole.tensors[0][places].detach(), found.whole.targets[places]
        if not inputs.is_floating_point() or targets.numel() != len(places):
            return 0, 0
        apart = torch.cdist(inputs.flatten(1).float(), inputs.flatten(1).float()).fill_diagonal_(math.inf)
        return int((targets.flatten()[apart.argmin(1)] == targets.flatten()).sum()), len(places)

    def _twin(self, factor: float) -> tuple[nn.Module, torch.optim.Optimizer]:
        model, optimizer = self.trial.begun()
        return model, changed(model, optimizer, Change(f"lr x {factor:g}", lr_factor=factor))

    def _run(self, factor: float, fold: int, held: bool) -> Made:
        rng.start(fold)
        model, optimizer = self._twin(factor)
        follow = _follower(optimizer, self.rates, self.steps, held)
        low = math.inf
        for step, batch in enumerate(self.samples.draw(fold, self.size, self.steps), 1):  # type: ignore[union-attr]
            follow(step - 1)
            if not math.isfinite(take(model, optimizer, [batch], self.trial.clip)):
                return Made(math.inf, math.inf, low)
            if step * LOOKS // self.steps > (step - 1) * LOOKS // self.steps and step < self.steps:
                low = min(low, self._score(model, fold)[0])
        end, right, of = self._score(model, fold)
        return Made(end, self._score(model, fold, held=False)[0], min(low, end), right, of)

    def _score(self, model: nn.Module, fold: int, held: bool = True) -> tuple[float, int, int]:
        """Loss and right answers, as evaluated; the modes are put back."""
        assert self.samples is not None
        with evaluating(model), torch.no_grad():
            return _measured(model, self.samples.parts(fold, held, self.size))


def _measured(model: nn.Module, batches: Iterator[Known]) -> tuple[float, int, int]:
    total, count, right, of = 0.0, 0, 0, 0
    for batch in batches:
        value = float(loss_of(model, replace(batch, summed=False)))
        total, count = total + value * batch.samples, count + batch.samples
        if batch.kind in ("classes", "binary"):
            scores, wanted = batch.scores(model), batch.targets.flatten()
            said = scores.argmax(batch.dim) if batch.kind == "classes" else scores > 0
            right, of = right + int((said.flatten() == wanted).sum()), of + wanted.numel()
    return (total / count if math.isfinite(total) else math.inf), right, of


def _follower(
    optimizer: torch.optim.Optimizer, rates: Sequence[float], steps: int, held: bool
) -> Callable[[int], None]:
    """Sets the rate of each step as the run had it, stretched over as many steps; a schedule of the optimizer's own
    does that itself."""
    own = any("lr" in scheduled for scheduled in getattr(optimizer, "schedules", ()))
    top = max((x for x in rates if math.isfinite(x)), default=0.0)
    if own or not top > 0 or held or steady_factor(rates):
        return lambda step: None
    highest = [group["lr"] for group in optimizer.param_groups]

    def follow(step: int) -> None:
        share = rates[step * len(rates) // steps] / top
        for group, lr in zip(optimizer.param_groups, highest):
            group["lr"] = lr * share if math.isfinite(share) else lr

    return follow


class Samples:
    """The distinct samples of some batches, in folds by a checksum of their bytes, so that none is in two."""

    def __init__(self, whole: Known, folds: list[list[int]], batch: int, every: bool):
        self.whole, self.folds, self.batch = whole, folds, batch
        self.count = sum(map(len, folds))
        self.all = every  # they came more than once: these are (nearly) all that the run has

    @classmethod
    def of(cls, trial: Trial) -> Samples | None:
        """None where tensors do not have samples as rows, or there are too few to hold some out."""
        flat = any(batch.targets.ndim and len(batch.targets) != batch.samples for batch in trial.batches)
        twin = copy.deepcopy(trial.model).eval() if flat else trial.model
        kept = [each for batch in trial.batches if (each := _by_sample(batch, twin)) is not None]
        if not trial.ready or len(kept) < len(trial.batches):
            return None
        whole = joined(kept)
        if whole is None:
            return None
        rows = whole.tensors[0].detach().cpu()
        first: dict[int, int] = {}
        for i in range(whole.samples):
            first.setdefault(zlib.crc32(rows[i].contiguous().flatten().view(torch.uint8).numpy().tobytes()), i)
        folds: list[list[int]] = [[] for _ in range(FOLDS)]
        for key, i in first.items():
            folds[zlib.crc32(str(key).encode()) % FOLDS].append(i)
        if min(map(len, folds)) < 2:
            return None
        size = int(median(batch.samples for batch in kept))
        return cls(whole, folds, size, len(first) < 0.95 * whole.samples)

    def draw(self, fold: int, size: int, steps: int) -> Iterator[Known]:
        """Batches of what is not held out, epoch by epoch in an order of its own."""
        own = [i for k, places in enumerate(self.folds) if k != fold for i in places]
        size, generator = min(size, len(own)), torch.Generator().manual_seed(fold)
        order: list[int] = []
        for _ in range(steps):
            if len(order) < size:
                order = torch.randperm(len(own), generator=generator).tolist()
            places, order = order[:size], order[size:]
            yield self._rows([own[i] for i in places])

    def parts(self, fold: int, held: bool, size: int) -> Iterator[Known]:
        """What is held out, or as many of the others, in batches."""
        places = self.folds[fold] if held else self.folds[(fold + 1) % FOLDS]
        size = max(size, 64)
        for i in range(0, len(places), size):
            yield self._rows(places[i : i + size])

    def _rows(self, places: list[int]) -> Known:
        found = self.whole.rows(places)
        assert found is not None
        return found


def _by_sample(batch: Known, twin: nn.Module) -> Known | None:
    """The batch with how many targets each sample has, if scores stand in the order of the samples.

    Texts often have theirs flattened, one behind the other; whether so is seen by what the model says of one of them
    alone."""
    size = batch.samples
    if not size or any(t.ndim == 0 or len(t) != size for t in batch.tensors) or batch.targets.ndim == 0:
        return None
    each, rest = divmod(len(batch.targets), size)
    if rest or not each:
        return None
    found = replace(batch, each=each)
    if each == 1:
        return found
    kept = found.rows([size - 1])
    assert kept is not None
    with torch.no_grad():
        alone, all_of_them = kept.scores(twin), batch.scores(twin)
    same = torch.allclose(alone.float(), all_of_them[-each:].float(), rtol=1e-3, atol=1e-4)
    return found if same else None
