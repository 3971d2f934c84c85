"""What the two pictures of a race show, as plain numbers; html.py and png.py draw the same ones."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any, NamedTuple

from ..race import Result
from ..race.leaderboard import by_rate, score
from .colours import Style, style

CURVES = {
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
}


class Line(NamedTuple):
    """A mean over seeds with the lowest and highest of them."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


class Runner(NamedTuple):
    """One optimizer in the pictures.

    `curves` by epoch at its best learning rate, `rates` the validation accuracy by learning rate over the runs that
    did not diverge, `diverged` (learning rate, runs that diverged, runs) where any did.
    """

    name: str
    style: Style
    best_lr: float | None
    best_score: float
    curves: dict[str, Line]
    rates: Line
    diverged: list[tuple[float, int, int]]


def runners(result: Result) -> list[Runner]:
    """The optimizers of a race, from best to worst."""
    return [_runner(result, row) for row in result.board["rows"]]


def _runner(result: Result, row: dict[str, Any]) -> Runner:
    name = row["optimizer"]
    groups = by_rate(result.plan, [r for r in result.records if r["optimizer"] == name])
    best = [r for r in groups.get(row["best_lr"], []) if not r["diverged"]]
    whole = {rate: kept for rate, group in groups.items() if (kept := [r for r in group if not r["diverged"]])}
    diverged = [(rate, sum(r["diverged"] for r in group), len(group)) for rate, group in groups.items()]
    return Runner(
        name,
        style(name),
        row["best_lr"],
        row["validation_accuracy"],
        {what: _curve(best, what) for what in CURVES},
        _line(list(whole), list(whole.values()), lambda r: score(result.plan, r, "validation_accuracy")),
        [group for group in diverged if group[1]],
    )


def _curve(records: list[dict[str, Any]], what: str) -> Line:
    epochs = range(len(records[0]["curve"][what])) if records else range(0)
    return _line([e + 1 for e in epochs], [[r["curve"][what][e] for r in records] for e in epochs], lambda value: value)


def _line(x: list[Any], groups: list[list[Any]], value: Callable[[Any], float]) -> Line:
    columns = [[value(member) for member in group] for group in groups]
    return Line(x, [statistics.fmean(c) for c in columns], [min(c) for c in columns], [max(c) for c in columns])
