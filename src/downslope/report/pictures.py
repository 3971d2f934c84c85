"""What the pictures of a race show, as plain numbers; the page and the PNGs draw the same ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ..race import Result
from ..race.statistics import scores
from ..race.trial import short
from ..race.verdict import name as label
from .colours import Style, style

CURVES = ("train_loss", "validation_loss", "validation_metric")
LONGEST = 240  # points of a curve: more than a picture has room for


class Line(NamedTuple):
    """Means with a lower and an upper bound each; None where there is none."""

    x: list[float]
    mean: list[float]
    low: list[float | None]
    high: list[float | None]


class Point(NamedTuple):
    """One choice of settings in the search: its mean validation score over its seeds."""

    lr: float
    score: float
    settings: str


class Cross(NamedTuple):
    """Runs at a learning rate of which some diverged."""

    lr: float
    diverged: int
    runs: int


class Runner(NamedTuple):
    """One optimizer in the pictures, under the `name` it raced by and the `label` it is shown with.

    `curves` are over the steps, at its chosen settings: the mean over the fresh seeds and the lowest and highest of
    them, without the `lost` runs that diverged. `points` are the trials of its search at full length, `hill` what joins
    them: a line through all where the learning rate alone was searched, else the best of each and all farther from the
    top. `row` is its row of the board.
    """

    name: str
    label: str
    style: Style
    row: Mapping[str, Any]
    curves: dict[str, Line]
    lost: int
    points: list[Point]
    best: Point | None
    hill: Line
    crosses: list[Cross]
    budget: Line


def runners(result: Result) -> list[Runner]:
    """The optimizers of a race, from best to worst."""
    return [_runner(result, row) for row in result.board["rows"]]


def _runner(result: Result, row: Mapping[str, Any]) -> Runner:
    name, plan = row["optimizer"], result.plan
    own = scores.of(result.records, name)
    chosen = tuple(sorted(row["settings"].items()))
    shown = scores.confirmed(own, chosen) or [
        r for r in own if scores.settings_of(r) == chosen and r["trial"]["epochs"] == plan.epochs
    ]
    held = [r for r in shown if not r["diverged"]]
    points = [point for t in scores.tried(plan, own, plan.epochs) if (point := _point(plan, t)) is not None]
    points.sort()
    return Runner(
        name,
        label(name),
        style(name),
        row,
        {what: _curve(held, what) for what in CURVES},
        len(shown) - len(held),
        points,
        next((p for p in points if chosen and p.settings == _words(chosen)), None),
        _hill(points, scores.sign(plan), alone=_alone(own)),
        _crosses(own),
        _budget(row["budget_curve"]),
    )


def _words(settings: scores.Settings) -> str:
    return ", ".join(f"{k} {short(v)}" for k, v in sorted(settings, key=lambda pair: pair[0] != "lr"))


def _point(plan: Any, tried: scores.Tried) -> Point | None:
    lr = dict(tried.settings).get("lr")
    if tried.diverged or not lr or not lr > 0:
        return None
    return Point(lr, scores.sign(plan) * tried.validation, _words(tried.settings))


def _alone(records: Sequence[scores.Record]) -> bool:
    """Whether nothing but the learning rate was searched."""
    return len({tuple(pair for pair in scores.settings_of(r) if pair[0] != "lr") for r in records}) == 1


def _hill(points: Sequence[Point], side: int, *, alone: bool) -> Line:
    best: dict[float, float] = {}
    for point in points:
        best[point.lr] = max(side * point.score, best.get(point.lr, -math.inf))
    x, good = sorted(best), [best[lr] for lr in sorted(best)]
    if good and not alone:
        top = good.index(max(good))
        kept = [i for i in range(len(x)) if good[i] == max(good[: i + 1] if i <= top else good[i:])]
        x, good = [x[i] for i in kept], [good[i] for i in kept]
    return Line(x, [side * value for value in good], [], [])


def _crosses(records: Sequence[scores.Record]) -> list[Cross]:
    groups: dict[float, list[bool]] = {}
    for record in records:
        lr = record["trial"]["settings"].get("lr")
        if lr and lr > 0:
            groups.setdefault(lr, []).append(record["diverged"])
    return [Cross(lr, sum(found), len(found)) for lr, found in sorted(groups.items()) if any(found)]


def _budget(curve: Mapping[str, Any]) -> Line:
    return Line(list(curve["k"]), list(curve["mean"]), list(curve["low"]), list(curve["high"]))


def _curve(records: Sequence[scores.Record], what: str) -> Line:
    """Over the steps that all runs have; where there are many, one in so many of them, and the last."""
    columns: dict[int, list[float]] = {}
    for record in records:
        curve = record.get("curve") or {}
        for step, value in zip(curve.get("step") or [], curve.get(what) or []):
            if value is not None and math.isfinite(value):
                columns.setdefault(step, []).append(value)
    steps = [step for step in sorted(columns) if len(columns[step]) == len(records)]
    stride = math.ceil(len(steps) / LONGEST) or 1
    steps = steps[::-1][::stride][::-1]
    kept = [columns[step] for step in steps]
    return Line([float(s) for s in steps], [statistics.fmean(c) for c in kept], [*map(min, kept)], [*map(max, kept)])


def near(everyone: Sequence[Runner], monitor: str) -> tuple[float, float] | None:
    """The scores around the best point of each optimizer, for a closer look; None where there are not two."""
    best = [runner.best.score for runner in everyone if runner.best]
    return _around(best, [point.score for runner in everyone for point in runner.points], monitor)


def near_budget(everyone: Sequence[Runner], monitor: str) -> tuple[float, float] | None:
    """The same for the budget curves: around what they come to in the end."""
    ends = [runner.budget.mean[-1] for runner in everyone if runner.budget.mean]
    return _around(ends, [value for runner in everyone for value in runner.budget.mean], monitor)


def _around(best: list[float], every: list[float], monitor: str) -> tuple[float, float] | None:
    best = sorted(best)
    if len(best) < 2:
        return None
    room = 0.6 * (best[-1] - best[0]) or 0.1 * (max(every) - min(every)) or abs(best[0]) * 0.05 or 1.0
    least = 0.04 * (max(every) - min(every))
    room = max(room, least)
    return (best[0] - room, best[-1] + 0.2 * room) if monitor == "metric" else (best[0] - 0.2 * room, best[-1] + room)


def segments(board: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stretches of k in which one optimizer is expected to be the best, edge to edge: the lane below the budget
    curves. `sure` where it leads all others beyond doubt."""
    found = board["choices"]
    made = []
    for i, each in enumerate(found):
        name = each["optimizer"]
        made.append(
            {
                "name": name,
                "label": label(name),
                "colour": style(name).colour,
                "from": (found[i - 1]["to"] + each["from"]) / 2 if i else float(each["from"]),
                "to": (each["to"] + found[i + 1]["from"]) / 2 if i + 1 < len(found) else float(each["to"]),
                "sure": not each["open"],
                "text": stretch_words(each),
            }
        )
    return made


