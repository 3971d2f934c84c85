"""Which trials come next: a pure function of the plan and what is finished, the same after any stop.

A race is a sequence of rounds. The trials of a round depend on complete earlier rounds alone, never on which trial of
its own round ended first, so neither the number of workers nor a kill changes what is run:

    probe (budgets of time)  ->  search, or rungs  ->  two rounds that widen or go on  ->  confirm
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

from ..errors import RunError
from . import budget
from .design import points
from .dimension import Dimension
from .journal import Decision, Journal
from .plan import Plan
from .samplers import SAMPLERS, Finished
from .statistics import scores
from .trial import Setting, Trial, rounded, settings

EDGE = 0.1
"""The outer part of the learning rates, at either end, in which the best of them makes the range wider."""
PROBE_SECONDS = 0.5
"""A probe of fewer seconds is repeated with more epochs, up to a whole trial."""
COLD = 10.0
"""The first probe, in which much happens for the first time, is repeated unless it took so many seconds."""


@dataclass(frozen=True)
class Round:
    """Trials that do not depend on one another, and what the journal should be told when they begin."""

    name: str
    trials: tuple[Trial, ...]
    told: tuple[Decision, ...] = ()


@dataclass(frozen=True)
class Undecided:
    """A decision is due that depends on more than the plan; of the kind `budget`, by the seconds of `costs`."""

    costs: dict[str, float]
    spent: float


def next_step(plan: Plan, journal: Journal) -> Round | Undecided | None:
    """The first round that is not complete, or what must be decided before it is known; None at the end."""
    seen = Journal(decisions=journal.decisions)  # what a later round has found must not change an earlier one
    for step in _steps(plan, seen):
        if isinstance(step, Undecided) or journal.missing(step.trials):
            return step
        seen.records |= {trial: journal.records[trial] for trial in step.trials}
    return None


def expected(plan: Plan, journal: Journal) -> int | None:
    """How many trials the race has in all, as far as can be told now; None before a budget of time is decided."""
    bought = shares(plan, journal)
    if bought is None:
        return None
    trials, seeds = bought
    total = 0
    for name in plan.optimizers:
        count, repeats = trials[name], len(plan.search_seeds)
        points = budget.first_points(count, plan.rungs, repeats)
        for _ in plan.rungs or (plan.epochs,):
            total += points * repeats
            points = budget.promoted(points)
        total += 2 * (budget.kept_back(count) // repeats) * repeats + seeds
    short = [t for t in journal.records if t.stage == "probe" and t.epochs not in (plan.rungs or (plan.epochs,))]
    return total + len(short)


def shares(plan: Plan, journal: Journal) -> tuple[dict[str, int], int] | None:
    """Search trials of each optimizer and confirming seeds, with those that were added; None while undecided."""
    more = sum(d["more"] for d in journal.decisions if d["decision"] == "seeds")
    if plan.trials is not None and plan.seeds is not None:
        return dict.fromkeys(plan.optimizers, plan.trials), plan.seeds + more
    decided = journal.decision("budget")
    return None if decided is None else (decided["trials"], decided["seeds"] + more)


def added(plan: Plan, journal: Journal, more: int) -> Decision | None:
    """The decision that a finished race goes on with so many more seeds; None where one to that end is under way.

    Raises RunError for a race that is not finished otherwise."""
    if next_step(plan, journal) is None and journal.records:
        return {"decision": "seeds", "more": more}
    if journal.decision("seeds") is None:
        raise RunError(
            f"more seeds: {plan.task} has not finished its race in that folder, and only a finished one takes more; "
            "run it without --more-seeds first, or give --seeds"
        )
    return None


# ---- the rounds


def _steps(plan: Plan, journal: Journal) -> Iterator[Round | Undecided]:
    """Every step in turn, the next one asked for when the one before is complete and in the journal."""
    if plan.trials is None:
        yield from _probes(plan, journal)
    bought = shares(plan, journal)
    if bought is None:
        yield Undecided(*_costs(plan, journal))
        return
    searches = [Search(plan, journal, name, count) for name, count in bought[0].items()]
    yield from _together("search", searches, [search.first() for search in searches])
    for number in (1, 2):
        yield from _together(f"after-{number}", searches, [search.after() for search in searches])
    yield Round("confirm", tuple(t for name in plan.optimizers for t in _confirm(plan, journal, name, bought[1])))


def _together(name: str, told_by: list[Search], parts: list[Iterator[list[Trial]]]) -> Iterator[Round]:
    """The rounds of all optimizers side by side, the first of each, then the second, ..."""
    while rounds := [trials for part in parts if (trials := next(part, None)) is not None]:
        told = tuple(line for search in told_by for line in search.told)
        yield Round(name, tuple(trial for trials in rounds for trial in trials), told)


def _probes(plan: Plan, journal: Journal) -> Iterator[Round]:
    """One trial of each optimizer, longer and longer until its time can be told."""
    epochs = 1
    short = list(plan.optimizers)
    while short:
        seed = plan.search_seeds[0]
        trials = {name: _first_trial(plan, name, seed, epochs) for name in short}
        yield Round("probe", tuple(trials.values()))
        if epochs >= plan.epochs:
            return
        enough = COLD if epochs == 1 else PROBE_SECONDS
        short = [name for name, trial in trials.items() if wall(journal.records[trial]) < enough]
        epochs = min(epochs * 8, plan.epochs)


def _first_trial(plan: Plan, name: str, seed: int, epochs: int) -> Trial:
    point = points(plan.searched(name, 1), plan.race_seed, 0, 1)[0]
    return Trial(name, settings(point), seed, epochs, "probe")


def sample(plan: Plan, name: str, count: int) -> list[Trial]:
    """Some trials as the search of an optimizer will have them, to try how they train."""
    found = points(plan.searched(name, count), plan.race_seed, 1, count)
    return [Trial(name, settings(point), plan.search_seeds[0], plan.epochs) for point in found]


def wall(record: Mapping[str, Any]) -> float:
    """The seconds that a trial took a worker, scores and all; its part where it was trained with others."""
    return float(record["wall"] if "wall" in record else record["seconds"])


def _costs(plan: Plan, journal: Journal) -> tuple[dict[str, float], float]:
    """The seconds of a full trial of each optimizer, by its longest probe, and those that probing took."""
    probes = [(t, r) for t, r in journal.records.items() if t.stage == "probe"]
    steps = [r["steps"] / t.epochs for t, r in probes if not r["diverged"]]
    costs = {}
    for name in plan.optimizers:
        trial, record = max((p for p in probes if p[0].optimizer == name), key=lambda p: p[0].epochs)
        full = record["steps"] / trial.epochs if not record["diverged"] or not steps else median(steps)
        costs[name] = wall(record) / max(record["steps"], 1) * full * plan.epochs
    return costs, sum(wall(record) for _, record in probes)


def _confirm(plan: Plan, journal: Journal, name: str, seeds: int) -> list[Trial]:
    best = scores.chosen(plan, scores.of(journal.records.values(), name))
    if best is None:  # everything diverged: there is nothing to confirm
        return []
    return [Trial(name, best.settings, seed, plan.epochs, "confirm") for seed in plan.confirm_seeds(seeds)]


class Search:
    """The search of one optimizer: its rounds one after the other."""

    def __init__(self, plan: Plan, journal: Journal, name: str, trials: int):
        self.plan, self.journal, self.name = plan, journal, name
        self.points = budget.first_points(trials, plan.rungs, len(plan.search_seeds))
        self.later = budget.kept_back(trials) // len(plan.search_seeds)
        self.space = plan.searched(name, self.points + 2 * self.later)
        self.sampler = SAMPLERS[plan.sampler]
        self.asked = 0
        self.lr = next((d for d in self.space if d.name == "lr"), None)
        self.told: list[Decision] = []  # every widening and suggestion so far

    def first(self) -> Iterator[list[Trial]]:
        """All points at once, or as many as the sampler proposes at a time; then the rungs above the first."""
        rungs = self.plan.rungs or (self.plan.epochs,)
        tried: list[tuple[tuple[str, Setting], ...]] = []
        while self.asked < self.points:
            left = self.points - self.asked
            new = self._suggest(min(left, self.sampler.batch or left), rungs[0])
            tried += new
            yield self._trials(new, rungs[0], "search" if len(rungs) == 1 else "rung-1")
        for number, (before, epochs) in enumerate(pairwise(rungs), 2):
            tried = self._best(tried, before, budget.promoted(len(tried)))
            yield self._trials(tried, epochs, f"rung-{number}")

    def after(self) -> Iterator[list[Trial]]:
        """Beyond the edge of the learning rates, if the best is at one; else more points of the sequence."""
        if self.later == 0:
            return
        best = scores.chosen(self.plan, self._own())
        side = self._edge(best)
        if self.lr is None or side is None:
            yield self._trials(self._suggest(self.later, self.plan.epochs), self.plan.epochs, "search")
            return
        beyond = self.lr.beyond(side)
        self.lr = _joined(self.lr, beyond)
        self.told.append({"decision": "widen", "optimizer": self.name, "low": beyond.low, "high": beyond.high})
        others = {} if best is None else {k: v for k, v in best.settings if k != "lr"}
        rates = [beyond.at((i + 0.5) / self.later) for i in range(self.later)]
        yield self._trials([settings({**others, "lr": lr}) for lr in rates], self.plan.epochs, "widen")

    def _edge(self, best: scores.Tried | None) -> str | None:
        """Which edge the best learning rate is at; the lower one where all have diverged. A range that the user gave
        is not left."""
        if self.lr is None or self.lr.scale != "log" or self.lr.rank == 0:
            return None
        if best is None:
            return "low"
        rate = dict(best.settings).get("lr")
        if not isinstance(rate, int | float):
            return None
        place = self.lr.place(rate)
        return "low" if place < EDGE else "high" if place > 1 - EDGE else None

    def _own(self) -> list[scores.Record]:
        return scores.of(self.journal.records.values(), self.name)

    def _suggest(self, count: int, epochs: int) -> list[tuple[tuple[str, Setting], ...]]:
        start, self.asked = self.asked, self.asked + count
        if self.sampler.batch is None:
            return list(map(settings, self.sampler.suggest(self.space, [], self.plan.race_seed, start, count)))
        line = self.journal.decision("suggested", optimizer=self.name, start=start, count=count)
        if line is None:  # its last digits are the machine's, and it takes its time: so it is written down
            tried = scores.tried(self.plan, self._own(), epochs)
            finished: list[Finished] = [
                (dict(t.settings), t.validation) for t in sorted(tried, key=lambda t: repr(t.settings))
            ]
            found = self.sampler.suggest(self.space, finished, self.plan.race_seed, start, count)
            line = {"decision": "suggested", "optimizer": self.name, "start": start, "count": count, "points": found}
        self.told.append(line)
        return list(map(settings, line["points"]))

    def _trials(self, points: list[tuple[tuple[str, Setting], ...]], epochs: int, stage: str) -> list[Trial]:
        found = [Trial(self.name, point, seed, epochs, stage) for point in points for seed in self.plan.search_seeds]
        return list(dict.fromkeys(found))  # a space of few choices repeats itself

    def _best(
        self, points: list[tuple[tuple[str, Setting], ...]], epochs: int, count: int
    ) -> list[tuple[tuple[str, Setting], ...]]:
        """The best points of a rung, in the order in which they were proposed."""
        known = {t.settings: t for t in scores.tried(self.plan, self._own(), epochs)}
        ranked = sorted(points, key=lambda p: (-known[p].validation, known[p].loss, repr(p)))[:count]
        return [point for point in points if point in ranked]


def _joined(first: Dimension, other: Dimension) -> Dimension:
    low, high = min(first.low, other.low), max(first.high, other.high)
    return Dimension("lr", rounded(low), rounded(high), "log", first.rank, source=first.source)
