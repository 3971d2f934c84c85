"""What if: short runs forked from here, each with one thing changed, on the same batches; and what came of each."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from .. import rng
from ..errors import SettingError
from . import forks
from .forks import Change, Step

Score = Callable[[nn.Module], Sequence[float]]
"""The losses of a model on fixed batches that no fork trains on."""

FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)
EXPLODED = 3.0
AS_IS = Change("as it is", lr_factor=1.0)


def learning_rates(factors: Sequence[float] = FACTORS) -> list[Change]:
    """The learning rate times each factor, which are to be above 0; times 1 is the run as it is."""
    for factor in factors:
        if not (isinstance(factor, int | float) and 0 < factor < math.inf):
            raise SettingError(f"what if lr x {factor!r}: a factor is a number above 0, such as 0.3")
    return [Change(f"lr x {factor:g}", lr_factor=float(factor)) for factor in factors if factor != 1]


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


@dataclass
class Outcome:
    """What came of a change: the mean loss on the scored batches after the steps, one for each repeat (infinite where
    it diverged); how far that is above the run as it is, paired by repeat, with a 95 % interval (None for that run
    itself, and where a loss is infinite); whether it ends above where it began; and `apart`, the interval that the
    verdict goes by: of the logarithms where all losses are above 0, as one that is huge tells the more."""

    change: Change
    losses: list[float]
    against: Interval | None
    rises: bool
    apart: Interval | None = None

    @property
    def diverged(self) -> int:
        """In how many repeats."""
        return sum(not math.isfinite(loss) for loss in self.losses)

    @property
    def verdict(self) -> str:
        """better or worse than the run as it is, beyond doubt, or what else there is to say."""
        if self.diverged:
            return "diverged"
        if self.against is None:
            return "the run as it is" if self.change is AS_IS else "unknown"
        found = self.apart or self.against
        return "better" if found.high < 0 else "worse" if found.low > 0 else "cannot be told apart"


@dataclass
class Verdict:
    """What came of all changes, the run as it is first.

    Of factors on the learning rate: `safe` are the lowest and highest around the best that neither diverge nor end
    above where they began, `edge` the next one above, which does (None: none that high was tried), `best` has the
    lowest loss, `as_good` cannot be told apart from it."""

    steps: int
    start: float
    outcomes: list[Outcome]
    safe: tuple[float, float] | None = None
    edge: float | None = None
    best: float | None = None
    as_good: tuple[float, ...] = ()

    def __getitem__(self, name: str) -> Outcome:
        return next(o for o in self.outcomes if o.change.name == name)

    def __str__(self) -> str:
        width = max(len(o.change.name) for o in self.outcomes)
        head = f"{'':{width}}  loss after {self.steps} steps from {self.start:.4g}, and against the run as it is"
        return "\n".join([head, *(_line(o, width) for o in self.outcomes), *_sentences(self)])


def what_if(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: Step,
    batches: Sequence[Sequence[Any]],
    score: Score,
    changes: Sequence[Change],
) -> Verdict:
    """Fork the run once for each change and once for none, take the steps, score, and throw the forks away.

    `batches` has a list of batches for each repeat, 5 say, each as long as there are steps. All changes see the same
    batches with the same random numbers, so that what differs is the change. Model, optimizer and random numbers are
    left as they are, bit for bit: the forks are copies. Costs (changes + 1) times repeats times steps, and one copy of
    the model and its states at a time. Intervals are Student's over the repeats.

    Raises SettingError for a change that does not fit the optimizer."""
    if not batches or not all(batches):
        raise SettingError("what if: no batches are given; give a list of them for each repeat")
    names = [change.name for change in (AS_IS, *changes)]
    if len(set(names)) < len(names):
        raise SettingError(f"what if: two changes are called alike ({', '.join(names)}); name each once")
    with rng.kept():
        state = rng.capture()
        start = mean_loss(score(copy.deepcopy(model)))
        losses: list[list[float]] = []
        for change in (AS_IS, *changes):
            losses.append([])
            for repeat in batches:
                rng.restore(state)
                twin = forks.run(model, optimizer, step, repeat, change)
                losses[-1].append(math.inf if twin is None else mean_loss((change.score or score)(twin)))
    outcomes = [
        Outcome(
            change,
            own,
            None if change is AS_IS else paired(own, losses[0]),
            _rises(own, start),
            None if change is AS_IS else paired(*_levelled(own, losses[0])),
        )
        for change, own in zip((AS_IS, *changes), losses)
    ]
    return _judged(Verdict(len(batches[0]), start, outcomes))


# ---- numbers

# Student's t at 97.5 %, by degrees of freedom: the few that repeats have, so that scipy stays an extra.
T975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145)


def mean_loss(values: Sequence[float]) -> float:
    """Infinite where one is not finite: what diverged in one repeat did diverge."""
    return math.fsum(values) / len(values) if all(map(math.isfinite, values)) else math.inf


def student(values: Sequence[float]) -> Interval | None:
    """The mean with Student's 95 % interval; None of fewer than two values, or of one that is not finite."""
    n = len(values)
    if n < 2 or not all(map(math.isfinite, values)):
        return None
    mean = mean_loss(values)
    spread = math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (n - 1))
    half = (T975[n - 2] if n - 2 < len(T975) else 1.96 + 2.4 / (n - 1)) * spread / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)


