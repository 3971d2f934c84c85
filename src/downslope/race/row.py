"""One row of the board: what a race says of one optimizer."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Sequence
from typing import Any

from .code import code
from .statistics import scores, t_interval, tolerance
from .statistics.bootstrap import budget_curve
from .statistics.scores import Plan, Record, Tried
from .statistics.stability import stability_limit

FEWEST = 3  # learning rates of which a tolerance is told
EDGE = 0.1  # of the range of learning rates, at each end, on the log scale


def make_row(
    plan: Plan, name: str, rank: int, records: Sequence[Record], picked: Tried | None, confirmed: Sequence[Record]
) -> dict[str, Any]:
    """A row of the board: an optimizer's `records`, what its search `picked`, its `confirmed` runs.

    What needs the other rows, or the journal's decisions, is empty here: `widened`, `undertuned`, `time_to_target`.
    """
    part, side = scores.scored_part(plan), scores.sign(plan)
    found = scores.tried(plan, records)
    settings = dict(picked.settings) if picked else {}
    costing = confirmed or [r for r in records if picked and scores.settings_of(r) == picked.settings]
    steps = max((r["steps"] for r in costing if not r["diverged"]), default=None)
    return {
        "rank": rank,
        "optimizer": name,
        "settings": settings,
        "schedule": settings.get("schedule", plan.schedule),
        "score": _score(side, [scores.goodness(plan, r, part) for r in confirmed], scores.fixed(confirmed)),
        "validation": side * picked.validation if picked else None,
        "search_trials": len(found),
        "finished": len(records),
        "diverged": sum(r["diverged"] for r in records),
        "diverged_share": plain.fmean(r["diverged"] for r in records),
        "diverged_confirmed": sum(r["diverged"] for r in confirmed),
        "stability_limit": _limit(records),
        "lr_tolerance": _tolerance(plan, found) if picked else None,
        "at_edge": _edge(plan, name, found, settings.get("lr")) is not None,
        "edge": _edge(plan, name, found, settings.get("lr")),
        "widened": 0,
        "undertuned": [],
        "time_to_target": None,
        "seconds": plain.median(r["seconds"] for r in costing) if costing else None,
        "state_bytes": max((r["state_bytes"] or 0 for r in costing), default=None),
        "budget_curve": _curve(plan, drawn(plan, records)),
        "code": code(name, settings, plan.schedule, plan.warmup, steps, plan.origins.get(name)) if steps else None,
    }


def _score(side: int, values: Sequence[float], fixed: bool) -> dict[str, Any]:
    """The mean over seeds with its interval; no interval where coarse scores are equal by accident, not because seeds
    change nothing."""
    if not values:
        return {"mean": None, "low": None, "high": None, "by_seed": []}
    mean, low, high = t_interval(values)
    if min(values) == max(values) and not fixed:
        low = high = None
    low, high = (low, high) if side > 0 else (high, low)
    return {
        "mean": side * mean,
        "low": None if low is None else side * low,
        "high": None if high is None else side * high,
        "by_seed": [side * value for value in values],
    }


def _rates(records: Sequence[Record]) -> list[tuple[float, Record]]:
    return [(r["trial"]["settings"]["lr"], r) for r in records if r["trial"]["settings"].get("lr")]


def _limit(records: Sequence[Record]) -> dict[str, Any] | None:
    rated = _rates(records)
    found = stability_limit([lr for lr, _ in rated], [r["diverged"] for _, r in rated])
    return None if found is None else found._asdict()


def _tolerance(plan: Plan, found: Sequence[Tried]) -> dict[str, Any] | None:
    rated = [(dict(t.settings)["lr"], t) for t in found if t.epochs >= plan.epochs and dict(t.settings).get("lr")]
    if len({lr for lr, _ in rated}) < FEWEST:
        return None
    values = [t.validation for _, t in rated]
    floor = scores.untrained(plan, "validation")
    drop = tolerance.one_percent(values, max(values), floor) if plan.monitor == "metric" else None
    drop = tolerance.SHARE * (max(values) - floor) if drop is None else drop
    alone = len({tuple(pair for pair in t.settings if pair[0] != "lr") for _, t in rated}) == 1
    width = tolerance.tolerance([lr for lr, _ in rated], values, drop, alone=alone)
    return None if width is None else {
        "decades": width.decades, "from": width.low, "to": width.high,
        "open_below": width.open_below, "open_above": width.open_above,
    }  # fmt: skip


def _edge(plan: Plan, name: str, found: Sequence[Tried], best: Any) -> str | None:
    """Which end the best rate is near, in the outer tenth of the rates, those tried beyond the range included."""
    planned = plan.spaces.get(name, {}).get("lr")
    tried = [rate for t in found if (rate := dict(t.settings).get("lr"))]
    if planned is None or not best or not tried:
        return None
    low, high = math.log(min(planned[0], *tried)), math.log(max(planned[1], *tried))
    place = (math.log(best) - low) / (high - low) if high > low else 0.5
    return "low" if place < EDGE else "high" if place > 1 - EDGE else None


def _curve(plan: Plan, points: Sequence[Tried]) -> dict[str, Any]:
    if not points:
        return {"k": [], "mean": [], "low": [], "high": []}
    side = scores.sign(plan)
    by, values = curve_inputs(points)
    k, mean, low, high = budget_curve(by, values)
    low, high = (low, high) if side > 0 else (high, low)
    return {
        "k": k,
        "mean": [side * x for x in mean],
        "low": [None if x is None else side * x for x in low],
        "high": [None if x is None else side * x for x in high],
    }


def drawn(plan: Plan, records: Sequence[Record]) -> list[Tried]:
    """The settings that the design drew; those of a widening were chosen after a look."""
    return [t for t in scores.tried(plan, records) if t.stage != "widen"]


def curve_inputs(drawn: Sequence[Tried]) -> tuple[list[float], list[float]]:
    """By what a trial is chosen, as ranks, and what it then scores. What was dropped after a short run ranks below all
    that went on, whatever its score."""
    order = sorted(range(len(drawn)), key=lambda i: (drawn[i].epochs, drawn[i].validation, -drawn[i].loss))
    ranks = [0.0] * len(drawn)
    for rank, i in enumerate(order):
        ranks[i] = float(rank)
    return ranks, [t.score for t in drawn]
