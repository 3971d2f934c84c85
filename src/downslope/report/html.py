"""report.html of one race: verdict, leaderboard, comparisons, pictures and code in one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..race import Result
from ..race.verdict import name as label
from ..race.verdict import pruned, warnings
from ..version import __version__
from . import words
from .command import command
from .data import WORDS, data
from .folded import folded
from .parts import choice, code, kept, legend, listed, page, section
from .pictures import Runner, has_metric, runners
from .tables import comparisons, leaderboard, leaderboard_note

COLUMNS = 96
"""Of code: what a wide page shows without scrolling."""


def html(result: Result) -> str:
    """The page, some 100 kB, most of it the curves: text, pictures and scripts in one file that asks for no other."""
    board, everyone = result.board, runners(result)
    parts = [
        f"<h1>{escape(title(result))}</h1>",
        f'<p class="verdict">{escape(kept(board["verdict"]["headline"]))}</p>',
        _sentences(board),
    ]
    if board["rows"]:
        parts += [
            section("Leaderboard", leaderboard_note(board), leaderboard(board)),
            comparisons(board),
            legend((runner.name, runner.label, runner.style) for runner in everyone),
            *_pictures(result, everyone),
            _code(board),
        ]
    parts += [_notes(board), _command(result), _method(result)]
    return page(
        title(result),
        "\n".join(parts),
        {"RACE": data(result, everyone)} if board["rows"] else {},
        ["race.js"] if board["rows"] else [],
    )


def title(result: Result) -> str:
    board, count = result.board, len(result.plan.optimizers)
    found = f"{result.plan.task}: {count} optimizer{'s' * (count != 1)}, {board['finished']} trials"
    expected = board["trials_expected"]
    return (
        found if board["complete"] else f"{found} of {expected}, not finished" if expected else f"{found}, not finished"
    )


# ---- words


def _split(board: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The sentences of the verdict, and of them those that warn."""
    warned = {*warnings(board["rows"]), *pruned(board)}
    told = board["verdict"]["sentences"]
    return [s for s in told if s not in warned], [s for s in told if s in warned]


def _sentences(board: Mapping[str, Any]) -> str:
    told, warned = _split(board)
    shown, more = (told, []) if len(told) <= 5 else (told[:4], told[4:])
    rest = ""
    if more:
        rest = f"<details><summary>{len(more)} more like these</summary>{listed(more, 'sentences')}</details>"
    return listed(shown, "sentences") + rest + listed(warned, "warnings")


def _notes(board: Mapping[str, Any]) -> str:
    return section("Notes", "", listed(board["notes"], "sentences")) if board["notes"] else ""


def _command(result: Result) -> str:
    note = (
        "Every option is spelt out. The same command in the same folder goes on where a race has stopped; with "
        "--more-seeds N it confirms a finished one on so many seeds more."
    )
    return section("The command", note, code(command(result.plan, result.folder), wrap=True))


def _method(result: Result) -> str:
    plan, budget = result.plan, result.board["budget"]
    facts = {
        "task": plan.task,
        "task settings": ", ".join(f"{k}={v}" for k, v in plan.task_settings.items()),
        "budget": plan.budget or f"{plan.trials} trials to search with, {plan.seeds} seeds to confirm with, each",
        "spent": f"{budget['spent_trials']} trials, {words.seconds(budget['spent_seconds'])} of training",
        "epochs": str(plan.epochs),
        "batch size": "the loader's" if plan.batch is None else str(plan.batch),
        "schedule": f"{plan.schedule}, {100 * plan.warmup:g} % of the steps warm up",
        "rungs": ", ".join(map(str, plan.rungs)) + " epochs" if plan.rungs else "",
        "untrained": f"{result.board['monitor']} {result.board['untrained']:.4g} on the {result.board['part']} part",
        "together": _together(result),
        "device": plan.device,
        "downslope": __version__,
    }
    listing = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items() if v)
    return section("Method", "", f'<p class="method">{escape(result.board["method"])}</p><dl>{listing}</dl>')


