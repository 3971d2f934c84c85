"""The race on the terminal: a live table while it runs, plain lines where that cannot be, the leaderboard."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..race import Plan
from .colours import style


def say(console: Console, text: str) -> None:
    """Print a line as it is: no markup, no breaks of its own, so that a path or command can be copied."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


@dataclass
class Progress:
    """How far one optimizer is."""

    done: int = 0
    diverged: int = 0
    best: float | None = None
    best_lr: float | None = None
    seconds: float = 0.0

    def add(self, record: Mapping[str, Any], monitor: str) -> None:
        self.done += 1
        self.diverged += record["diverged"]
        self.seconds += record["seconds"]
        found = record[f"validation_{monitor}"]
        sign = 1 if monitor == "metric" else -1
        if not record["diverged"] and (self.best is None or sign * found > sign * self.best):
            self.best, self.best_lr = found, record["trial"]["settings"].get("lr")


class LiveTable:
    """Watches a race: a table that redraws in place on a terminal, else a line when a round is through.

    Its seconds are those of training."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live: Live | None = None
        self.rows: dict[str, Progress] = {}
        self.monitor, self.title, self.round = "metric", "", ""
        self.total: int | None = None
        self.left = 0
        self.since = time.monotonic()

    def start(self, plan: Plan, folder: Path, records: list[dict[str, Any]], notes: list[str]) -> None:
        self.rows = {name: Progress() for name in plan.optimizers}
        self.monitor = plan.monitor
        for record in records:
            self.rows[record["trial"]["optimizer"]].add(record, self.monitor)
        for note in notes:
            say(self.console, note)
        kept = f", {len(records)} trials finished before" if records else ""
        many = "s" * (len(self.rows) != 1)
        self.title = f"{plan.task}: {len(self.rows)} optimizer{many}{kept} -> {folder}"
        if self.console.file.isatty() and not self.console.is_dumb_terminal:
            self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4)
            self.live.start()
        else:
            say(self.console, self.title)

    def begin(self, stage: str, trials: int, total: int | None) -> None:
        self.round, self.left, self.total, self.since = stage, trials, total, time.monotonic()

    def finished(self, record: dict[str, Any]) -> None:
        self.rows[record["trial"]["optimizer"]].add(record, self.monitor)
        self.left -= 1
        if self.live is None and self.left == 0:
            done = sum(row.done for row in self.rows.values())
            of = "" if self.total is None else f" of {max(self.total, done)}"
            spent = time.monotonic() - self.since
            say(self.console, f"{self.round:<8}  {done}{of} trials  {spent:.1f} s  {self._leader()}")

    def note(self, text: str) -> None:
        say(self.live.console if self.live is not None else self.console, text)

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _leader(self) -> str:
        sign = 1 if self.monitor == "metric" else -1
        found = {name: sign * row.best for name, row in self.rows.items() if row.best is not None}
        if not found:
            return "no run finished"
        name = max(found, key=lambda n: found[n])
        return f"best run {number(sign * found[name])}: {name} at {rate(self.rows[name].best_lr)}"

    def _table(self) -> Table:
        narrow = self.console.width < 60
        table = Table(box=None, padding=(0, 1, 0, 0), title=None if narrow else self.title, title_justify="left")
        for place, head in enumerate(("optimizer", "done", "best", "div", "s") if narrow else HEADS):
            table.add_column(head, justify="left" if place == 0 else "right", no_wrap=True)
        for name, row in self.rows.items():
            best = "-" if row.best is None else number(row.best)
            where = f" at {rate(row.best_lr)}" if row.best is not None and not narrow else ""
            table.add_row(_name(name), str(row.done), best + where, str(row.diverged), f"{row.seconds:.1f}")
        done = sum(row.done for row in self.rows.values())
        of = "" if self.total is None else f" of {max(self.total, done)}"
        table.caption, table.caption_justify = f"{self.round}: {done}{of} trials", "left"
        return table


HEADS = ("optimizer", "trials", "best run", "diverged", "seconds")


def print_leaderboard(console: Console, board: dict[str, Any], folder: Path | str) -> None:
    """The verdict, the leaderboard, and how it was made; three lines for each optimizer on a narrow terminal."""
    console.print()
    if not board["complete"]:
        of = "" if board["trials_expected"] is None else f" of {board['trials_expected']}"
        console.print(f"So far, after {board['finished']}{of} trials:", highlight=False)
    if board["rows"]:
        console.print(board["verdict"]["headline"], markup=False, highlight=False, style="bold")
        console.print()
        wide = _wide(board)
        fits = console.measure(wide, options=console.options.update(max_width=1000)).maximum <= console.width
        console.print(wide if fits else _narrow(board))
        console.print()
        for sentence in board["verdict"]["sentences"]:
            console.print(sentence, markup=False, highlight=False)
        console.print(board["method"], markup=False, highlight=False, style="dim")
        for note in board["notes"]:
            console.print(note, markup=False, highlight=False, style="dim")
        console.print()
    say(console, str(folder))


def _wide(board: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("optimizer", no_wrap=True)
    for head in (f"{board['part']} {board['monitor']}", "lr", "tolerance", "diverged", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in board["rows"]:
        table.add_row(str(row["rank"]), _name(row["optimizer"]), *cells(row))
    if any(map(is_open, board["rows"])):
        table.caption = "tolerance in decades of learning rates; > it runs into the end of what was tried"
        table.caption_justify = "left"
    return table


def _narrow(board: dict[str, Any]) -> Text:
    lines = Text()
    for row in board["rows"]:
        score, best, width, diverged, seconds = cells(row)
        lines.append(f"{row['rank']} ").append_text(_name(row["optimizer"])).append(f"  {score}\n")
        lines.append(f"    lr {best}, tolerance {width}\n", style="dim")
        lines.append(f"    diverged {diverged}, {seconds} s\n", style="dim")
    lines.rstrip()
    return lines


def cells(row: dict[str, Any]) -> Iterator[str]:
    """A row of the leaderboard in words: score, learning rate, its tolerance, diverged share, seconds of a run."""
    score = row["score"]
    around = "" if score["high"] is None else f" ± {abs(score['high'] - score['low']) / 2:.2g}"
    yield "-" if score["mean"] is None else f"{number(score['mean'])}{around}"
    yield rate(row["settings"].get("lr"))
    tolerance = row["lr_tolerance"]
    yield "-" if tolerance is None else f"{'> ' if is_open(row) else ''}{tolerance['decades']:.1f}"
    yield f"{100 * row['diverged_share']:.0f} %"
    yield "-" if row["seconds"] is None else f"{row['seconds']:.2f}"


def is_open(row: dict[str, Any]) -> bool:
    found = row["lr_tolerance"]
    return found is not None and bool(found["open_below"] or found["open_above"])


def rate(value: float | None) -> str:
    """A learning rate with two digits: 0.01, 3.2e-05."""
    return "-" if value is None else f"{value:.2g}"


def number(value: float) -> str:
    """A score with three decimals, or four digits where that would hide it."""
    return f"{value:.3f}" if value == 0 or 0.01 <= math.fabs(value) < 1000 else f"{value:.3e}"


def _name(name: str) -> Text:
    return Text.assemble(("● ", style(name).colour), name)
