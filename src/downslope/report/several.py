"""The report of races on several tasks: what they say together, and where the report of each is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from ..race import Result
from ..race.result import Several
from ..race.verdict import name as label
from . import words
from .colours import style
from .parts import Ruler, cell, choice, kept, legend, listed, named, page, section, table
from .png_parts import DASH, as_png, dress, end_labels
from .png_parts import legend as png_legend

CLOCKS = {"steps": "by steps", "seconds": "by seconds"}


def several_html(several: Several) -> str:
    """The page of races that are all complete."""
    together = several.together or {}
    tasks = ", ".join(result.plan.task for result in several.results)
    heading = f"{len(several.results)} tasks: {tasks}"
    told = together["sentences"]
    names = _names(together)
    parts = [
        f"<h1>{escape(heading)}</h1>",
        f'<p class="verdict">{escape(kept(told[0]))}</p>',
        listed(told[1:], "sentences"),
    ]
    if together["clocks"]:
        parts += [_scores(together), legend((n, label(n), style(n)) for n in names), _profiles()]
    parts += [_tasks(several.results), section("Method", "", f'<p class="method">{escape(together["method"])}</p>')]
    given = {"RACES": _data(together, names)} if together["clocks"] else {}
    return page(heading, "\n".join(parts), given, ["several.js"] if given else [])


def _names(together: Mapping[str, Any]) -> list[str]:
    """The optimizers, best first."""
    return together["clocks"]["steps"]["order"] if together["clocks"] else together["optimizers"]


def _data(together: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {
        "taus": together["taus"],
        "runners": [
            {
                "name": name, "label": label(name), **style(name)._asdict(),
                "profiles": {clock: found["profiles"][name] for clock, found in together["clocks"].items()},
                "bands": {clock: found["bands"][name] for clock, found in together["clocks"].items()},
            }
            for name in names
        ],
    }  # fmt: skip


# ---- scores


def _scores(together: Mapping[str, Any]) -> str:
    note = escape(
        "Score: the mean of the profile below, 1 for the fastest on every task, and a 95 % interval. Speed-up: how "
        "many times sooner the target is reached, the geometric mean over the tasks where both reach it. First: on how "
        "many tasks it is at the top of the leaderboard."
    )
    clocks = [_clock(together, clock, found) for clock, found in together["clocks"].items()]
    switch = f'<p class="choices">{choice("clock-choice", "clock", CLOCKS)}</p>'
    return section("Over all tasks", note, switch + "".join(clocks))


def _clock(together: Mapping[str, Any], clock: str, found: Mapping[str, Any]) -> str:
    ruler = Ruler([0.0, 1.0])
    speed = f"speed-up over {label(found['reference'])}"
    heads = [
        ("", ""),
        ("optimizer", "text"),
        ("score", ""),
        ("", "bar"),
        (speed, ""),
        ("tasks timed", ""),
        ("first", ""),
    ]
    rows = [_row(together, found, rank, name, ruler) for rank, name in enumerate(found["order"], 1)]
    turned = [
        f"Without {label(w['dropped'])}, {label(b)} would be ahead of {label(a)}: their order hangs on who races."
        for w in found["without"]
        for a, b in w["reversed"]
    ]
    hidden = "" if clock == "steps" else " hidden"
    return f'<div data-clock="{clock}"{hidden}>{table("stack", heads, rows)}{listed(turned, "warnings")}</div>'


def _row(together: Mapping[str, Any], found: Mapping[str, Any], rank: int, name: str, ruler: Ruler) -> str:
    score, speed = found["scores"][name], found["speedups"].get(name)
    strip = ruler.strip(style(name).colour, score["value"], score["low"], score["high"])
    cells = [
        cell(str(rank), "rank"),
        cell(named(label(name), style(name)), "who text"),
        cell(_bounds(score), "score number"),
        cell(strip, "bar"),
        cell("-" if speed is None or speed["value"] is None else _bounds(speed), "number left", "speed-up"),
        cell(f"{_timed(found, name)} of {len(together['tasks'])}", "number right", "timed"),
        cell(f"{together['first'][name]}", "number left", "first on"),
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _timed(found: Mapping[str, Any], name: str) -> int:
    return sum(value is not None for value in found["medians"][name])


def _bounds(found: Mapping[str, Any]) -> str:
    value = f"{found['value']:.2f}"
    return value if found["low"] is None else f"{value} <small>{found['low']:.2f} to {found['high']:.2f}</small>"


def _profiles() -> str:
    note = escape(
        "On which share of the tasks an optimizer takes at most τ times as long as the fastest to reach the target. At "
        "τ = 1 it is the share on which it is the fastest; how high a line ends says how often it gets there at all. "
        "Bands: 95 % at each τ. "
        "Point at the chart, or use its arrow keys, for values."
    )
    return section("Performance profiles", note, '<div id="profiles"></div>')


# ---- tasks


def _tasks(results: Sequence[Result]) -> str:
    return section("Each task", "", f'<div class="cards">{"".join(map(_card, results))}</div>')


def _card(result: Result) -> str:
    board = result.board
    rows = "".join(
        f"<tr>{cell(str(row['rank']), 'rank')}"
        f"{cell(named(label(row['optimizer']), style(row['optimizer'])), 'who text')}"
        f"{cell(escape(words.score(row['score'])), 'number')}</tr>"
        for row in board["rows"]
    )
    folder = escape(result.folder.name, quote=True)
    return (
        f'<div class="card"><h3><a href="{folder}/report.html">{escape(result.plan.task)}</a></h3>'
        f"<p>{escape(kept(board['verdict']['headline']))}</p><table><tbody>{rows}</tbody></table></div>"
    )


# ---- PNG


def several_pngs(several: Several) -> dict[str, bytes]:
    """The profiles, by steps and by seconds."""
    together = several.together or {}
    if not together.get("clocks"):
        return {}

    def draw(figure: Any) -> None:
        names, taus = _names(together), together["taus"]
        both = figure.subplots(1, 2, sharey=True)
        for axes, (clock, found) in zip(both, together["clocks"].items()):
            for name in names:
                look = style(name)
                line = found["profiles"][name]
                band = found["bands"][name]
                if band["low"][0] is not None:
                    shade = 0.13 * min(1.0, 4 / len(names))
                    ends = band["low"], band["high"]
                    look_of = {"color": look.colour, "alpha": shade, "linewidth": 0, "zorder": 1}
                    axes.fill_between(taus, *ends, step="post", **look_of)
                axes.plot(
                    taus, line, color=look.colour, linestyle=DASH[look.dash], linewidth=1.8, drawstyle="steps-post"
                )
            axes.set_ylim(-0.03, 1.04)
            dress(axes, f"Share of tasks, {CLOCKS[clock]}", "at most so many times the fastest's time, τ")
        last = together["clocks"]["seconds"]["profiles"]
        end_labels(both[-1], [(label(name), style(name), last[name][-1]) for name in names], 4.2)
        png_legend(figure, [(label(name), style(name)) for name in names])

    return {"profiles.png": as_png(draw, 10.4, 4.6)}