def _together(result: Result) -> str:
    """How many trials of each optimizer trained at a time."""
    sizes: dict[int, list[str]] = {}
    for line in result.decisions:
        if line["decision"] == "batching":
            sizes.setdefault(int(line["size"]), []).append(label(line["optimizer"]))
    told = [
        f"{f'up to {size} trials at a time' if size > 1 else 'one by one'}: {', '.join(sizes[size])}"
        for size in sorted(sizes, reverse=True)
    ]
    return "; ".join(told)


# ---- pictures


def _pictures(result: Result, everyone: Sequence[Runner]) -> list[str]:
    board = result.board
    curves = {k: v for k, v in WORDS.items() if k != "validation_metric" or has_metric(everyone)}
    lost = [f"{r.label} {r.lost}" for r in everyone if r.lost]
    without = f" Left out, having diverged: {', '.join(lost)} of its runs." if lost else ""
    hint = "Point at a chart, or use its arrow keys, for values; drag to zoom, Escape or a double click to zoom out."
    seeds = "the fresh seeds" if any(row["score"]["by_seed"] for row in result.board["rows"]) else "the search's seed"
    known = any(value is not None for r in everyone for value in r.budget.low)
    return [
        section(
            "Learning curves",
            escape(f"At the chosen settings of each: the mean over {seeds}, and the range of them.{without} {hint}"),
            '<p class="choices">' + choice("curve-choice", "what is shown", curves)
            + choice("clock-choice", "over", {"steps": "by steps", "seconds": "by seconds"}) + '</p>'
            '<div id="curves"></div>',
        ),
        section(
            "Score over the learning rate",
            escape(
                f"The validation {result.board['monitor']} of the search's trials; the large marker is the choice. "
                "Lines join the best at each rate. Below, for each optimizer: the rates within 1 % of its best, the "
                "rate beyond which half of the runs diverge with its uncertainty, and the rates at which runs diverged."
            ),
            '<p class="choices">' + choice("rates-choice", "range", {"all": "all scores", "near": "near the best"})
            + '</p><div id="rates"></div>',
        ),
        section(
            "Best after k trials",
            escape(
                "What a search of k trials can expect: with few trials one optimizer may be the better choice, with "
                "many another." + (" Bands: 95 %, where enough trials are left to know." if known else "")
                + _by_budget(board)
            ),
            '<p class="choices">' + choice("budget-choice", "range", {"all": "all scores", "near": "near the end"})
            + '</p><div id="budget"></div>',
        ),
    ]  # fmt: skip


def _by_budget(board: Mapping[str, Any]) -> str:
    """Who to choose with how many trials, and how sure that is."""
    found = board["choices"]
    if not found:
        return ""
    if len(found) == 1:
        told = f" With any number of trials choose {label(found[0]['optimizer'])}"
    else:
        first, *between, last = found
        few = "With 1 trial" if first["to"] == 1 else f"Up to {words.trials(first['to'])}"
        told = f" {few} choose {label(first['optimizer'])}"
        told += "".join(f", up to {each['to']} {label(each['optimizer'])}" for each in between)
        told += f", with more {label(last['optimizer'])}"
    if all(not each["open"] for each in found):
        return f"{told}; beyond doubt."
    sure = any(each["ahead_of"] for each in found)
    return f"{told}: {'the better guess, not beyond doubt against all' if sure else 'a guess, not beyond doubt'}."


def _code(board: Mapping[str, Any]) -> str:
    coded = [row for row in board["rows"] if row["code"]]
    if not coded:
        return ""
    first, others = coded[0], coded[1:]
    rest = "".join(
        f'<details class="code-of"><summary>{escape(label(row["optimizer"]))}</summary>{_both(row)}</details>'
        for row in others
    )
    return section(f"The winner's code: {label(first['optimizer'])}", "", _both(first)) + (
        f"<h3>The others</h3>{rest}" if rest else ""
    )


def _both(row: Mapping[str, Any]) -> str:
    found = row["code"]
    torch = found["torch"]
    other = f"<h3>torch</h3>{code(folded(torch, COLUMNS))}" if torch else ""
    none = "" if torch else '<p class="note">torch.optim has no such rule with this schedule.</p>'
    return f"<h3>downslope</h3>{code(folded(found['downslope'], COLUMNS))}{other}{none}"
