"""The pictures of a race as PNG, on white, for papers and chats: each alone, and the two that say most side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..race import Result
from ..race.statistics import scores
from ..race.verdict import name as label
from ..training.extras import need
from . import pictures
from .colours import style
from .data import WORDS
from .pictures import Line, Runner, runners
from .png_parts import DASH, FAINT, MARKER, RAISED, TEXT, as_png, cut, dress, end_labels, frame, legend, log_y

PAIRS = 36  # pairs in the picture of comparisons: those with the first, and neighbours, where there are more
LANE = 0.17  # inches


def pngs(result: Result) -> dict[str, bytes]:
    """Each picture by the name of its file, without those that have nothing to show. About a third of a second each."""
    need("matplotlib", extra="race", job="the pictures of a race")
    everyone, board = runners(result), result.board
    if not everyone:
        return {}
    lanes = LANE * len(everyone)
    shown = [what for what in WORDS if what != "validation_metric" or pictures.has_metric(everyone)]
    made = {
        "race.png": as_png(lambda figure: _race(figure, everyone, result), 11, 5 + lanes / 2),
        "curves.png": as_png(lambda figure: _curves(figure, everyone, shown), 3.9 * len(shown) + 1.2, 4.5),
        "rates.png": as_png(lambda figure: _rates(figure, everyone, result), 8.6, 4.4 + lanes),
        "budget.png": as_png(lambda figure: _budget(figure, everyone, result), 8.6, 4.8),
    }
    pairs = _shown_pairs(board)
    if pairs:
        height = 1.1 + 0.25 * len(pairs)
        made["comparisons.png"] = as_png(lambda figure: _pairs(figure, pairs), 8.6, height)
    return made


def _legend(figure: Any, everyone: Sequence[Runner]) -> None:
    legend(figure, [(runner.label, runner.style) for runner in everyone])


def _race(figure: Any, everyone: Sequence[Runner], result: Result) -> None:
    """Training loss and the score over the learning rate."""
    grid = figure.add_gridspec(2, 2, height_ratios=_ratios(everyone))
    left = figure.add_subplot(grid[:, 0])
    top = figure.add_subplot(grid[0, 1])
    _curve(left, everyone, "train_loss", named=False)
    _rate(top, figure.add_subplot(grid[1, 1], sharex=top), everyone, result)
    _legend(figure, everyone)


def _ratios(everyone: Sequence[Runner]) -> list[float]:
    return [3.4, LANE * len(everyone) + 0.08]


def _curves(figure: Any, everyone: Sequence[Runner], shown: Sequence[str]) -> None:
    for axes, what in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown):
        _curve(axes, everyone, what, named=what == shown[-1])
    _legend(figure, everyone)


def _curve(axes: Any, everyone: Sequence[Runner], what: str, *, named: bool) -> None:
    """A learning curve of every optimizer: means over the seeds and their range."""
    shade = _shade([runner.curves[what] for runner in everyone])
    for runner in everyone:
        _line(axes, runner, runner.curves[what], shade)
    values = [v for runner in everyone for v in runner.curves[what].mean]
    _framed(axes, [r.curves[what] for r in everyone], bool(values) and min(values) > 0 and what != "validation_metric")
    dress(axes, WORDS[what].capitalize(), "steps")
    if named:
        end_labels(axes, [(r.label, r.style, r.curves[what].mean[-1]) for r in everyone if r.curves[what].x], 3.2)


def _shade(lines: Sequence[Line]) -> float:
    """How dark bands are: many on top of one another are mud."""
    return 0.13 * min(1.0, 4 / max(sum(any(v is not None for v in line.low) for line in lines), 1))


def _line(axes: Any, runner: Runner, line: Line, shade: float) -> None:
    colour = runner.style.colour
    dot = {"marker": MARKER[runner.style.marker], "markersize": 4} if len(line.x) == 1 else {}
    axes.plot(line.x, line.mean, color=colour, linestyle=DASH[runner.style.dash], linewidth=1.7, **dot)
    known = [i for i in range(len(line.x)) if line.low[i] is not None]
    if len(known) > 1:
        x, low, high = ([part[i] for i in known] for part in (line.x, line.low, line.high))
        axes.fill_between(x, low, high, color=colour, alpha=shade, linewidth=0, zorder=1)


def _framed(axes: Any, lines: Sequence[Line], log: bool) -> None:
    frame(axes, [v for one in lines for v in one.mean], [v for one in lines for v in (*one.low, *one.high)], log)
    if log:
        log_y(axes)


def _rates(figure: Any, everyone: Sequence[Runner], result: Result) -> None:
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=_ratios(everyone))
    _rate(top, bottom, everyone, result)
    _legend(figure, everyone)


def _rate(axes: Any, below: Any, everyone: Sequence[Runner], result: Result) -> None:
    """The trials of the search over the learning rate, and below them what is known of each optimizer's range."""
    for runner in everyone:
        look, points, best = runner.style, runner.points, runner.best
        dots = {"linestyle": "", "marker": MARKER[look.marker]}
        axes.plot(runner.hill.x, runner.hill.mean, color=look.colour, linestyle=DASH[look.dash], linewidth=1.4)
        axes.plot([p.lr for p in points], [p.score for p in points], markersize=3.2, color=look.colour, **dots)
        if best is not None:
            axes.plot([best.lr], [best.score], markersize=8, mec=look.colour, mfc="white", mew=1.9, zorder=3, **dots)
    axes.set_xscale("log")
    if pictures.is_log(result.board, everyone):
        frame(axes, [p.score for runner in everyone for p in runner.points], [], log=True)
        log_y(axes)
    start = scores.sign(result.plan) * scores.untrained(result.plan, "validation")
    low, high = axes.get_ylim()
    if low < start < high:
        axes.axhline(start, color=FAINT, linewidth=0.9, linestyle=(0, (4, 4)), zorder=0)
        axes.annotate(
            "untrained", (0.988, start), xycoords=axes.get_yaxis_transform(), xytext=(0, 3), ha="right",
            textcoords="offset points", fontsize=8, color=FAINT,
        )  # fmt: skip
    dress(axes, f"Validation {result.plan.monitor} over the learning rate")
    axes.tick_params(labelbottom=False)
    _lanes(below, everyone)


