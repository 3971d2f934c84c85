"""The tables of a report: the leaderboard with its intervals drawn, and the paired comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from ..race.verdict import around, half, p_words, rate, settle
from ..race.verdict import name as label
from . import words
from .colours import style
from .parts import Ruler, cell, choice, named, section, table, whole

FEW = 10  # pairs that are shown at once


def leaderboard_note(board: Mapping[str, Any]) -> str:
    better = "more" if board["monitor"] == "metric" else "less"
    return escape(
        f"The {board['monitor']} on the {board['part']} part, {better} is better: mean over fresh seeds and 95 % "
        "interval; thin lines are the seeds. Tolerance: decades of learning rates that lose at most 1 %; > runs into "
        f"the end of what was tried.{_target(board)} Memory is the optimizer's state, time one run's training."
    )


def _target(board: Mapping[str, Any]) -> str:
    found = board["target"]
    return "" if found is None else f" Target: {board['monitor']} {found['score']:.4g} on the validation part."


def leaderboard(board: Mapping[str, Any]) -> str:
    rows = board["rows"]
    every = [v for row in rows if row["score"]["mean"] is not None for v in _extremes(row["score"])]
    ruler = Ruler(every)
    timed = board["target"] is not None
    heads = [
        ("", ""), ("optimizer", "text"), (f"{board['part']} {board['monitor']}", ""), ("", "bar"), ("settings", "text"),
        ("tolerance, decades", ""), ("runs that diverged", ""), *([("steps to target", "")] if timed else []),
        ("state", ""), ("time", ""),
    ]  # fmt: skip
    return table("stack", heads, (_row(row, ruler, timed) for row in rows))


def _extremes(found: Mapping[str, Any]) -> list[float]:
    """What a strip must have room for; an interval that is much wider than the scores is cut."""
    seeds, mean = found["by_seed"], found["mean"]
    if found["low"] is None:
        return [*seeds]
    spread = max(max(seeds) - min(seeds), 1e-12)
    return [*seeds, *(min(max(v, mean - 2 * spread), mean + 2 * spread) for v in (found["low"], found["high"]))]


def _row(row: Mapping[str, Any], ruler: Ruler, timed: bool) -> str:
    found, look = row["score"], style(row["optimizer"])
    strip = ""
    if found["mean"] is not None:
        strip = ruler.strip(look.colour, found["mean"], found["low"], found["high"], points=found["by_seed"])
    cells = [
        cell(str(row["rank"]), "rank"),
        cell(named(label(row["optimizer"]), look), "who text"),
        cell(escape(words.score(found)), "score number"),
        cell(strip, "bar"),
        cell(_settings(row), "settings text", "at"),
        cell(words.tolerance(row), "number left", "tolerance"),
        cell(f"{row['diverged']} of {row['finished']}", "number right", "diverged"),
    ]
    if timed:
        reached = row["time_to_target"]
        after = "" if reached is None else f" <small>{words.seconds(reached['seconds'])}</small>"
        cells.append(cell(words.steps(row) + after, "number left", "to target"))
    cells.append(cell(words.memory(row["state_bytes"]), f"number {'right' if timed else 'left'}", "state"))
    cells.append(cell(words.seconds(row["seconds"]), f"number {'left' if timed else 'right'}", "time"))
    return f"<tr>{''.join(cells)}</tr>"


def _settings(row: Mapping[str, Any]) -> str:
    chosen = sorted(row["settings"].items(), key=lambda pair: pair[0] != "lr")
    return " ".join(whole(f"{k} {rate(v) if isinstance(v, float) else v}") for k, v in chosen) or "-"


def comparisons(board: Mapping[str, Any]) -> str:
    pairs = board["comparisons"]
    if not pairs:
        return ""
    ruler = Ruler([0.0, *(v for pair in pairs for v in _reach(pair))])
    rows = [_pair(pair, ruler, len(pairs) > FEW and pair["a"] != pairs[0]["a"]) for pair in pairs]
    heads = [("pair", "text"), ("difference", ""), ("", "bar"), ("p", ""), ("decided, or what would settle it", "text")]
    many = ""
    if len(pairs) > FEW:
        each = {"few": f"against {label(pairs[0]['a'])}", "all": f"all {len(pairs)} pairs"}
        many = f'<p class="choices">{choice("pairs-choice", "pairs shown", each)}</p>'
    note = escape(
        "How much better the first of each pair is, on the same seeds: the mean difference and its own 95 % interval. "
        "p is adjusted for all pairs; a filled dot is decided (p at most .05)."
    )
    body = f'<div id="pairs" class="few">{table("stack pairs", heads, rows)}</div>'
    return section("Paired comparisons", note, many + body)


def _reach(pair: Mapping[str, Any]) -> list[float]:
    if pair["low"] is None:
        return [pair["difference"]]
    return [pair["difference"], pair["low"], pair["high"]]


def _settle(pair: Mapping[str, Any]) -> str:
    more = pair["seeds_to_settle"]
    if more is None:
        return settle(pair).replace("too near for a few hundred seeds to settle: they", "too near to settle: they")
    return f"{more} more seed{'s' * (more != 1)}, {words.seconds(pair['seconds_to_settle'])}"


def _pair(pair: Mapping[str, Any], ruler: Ruler, far: bool) -> str:
    strip = ruler.strip(
        style(pair["a"]).colour, pair["difference"], pair["low"], pair["high"], zero=True, hollow=not pair["decided"]
    )
    said = '<span class="decided">decided</span>'
    if not pair["decided"]:
        said = f'<span class="open">undecided</span> <small>{escape(_settle(pair))}</small>'
    who = whole(f"{label(pair['a'])} − {label(pair['b'])}", most=36)
    cells = [
        cell(who, "who text"),
        cell(escape(around(pair["difference"], half(pair))), "score number"),
        cell(strip, "bar"),
        cell(escape(p_words(pair).removeprefix("p ").removeprefix("= ")), "number p", "p"),
        cell(said, "said text"),
    ]
    start = '<tr class="far">' if far else "<tr>"
    return f"{start}{''.join(cells)}</tr>"
