"""How far the points of a landscape are: a bar that moves, or a line for each slice where that cannot be."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .table import say


class Bar:
    """To be used in a `with`; `tell(name, done, of)` after each few points."""

    def __init__(self, console: Console):
        self.console = console
        self.bar: Progress | None = None
        self.rows: dict[str, Any] = {}

    def __enter__(self) -> Bar:
        if self.console.file.isatty() and not self.console.is_dumb_terminal:
            self.bar = Progress(
                TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("points"),
                TimeRemainingColumn(compact=True), console=self.console, transient=True,
            )  # fmt: skip
            self.bar.start()
        return self

    def tell(self, name: str, done: int, of: int) -> None:
        if self.bar is None:
            if done == of:
                say(self.console, f"{name}: {of} points")
            return
        if name not in self.rows:
            self.rows[name] = self.bar.add_task(name, total=of)
        self.bar.update(self.rows[name], completed=done)

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.stop()