def _lanes(axes: Any, everyone: Sequence[Runner]) -> None:
    """A lane each: the rates within 1 % of the best, the limit of stability, the rates at which runs diverged."""
    for y, runner in enumerate(everyone):
        colour, stretch, limit = runner.style.colour, runner.row["lr_tolerance"], runner.row["stability_limit"]
        if stretch:
            axes.plot([stretch["from"], stretch["to"]], [y, y], color=colour, alpha=0.45, linewidth=6)
        if limit:
            axes.plot([limit["low"], limit["high"]], [y, y], color=colour, linewidth=1.4)
            axes.plot([limit["estimate"]], [y], color=colour, marker="|", markersize=11, mew=1.6)
        for cross in runner.crosses:
            share = cross.diverged / cross.runs
            axes.plot([cross.lr], [y], marker="x", markersize=3 + 2.5 * share, color=colour, mew=0.8 + 0.7 * share)
    axes.set_ylim(len(everyone) - 0.4, -0.6)
    axes.set_yticks(range(len(everyone)), [cut(runner.label) for runner in everyone])
    axes.set_facecolor(RAISED)
    dress(axes, "", "learning rate;  bar: within 1 %,  |: stability limit,  ×: diverged")
    axes.tick_params(axis="y", labelsize=8)


def _budget(figure: Any, everyone: Sequence[Runner], result: Result) -> None:
    """What a search of k trials can expect, with bands where they are known."""
    board = result.board
    parts = pictures.segments(board)
    axes, lane = figure.subplots(2, 1, sharex=True, height_ratios=(14, 1)) if parts else (figure.subplots(), None)
    shade = _shade([runner.budget for runner in everyone])
    for runner in everyone:
        _line(axes, runner, runner.budget, shade)
    _framed(axes, [runner.budget for runner in everyone], pictures.is_log(board, everyone))
    if pictures.is_share(board, everyone):
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0), min(high, 1.01))
    longest = max((runner.budget.x[-1] for runner in everyone if runner.budget.x), default=1)
    if longest > 30:
        axes.set_xscale("log")
    else:
        axes.set_xticks(range(1, int(longest) + 1, math.ceil(longest / 12)))
    under = "trials in the search, k"
    dress(axes, f"Best after k trials: expected {board['part']} {board['monitor']}", "" if parts else under)
    if parts:
        axes.tick_params(labelbottom=False)
        _choices(lane, parts, axes.get_xlim(), under)
    end_labels(axes, [(r.label, r.style, r.budget.mean[-1]) for r in everyone if r.budget.x])
    _legend(figure, everyone)


def _choices(axes: Any, parts: Sequence[Mapping[str, Any]], ends: tuple[float, float], under: str) -> None:
    """Whom to choose with k trials; darker where that is beyond doubt."""
    for i, part in enumerate(parts):
        left, right = ends[0] if i == 0 else part["from"], ends[1] if i + 1 == len(parts) else part["to"]
        axes.axvspan(left, right, color=part["colour"], alpha=0.6 if part["sure"] else 0.3, linewidth=0)
        turn = math.log if axes.get_xscale() == "log" else float
        share = (turn(right) - turn(left)) / (turn(ends[1]) - turn(ends[0]))
        if share > 0.018 * len(part["label"]):
            middle = math.sqrt(left * right) if axes.get_xscale() == "log" else (left + right) / 2
            axes.text(middle, 0.45, cut(part["label"]), ha="center", va="center", fontsize=8, color=TEXT)
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], ["choose"])
    axes.set_xlim(ends)
    dress(axes, "", under)
    axes.grid(False)


# ---- comparisons


def _shown_pairs(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    pairs = board["comparisons"]
    if len(pairs) <= PAIRS:
        return list(pairs)
    ranks = {row["optimizer"]: row["rank"] for row in board["rows"]}
    return [p for p in pairs if ranks[p["a"]] == 1 or ranks[p["b"]] - ranks[p["a"]] == 1]


def _pairs(figure: Any, pairs: Sequence[Mapping[str, Any]]) -> None:
    """The difference of each pair with its interval; filled where it is decided."""
    axes = figure.subplots()
    axes.axvline(0, color=FAINT, linewidth=1, linestyle=(0, (4, 4)))
    for y, pair in enumerate(pairs):
        look = style(pair["a"])
        if pair["low"] is not None:
            axes.plot([pair["low"], pair["high"]], [y, y], color=look.colour, linewidth=3, alpha=0.5)
        fill = look.colour if pair["decided"] else "white"
        axes.plot([pair["difference"]], [y], marker="o", markersize=6, mec=look.colour, mfc=fill, mew=1.6)
    axes.set_ylim(len(pairs) - 0.4, -0.6)
    axes.set_yticks(range(len(pairs)), [f"{cut(label(p['a']))} − {cut(label(p['b']))}" for p in pairs])
    dress(axes, "How much better the first is, and 95 % interval (filled: decided)", "difference on the same seeds")
    axes.tick_params(axis="y", labelsize=8.5, labelcolor="#24292f")
