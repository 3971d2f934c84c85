"""The race on the terminal: a live table while it runs, plain lines where that cannot be, the leaderboard."""

from __future__ import annotations

import time
from collections.abc import Iterator
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

    total: int
    done: int = 0
    diverged: int = 0
    best: float = 0.0
    best_lr: float = 0.0
    since: float | None = None
    until: float | None = None

    def add(self, record: dict[str, Any], now: float) -> None:
        self.done += 1
        self.diverged += record["diverged"]
        if not record["diverged"] and record["validation_accuracy"] > self.best:
            self.best, self.best_lr = record["validation_accuracy"], record["lr"]
        if self.done == self.total:
            self.until = now

    def seconds(self, now: float) -> float:
        return 0.0 if self.since is None else (self.until or now) - self.since


class LiveTable:
    """Watches a race: a table that redraws in place on a terminal, else one line when an optimizer is through.

    Its seconds are those on the clock, of this sitting.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.live: Live | None = None
        self.rows: dict[str, Progress] = {}
        self.title = ""

    def start(self, plan: Plan, folder: Path, records: list[dict[str, Any]], notes: list[str]) -> None:
        trials = plan.trials()
        self.rows = {name: Progress(len(grid) * len(plan.seeds)) for name, grid in plan.grids.items()}
        for record in records:
            self.rows[record["optimizer"]].add(record, time.monotonic())
        for note in notes:
            say(self.console, note)
        kept = f", {len(records)} of them finished before" if records else ""
        self.title = f"{plan.task}: {len(trials)} runs{kept} -> {folder}"
        if self.console.file.isatty() and not self.console.is_dumb_terminal:
            self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4)
            self.live.start()
        else:
            self.console.print(self.title, markup=False, highlight=False, soft_wrap=True)
        self._begin()

    def finished(self, record: dict[str, Any]) -> None:
        progress = self.rows[record["optimizer"]]
        progress.add(record, time.monotonic())
        self._begin()
        if self.live is None and progress.done == progress.total:
            self._line(record["optimizer"], progress)

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _begin(self) -> None:
        """Start the clock of the first optimizer that is not through: the trials of one follow those of another."""
        for progress in self.rows.values():
            if progress.until is None:
                progress.since = progress.since or time.monotonic()
                return

    def _line(self, name: str, progress: Progress) -> None:
        best = f"best run {_percent(progress.best)} at {rate(progress.best_lr)}" if progress.best else "no run finished"
        counts = f"{progress.done}/{progress.total}"
        seconds = f"{progress.seconds(time.monotonic()):.1f} s"
        line = f"{name:<{max(map(len, self.rows))}}  {counts:>7}  {best}  diverged {progress.diverged}  {seconds}"
        say(self.console, line)

    def _table(self) -> Table:
        narrow = self.console.width < 60
        table = Table(box=None, padding=(0, 1, 0, 0), title=None if narrow else self.title, title_justify="left")
        names = ("optimizer", "done", "best", "div", "s") if narrow else HEADS
        for place, head in enumerate(names):
            table.add_column(head, justify="left" if place == 0 else "right", no_wrap=True)
        for name, row in self.rows.items():
            best = _percent(row.best) if row.best else "-"
            where = f" at {rate(row.best_lr)}" if row.best and not narrow else ""
            seconds = f"{row.seconds(time.monotonic()):.1f}" if row.since else "-"
            table.add_row(_name(name), f"{row.done}/{row.total}", best + where, str(row.diverged), seconds)
        return table


HEADS = ("optimizer", "done", "best run", "diverged", "seconds")


def print_leaderboard(console: Console, board: dict[str, Any], folder: Path) -> None:
    """The leaderboard, its verdict, and how it was made; three lines for each optimizer on a narrow terminal."""
    console.print()
    if not board["complete"]:
        console.print(f"Leaderboard so far, {board['finished']} of {board['trials']} runs:", highlight=False)
    if board["rows"]:
        wide = _wide(board)
        fits = console.measure(wide, options=console.options.update(max_width=1000)).maximum <= console.width
        console.print(wide if fits else _narrow(board))
        console.print()
        console.print(board["verdict"], markup=False, highlight=False)
        console.print(board["method"], markup=False, highlight=False, style="dim")
        console.print()
    say(console, str(folder))


def _wide(board: dict[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("", no_wrap=True)
    table.add_column("optimizer", no_wrap=True)
    for head in ("test accuracy", "best lr", "width, decades", "diverged", "seconds"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in board["rows"]:
        table.add_row(str(row["rank"]), _name(row["optimizer"]), *cells(row))
    if any(map(is_open, board["rows"])):
        table.caption = "> the width runs into the end of the grid"
        table.caption_justify = "left"
    return table


def _narrow(board: dict[str, Any]) -> Text:
    lines = Text()
    for row in board["rows"]:
        accuracy, best, width, diverged, seconds = cells(row)
        lines.append(f"{row['rank']} ").append_text(_name(row["optimizer"])).append(f"  {accuracy}\n")
        lines.append(f"    lr {best}, width {width}\n", style="dim")
        lines.append(f"    diverged {diverged}, {seconds} s\n", style="dim")
    lines.rstrip()
    return lines


def cells(row: dict[str, Any]) -> Iterator[str]:
    """A row of the leaderboard in words: accuracy, best learning rate, width, diverged share, seconds."""
    test = row["test_accuracy"]
    around = f" ± {100 * (test['high'] - test['mean']):.1f}" if test["high"] is not None else ""
    yield f"{100 * test['mean']:.1f}{around} %"
    yield "-" if row["best_lr"] is None else rate(row["best_lr"])
    yield "-" if row["width_decades"] is None else f"{'> ' if is_open(row) else ''}{row['width_decades']:.1f}"
    yield f"{100 * row['diverged_share']:.0f} %"
    yield f"{row['seconds']:.2f}"


def is_open(row: dict[str, Any]) -> bool:
    return row["width_open_below"] or row["width_open_above"]


def rate(value: float) -> str:
    """A learning rate with two digits: 0.01, 3.2e-05."""
    return f"{value:.2g}"


def _name(name: str) -> Text:
    return Text.assemble(("● ", style(name).colour), name)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
