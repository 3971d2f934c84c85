"""A race on the terminal while it runs: one table that is redrawn in place, or plain lines where that cannot be."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..race import Plan
from .leaderboard import coloured
from .words import number, rate

QUIET = 60.0
"""Seconds after which a race that is not on a terminal says how far it is, also in the middle of a round."""


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
        if not record["diverged"] and found is not None and (self.best is None or sign * found > sign * self.best):
            self.best, self.best_lr = found, record["trial"]["settings"].get("lr")


class LiveTable:
    """Watches a race: a table that redraws in place on a terminal, else a line when a round is through.

    Nothing is kept here that is not in the race's folder. The seconds of an optimizer are those of training, the
    others what the clock says since this session began."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console()
        self.live: Live | None = None
        self.rows: dict[str, Progress] = {}
        self.monitor, self.title, self.round = "metric", "", ""
        self.total: int | None = None
        self.each: bool = True  # whether all optimizers have the same number of trials
        self.left, self.of = 0, 0  # of the round
        self.now = 0  # trials finished in this session
        self.since = self.begun = self.said = time.monotonic()

    def start(self, plan: Plan, folder: Path, records: list[dict[str, Any]], notes: list[str]) -> None:
        self.rows = {name: Progress() for name in plan.optimizers}
        self.monitor, self.total, self.now, self.each = plan.monitor, None, 0, plan.trials is not None
        self.since = self.begun = self.said = time.monotonic()
        for record in records:
            self.rows[record["trial"]["optimizer"]].add(record, self.monitor)
        for note in notes:
            say(self.console, note)
        kept = f", {len(records)} trials finished before" if records else ""
        many = "s" * (len(self.rows) != 1)
        self.title = f"{plan.task}: {len(self.rows)} optimizer{many}{kept} -> {folder}"
        say(self.console, self.title)
        if self.console.file.isatty() and not self.console.is_dumb_terminal:
            self.live = Live(console=self.console, get_renderable=self._table, refresh_per_second=4, transient=True)
            self.live.start()

    def begin(self, stage: str, trials: int, total: int | None) -> None:
        self.round, self.left, self.of, self.total, self.since = stage, trials, trials, total, time.monotonic()

    def finished(self, record: dict[str, Any]) -> None:
        self.rows[record["trial"]["optimizer"]].add(record, self.monitor)
        self.left -= 1
        self.now += 1
        if self.live is None and (self.left == 0 or time.monotonic() - self.said > QUIET):
            self.said = time.monotonic()
            spent, left = self.said - self.since, self._left()
            more = f"  about {clock(left)} left" if self.left and left is not None else ""
            say(self.console, f"{self.round:<8}  {self._done()}  {spent:.1f} s  {self._leader()}{more}")

    def note(self, text: str) -> None:
        say(self.live.console if self.live is not None else self.console, text)

    def stop(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None

    def _done(self) -> str:
        done = sum(row.done for row in self.rows.values())
        return f"{done}{'' if self.total is None else f' of {max(self.total, done)}'} trials"

    def _left(self) -> float | None:
        """Seconds that the rest takes if its trials take as long as those of this session."""
        if self.total is None or not self.now:
            return None
        left = max(self.total - sum(row.done for row in self.rows.values()), 0)
        return (time.monotonic() - self.begun) / self.now * left

    def _leader(self) -> str:
        sign = 1 if self.monitor == "metric" else -1
        found = {name: sign * row.best for name, row in self.rows.items() if row.best is not None}
        if not found:
            return "no run finished"
        name = max(found, key=lambda n: found[n])
        return f"best run {number(sign * found[name])}: {name} at {rate(self.rows[name].best_lr)}"

    def _table(self) -> Group:
        wide = self._rows(narrow=False)
        needed = self.console.measure(wide, options=self.console.options.update(max_width=1000)).maximum
        narrow = needed > self.console.width
        return Group(self._rows(narrow=True) if narrow else wide, self._caption(narrow))

    def _rows(self, narrow: bool) -> Table:
        table = Table(box=None, padding=(0, 1 if narrow else 2, 0, 0))
        for place, head in enumerate(("optimizer", "done", "best", "div", "s") if narrow else HEADS):
            table.add_column(head, justify="left" if place == 0 else "right", no_wrap=True)
        most = self.total // len(self.rows) if self.total is not None and self.each else None
        for name, row in self.rows.items():
            best = "-" if row.best is None else number(row.best)
            where = f" at {rate(row.best_lr)}" if row.best is not None and not narrow else ""
            done = str(row.done) if most is None else f"{row.done}/{max(most, row.done)}"
            table.add_row(coloured(name), done, best + where, str(row.diverged), f"{row.seconds:.1f}")
        return table

    def _caption(self, narrow: bool) -> Text:
        spent, left = time.monotonic() - self.begun, self._left()
        parts = [f"{self.round}: {self.of - self.left} of {self.of}" if self.round else "starting", self._done()]
        parts.append(clock(spent) + ("" if left is None else f", about {clock(left)} left"))
        return Text(("\n" if narrow else "   ").join(parts), "dim")


HEADS = ("optimizer", "trials", "best run", "diverged", "seconds")


def clock(seconds: float) -> str:
    """`0:42`, `12:05`, `3:12:05`."""
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
