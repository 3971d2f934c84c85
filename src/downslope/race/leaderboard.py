"""From records to the leaderboard: the best learning rate of each optimizer, its score, and how sure that is."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Iterable
from typing import Any

from .folder import Record
from .plan import Plan
from .statistics import t_interval, told_apart, width

METHOD = (
    "Learning rate: the best on the validation part, mean over seeds. Accuracy: on the test part, which chose nothing, "
    "with its 95 % interval (Student's t over seeds). Width: decades of learning rates within one point of the best on "
    "the validation part. A diverged run counts as guessing. Seconds: training of one run at the best learning rate."
)


def leaderboard(plan: Plan, records: Iterable[Record]) -> dict[str, Any]:
    """The content of leaderboard.json: rows from best to worst, whatever the order of the records.

    Optimizers without a finished run have no row.
    """
    trials = plan.trials()
    records = list(records)
    rows = [_row(plan, name, own) for name in plan.grids if (own := [r for r in records if r["optimizer"] == name])]
    rows.sort(key=lambda row: -row["test_accuracy"]["mean"])
    for rank, row in enumerate(rows, 1):
        row["rank"] = rank
    return {
        "task": plan.task,
        "finished": len(records),
        "trials": len(trials),
        "complete": len(records) == len(trials),
        "verdict": verdict(plan, rows),
        "method": METHOD,
        "rows": rows,
    }


def by_rate(plan: Plan, records: Iterable[Record]) -> dict[float, list[Record]]:
    """An optimizer's records by rising learning rate, without rates at which fewer seeds finished than at others."""
    groups: dict[float, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r["lr"], r["seed"])):
        groups.setdefault(record["lr"], []).append(record)
    most = max(map(len, groups.values()))
    return {rate: group for rate, group in groups.items() if len(group) == most}


def score(plan: Plan, record: Record, what: str) -> float:
    """A run's accuracy; that of guessing if it diverged."""
    return plan.chance if record["diverged"] else record[what]


def _loss(record: Record) -> float:
    return math.inf if record["diverged"] else record["validation_loss"]


def _row(plan: Plan, name: str, records: list[Record]) -> dict[str, Any]:
    groups = by_rate(plan, records)
    means = [plain.fmean(score(plan, r, "validation_accuracy") for r in group) for group in groups.values()]
    losses = [plain.fmean(_loss(r) for r in group) for group in groups.values()]
    rates = list(groups)
    best = min(range(len(rates)), key=lambda i: (-means[i], losses[i]))
    chosen = groups[rates[best]]
    lost = all(r["diverged"] for r in chosen)  # then there is no best learning rate
    test = t_interval([score(plan, r, "test_accuracy") for r in chosen])
    tolerance = width(rates, means)
    return {
        "rank": 0,
        "optimizer": name,
        "test_accuracy": {**test._asdict(), "by_seed": [score(plan, r, "test_accuracy") for r in chosen]},
        "validation_accuracy": means[best],
        "best_lr": None if lost else rates[best],
        "best_lr_at_edge": not lost and rates[best] in (plan.grids[name][0], plan.grids[name][-1]),
        "width_decades": None if lost else tolerance.decades,
        "width_from": None if lost else tolerance.low,
        "width_to": None if lost else tolerance.high,
        "width_open_below": not lost and tolerance.open_below,
        "width_open_above": not lost and tolerance.open_above,
        "diverged": sum(r["diverged"] for r in records),
        "finished": len(records),
        "diverged_share": plain.fmean(r["diverged"] for r in records),
        "seconds": plain.median(r["seconds"] for r in chosen),
        "seconds_all": math.fsum(r["seconds"] for r in records),
    }


def verdict(plan: Plan, rows: list[dict[str, Any]]) -> str:
    """Who won, in words, and whom the winner cannot be told apart from."""
    racing = [row for row in rows if row["best_lr"] is not None]
    if not racing:
        return "No run has finished without diverging, so there is nothing to compare."
    first, others = racing[0], racing[1:]
    test = first["test_accuracy"]
    around = f" ± {_points(test['high'] - test['mean'])}" if test["high"] is not None else ""
    text = (
        f"{first['optimizer']} at learning rate {first['best_lr']:.2g} is first with {_points(test['mean'])}{around} %."
    )
    if not others:
        return text
    if len(test["by_seed"]) < 2:
        return f"{text} One seed says nothing about the spread: race with --seeds 3 or more."
    near = [
        row["optimizer"]
        for row in others
        if not told_apart(test["by_seed"], row["test_accuracy"]["by_seed"], len(others))
    ]
    seeds = f"With {len(test['by_seed'])} seeds"
    if not near:
        return f"{text} {seeds} it is better than each of the others."
    if len(near) == len(others):
        return f"{text} {seeds} it cannot be told apart from any of the others: {', '.join(near)}."
    return f"{text} {seeds} it is better than the others but cannot be told apart from {', '.join(near)}."


def _points(share: float) -> str:
    return f"{100 * share:.1f}"
