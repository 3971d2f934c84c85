"""What a budget buys: how many trials each optimizer may search with, and how many fresh seeds confirm the choice."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..errors import SettingError

SEEDS = 5
"""Fresh seeds where nothing else is asked for: the interval of five is 2.8 / sqrt(5) = 1.2 standard deviations wide to
each side, that of three 2.5."""
TRIALS = 11
"""Search trials where neither a number nor a budget is given."""
USABLE = 0.9
"""The part of the workers' time that trials get: at the end of each round some have nothing to do."""

UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}


class Budget(NamedTuple):
    """An amount of "seconds", "trials" or "epochs" for the whole race."""

    kind: str
    amount: float
    text: str


def read(text: str) -> Budget:
    """A budget in words: `10m`, `1h30m`, `60 trials`, `300 epochs`. Raises SettingError for anything else."""
    words = text.strip().lower()
    if found := re.fullmatch(r"(\d+)\s*(trial|epoch)s?", words):
        if int(found[1]):
            return Budget(f"{found[2]}s", int(found[1]), text)
    elif re.fullmatch(r"(\d+(\.\d+)?\s*[a-z]+\s*)+", words):
        parts = [(float(n), unit) for n, unit in PART.findall(words)]
        if all(unit in UNITS for _, unit in parts) and (seconds := sum(n * UNITS[unit] for n, unit in parts)) > 0:
            return Budget("seconds", seconds, text)
    raise SettingError(f"budget {text!r}: give a time, trials or epochs, such as 10m, 1h30m, '60 trials', '300 epochs'")


PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)")


def duration(seconds: float) -> str:
    """Seconds as a budget takes them, rounded up: 45s, 2m30s, 1h20m."""
    whole = math.ceil(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes}m" + (f"{rest}s" if rest else "")
    hours, rest = divmod(math.ceil(whole / 60), 60)
    return f"{hours}h" + (f"{rest}m" if rest else "")


def split(each: int, seeds: int | None) -> tuple[int, int] | None:
    """So many full trials of an optimizer -> (search, confirm); None if they are too few for one of each.

    A third confirms, at most SEEDS and at least one."""
    confirm = min(SEEDS, max(1, each // 3)) if seeds is None else seeds
    return (each - confirm, confirm) if each - confirm >= 1 else None


def counted(budget: Budget, optimizers: int, epochs: int, seeds: int | None, points: int = 1) -> tuple[int, int]:
    """Trials and seeds of each optimizer for a budget in trials or epochs, in equal shares.

    `epochs` is what one trial takes, `points` the search seeds of a point, below which nothing can be chosen. Raises
    SettingError for too small a budget, with the least that works."""
    unit = 1 if budget.kind == "trials" else epochs
    found = split(int(budget.amount // (optimizers * unit)), seeds)
    if found is None or found[0] < points:
        least = optimizers * unit * (points + (1 if seeds is None else seeds))
        each = f"{points} to search with and {1 if seeds is None else seeds} to confirm"
        of = f" of {epochs} epochs" if budget.kind == "epochs" else ""
        raise SettingError(
            f"budget {budget.text!r}: too small for one choice among {optimizers} optimizers ({each}, each{of}); the "
            f"least that works is '{least} {budget.kind}'; or race fewer optimizers"
        )
    return found


def timed(
    budget: Budget, costs: Mapping[str, float], spent: float, workers: int, seeds: int | None, points: int = 1
) -> dict[str, Any]:
    """The decision for a budget in time: how many trials it buys each optimizer, whose equal share is of the time.

    `costs` are the seconds of one full trial of each, `spent` those of the probe, all on one of `workers`. Raises
    SettingError for too small a budget, with the least that works."""
    share = (budget.amount * workers * USABLE - spent) / len(costs)
    bought = {name: int(share // max(cost, 1e-6)) for name, cost in costs.items()}
    slowest = max(costs, key=lambda name: costs[name])
    found = split(bought[slowest], seeds)
    if found is None or found[0] < points:
        least = (len(costs) * costs[slowest] * (points + (seeds or 1)) * 1.05 + spent) / (workers * USABLE)
        raise SettingError(
            f"budget {budget.text!r}: too small for one choice among {len(costs)} optimizers: a trial of {slowest} "
            f"takes {costs[slowest]:.2g} s; the least that works is about '{duration(max(least, budget.amount + 1))}' "
            f"({workers} workers), or fewer optimizers or epochs"
        )
    return {
        "decision": "budget",
        "trials": {name: min(count - found[1], MOST) for name, count in bought.items()},
        "seeds": found[1],
        "seconds_per_trial": {name: float(f"{cost:.4g}") for name, cost in costs.items()},
        "workers": workers,
    }


MOST = 1000
"""Search trials of an optimizer that a time buys at most: more tell nothing more."""


def kept_back(trials: int) -> int:
    """How many of an optimizer's search trials each of the two rounds after the first has."""
    return trials // 6


def rung_epochs(epochs: int) -> tuple[int, ...]:
    """The epochs of each rung: a ninth, a third, all. Raises SettingError for fewer than three."""
    if epochs < 3:
        has = f"{epochs} epoch{'s' * (epochs != 1)}"
        raise SettingError(f"rungs: a trial has {has}, too few for shorter ones; give --epochs 3 or more")
    return (epochs // 9, epochs // 3, epochs) if epochs >= 9 else (epochs // 3, epochs)


def promoted(count: int) -> int:
    """How many of a rung's points go on to the next: the best third."""
    return math.ceil(count / 3)


def first_points(trials: int, rungs: tuple[int, ...], seeds: int = 1) -> int:
    """How many points the first round of an optimizer has that may cost so many full trials."""
    most = max(1, (trials - 2 * kept_back(trials)) // seeds)
    if len(rungs) < 2:
        return most
    points = 1
    while cost(points + 1, rungs) <= most * rungs[-1]:
        points += 1
    return points


def cost(points: int, rungs: tuple[int, ...]) -> int:
    """The epochs that so many points take over all rungs."""
    total = 0
    for epochs in rungs:
        total += points * epochs
        points = promoted(points)
    return total