def stretch_words(each: Mapping[str, Any]) -> str:
    """`3 to 8 trials: Adam, 0.984 expected of 8, beyond doubt ahead of SGD`."""
    first, last = each["from"], each["to"]
    many = f"{first} trial{'s' * (first != 1)}" if first == last else f"{first} to {last} trials"
    ahead = [label(name) for name in each["ahead_of"]]
    doubt = "ahead of none beyond doubt" if not ahead else f"beyond doubt ahead of {', '.join(ahead)}"
    doubt = "beyond doubt ahead of all" if not each["open"] else doubt
    return f"{many}: {label(each['optimizer'])}, {each['score']:.4g} expected of {last}, {doubt}"


def has_metric(everyone: Sequence[Runner]) -> bool:
    return any(runner.curves["validation_metric"].x for runner in everyone)


def is_share(board: Mapping[str, Any], everyone: Sequence[Runner]) -> bool:
    """Whether scores look like shares, as accuracies do, which end at 1."""
    every = [point.score for runner in everyone for point in runner.points]
    return board["monitor"] == "metric" and all(0 <= value <= 1 for value in [*every, board["untrained"]])


def is_log(board: Mapping[str, Any], everyone: Sequence[Runner]) -> bool:
    """Whether scores go on a log axis: losses, all of them above 0."""
    found = [point.score for runner in everyone for point in runner.points]
    found += [v for runner in everyone for v in runner.budget.mean]
    return board["monitor"] == "loss" and bool(found) and min(found) > 0