def paired(ours: Sequence[float], theirs: Sequence[float]) -> Interval | None:
    """The interval of the differences, repeat by repeat."""
    return student([a - b for a, b in zip(ours, theirs)])


def _levelled(*series: Sequence[float]) -> tuple[Sequence[float], ...]:
    """Their logarithms, where all are finite and above 0."""
    if all(0 < x < math.inf for each in series for x in each):
        return tuple([math.log(x) for x in each] for each in series)
    return series


def _rises(losses: Sequence[float], start: float) -> bool:
    """Beyond doubt in the mean, or to three times the start in some repeat."""
    if start > 0 and max(losses) > EXPLODED * start:
        return True
    found = paired(*_levelled(losses, [start] * len(losses)))
    return mean_loss(losses) > start if found is None else found.low > 0


def _judged(verdict: Verdict) -> Verdict:
    """With what the changes of the learning rate alone say together."""
    of = {o.change.lr_factor: o for o in verdict.outcomes if o.change.lr_factor is not None and not o.change.settings}
    factors = sorted(f for f in of if f is not None)
    held = [f for f in factors if not of[f].diverged and not of[f].rises]
    if len(factors) < 2 or not held:
        verdict.edge = factors[0] if len(factors) > 1 else None
        return verdict
    best = min(held, key=lambda f: mean_loss(of[f].losses))
    low = high = factors.index(best)
    while low > 0 and factors[low - 1] in held:
        low -= 1
    while high + 1 < len(factors) and factors[high + 1] in held:
        high += 1
    verdict.safe, verdict.best = (factors[low], factors[high]), best
    verdict.edge = factors[high + 1] if high + 1 < len(factors) else None
    verdict.as_good = tuple(f for f in held if f == best or not _above(of[f].losses, of[best].losses))
    return verdict


def _above(losses: Sequence[float], best: Sequence[float]) -> bool:
    found = paired(*_levelled(losses, best))
    return found is not None and found.low > 0


# ---- words


def _line(outcome: Outcome, width: int) -> str:
    name = f"{outcome.change.name:{width}}"
    if outcome.diverged:
        return f"{name}  diverged in {outcome.diverged} of {len(outcome.losses)}"
    text = f"{name}  {mean_loss(outcome.losses):.4g}"
    if outcome.against is None:
        return text
    half = outcome.against.high - outcome.against.mean
    return f"{text}  {outcome.against.mean:+.2g} ± {half:.1g}, {outcome.verdict}"


def _sentences(verdict: Verdict) -> Iterator[str]:
    if verdict.safe is None:
        if verdict.edge is not None:
            yield "No learning rate that was tried is safe: all end above where they began, or diverge."
        return
    low, high = verdict.safe
    beyond = "nothing higher was tried"
    if verdict.edge is not None:
        beyond = f"x {verdict.edge:g} is too high, so that the edge lies between x {high:g} and x {verdict.edge:g}"
    yield f"Safe learning rates: x {low:g} to x {high:g}; {beyond}."
    others = ", ".join(f"x {f:g}" for f in verdict.as_good if f != verdict.best)
    yield f"Best: x {verdict.best:g}" + (f", which cannot be told apart from {others}." if others else ".")
