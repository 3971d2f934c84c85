"""What the two pictures of a race show, as plain numbers; html.py and png.py draw the same ones."""

from __future__ import annotations

import statistics
from typing import Any, NamedTuple

from ..race import Result
from ..race.statistics import scores
from .colours import Style, style

CURVES = {
    "train_loss": "training loss",
    "validation_loss": "validation loss",
    "validation_metric": "validation metric",
}


class Line(NamedTuple):
    """A mean over seeds with the lowest and highest of them."""

    x: list[float]
    mean: list[float]
    low: list[float]
    high: list[float]


class Runner(NamedTuple):
    """One optimizer in the pictures.

    `curves` by epoch at its chosen settings, `rates` the validation score by learning rate over the full runs of the
    search that did not diverge, `diverged` (learning rate, runs that diverged, runs) where any did.
    """

    name: str
    style: Style
    best_lr: float | None
    best_score: float | None
    curves: dict[str, Line]
    rates: Line
    diverged: list[tuple[float, int, int]]


def runners(result: Result) -> list[Runner]:
    """The optimizers of a race, from best to worst."""
    return [_runner(result, row) for row in result.board["rows"]]


def _runner(result: Result, row: dict[str, Any]) -> Runner:
    name, plan = row["optimizer"], result.plan
    own = scores.of(result.records, name)
    chosen = tuple(sorted(row["settings"].items()))
    full = [r for r in own if r["trial"]["epochs"] == plan.epochs]
    best = [r for r in full if scores.settings_of(r) == chosen and not r["diverged"]]
    rated: dict[float, list[dict[str, Any]]] = {}
    for record in sorted(full, key=lambda r: r["trial"]["settings"].get("lr", 0.0)):
        if record["trial"]["stage"] != "confirm":
            rated.setdefault(record["trial"]["settings"].get("lr", 0.0), []).append(dict(record))
    whole = {lr: kept for lr, group in rated.items() if (kept := [r for r in group if not r["diverged"]])}
    diverged = [(lr, sum(r["diverged"] for r in group), len(group)) for lr, group in rated.items()]
    return Runner(
        name,
        style(name),
        row["settings"].get("lr"),
        row["validation"],
        {what: _curve(best, what) for what in CURVES},
        _line(list(whole), [[r[f"validation_{plan.monitor}"] for r in group] for group in whole.values()]),
        [group for group in diverged if group[1]],
    )


def _curve(records: list[Any], what: str) -> Line:
    curves = [r["curve"].get(what) or [] for r in records]
    columns = [[v for v in column if v is not None] for column in zip(*curves)]
    columns = [column for column in columns if column]
    return _line([e + 1 for e in range(len(columns))], columns)


def _line(x: list[Any], columns: list[list[Any]]) -> Line:
    return Line(x, [statistics.fmean(c) for c in columns], [min(c) for c in columns], [max(c) for c in columns])
