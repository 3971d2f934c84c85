"""Where the budget decides: which optimizer a search of k trials should go to, and until which k."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from .row import curve_inputs, drawn
from .statistics import scores
from .statistics.bootstrap import budget_curve, leads
from .statistics.scores import Plan, Record

ALPHA = 0.05
Inputs = Mapping[str, tuple[list[float], list[float]]]


def choices(plan: Plan, own: Mapping[str, Sequence[Record]]) -> list[dict[str, Any]]:
    """Stretches of k, `from` to `to`, in each of which one optimizer is expected to have the best of k trials.

    `score` is what it is expected to have at `to`. `ahead_of` are those that it leads beyond doubt at some k of the
    stretch, `open` all others: with those it is the better guess and no more. Empty where fewer than two can be drawn.
    """
    inputs = _inputs(plan, own)
    if len(inputs) < 2:
        return []
    at = _expected(inputs)
    found = []
    ahead_at = _leaders(at)
    for name, stretch in groupby(ahead_at, key=lambda k: ahead_at[k]):
        ks = list(stretch)
        ahead = {other for other in inputs if other != name and _ahead(inputs, name, other, ks)[0]}
        found.append(
            {
                "from": ks[0],
                "to": ks[-1],
                "optimizer": name,
                "score": scores.sign(plan) * at[name][ks[-1]],
                "ahead_of": [other for other in inputs if other in ahead],
                "open": [other for other in inputs if other not in ahead and other != name],
            }
        )
    return found


def crossing(plan: Plan, own: Mapping[str, Sequence[Record]], found: Sequence[Mapping[str, Any]]) -> dict | None:
    """Who leads with the fewest trials, until when, and who with the most; None if the same. `found` are the choices.

    `decided` where the one ahead on few trials is so beyond doubt at one k at least, over all others and all k."""
    if not found or found[0]["optimizer"] == found[-1]["optimizer"]:
        return None
    first, then = found[0]["optimizer"], found[-1]["optimizer"]
    inputs = _inputs(plan, own)
    at, side = _expected(inputs), scores.sign(plan)
    decided, best = _ahead(inputs, first, then, [k for k in _common(at) if k <= found[0]["to"]])
    return {
        "first": first,
        "until": found[0]["to"],
        "then": then,
        "k": found[-1]["to"],
        "at": best,
        "first_score": side * at[first][best],
        "then_score": side * at[then][best],
        "decided": decided,
    }


def _inputs(plan: Plan, own: Mapping[str, Sequence[Record]]) -> Inputs:
    return {name: curve_inputs(found) for name, rs in own.items() if (found := drawn(plan, rs))}


def _expected(inputs: Inputs) -> dict[str, dict[int, float]]:
    """For each optimizer what the best of k trials is expected to score, by k."""
    curves = {name: budget_curve(*both, samples=1) for name, both in inputs.items()}
    return {name: dict(zip(curve.k, curve.mean)) for name, curve in curves.items()}


def _leaders(at: Mapping[str, Mapping[int, float]]) -> dict[int, str]:
    """Who is expected to lead at each k; of equals the one that led before."""
    found: dict[int, str] = {}
    leader = next(iter(at))
    for k in _common(at):
        best = max(at, key=lambda name: at[name][k])
        leader = best if not found or at[best][k] > at[leader][k] + 1e-9 * abs(at[best][k]) else leader
        found[k] = leader
    return found


def _common(at: Mapping[str, Mapping[int, float]]) -> list[int]:
    """The k that all curves have."""
    return sorted(set.intersection(*(set(curve) for curve in at.values())))


def _ahead(inputs: Inputs, first: str, other: str, ks: Sequence[int]) -> tuple[bool, int]:
    """Whether the first is beyond doubt ahead at one of these k, each counted among all others and all k; and at which
    of them it is so most clearly."""
    level = 1 - ALPHA / (len(inputs) - 1) / len(ks)
    by = dict(zip(ks, leads(inputs[first], inputs[other], ks, level=level)))
    best = max(ks, key=lambda k: (by[k].beyond_doubt, by[k].difference))
    return by[best].beyond_doubt, best
