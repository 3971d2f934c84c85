"""The list of tasks on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..training.task import PARTS, Task


def as_rows(tasks: Iterable[Task]) -> list[dict[str, Any]]:
    """What there is to know of each task before it is trained, as JSON has it."""
    return [
        {
            "name": task.name,
            "title": task.title,
            "sizes": dict(zip(PARTS, task.sizes)),
            "settings": dict(task.settings),
            "epochs": task.epochs,
            "batch": task.batch,
            "chance": task.chance,
            "score": task.score,
        }
        for task in tasks
    ]


def print_tasks(rows: list[dict[str, Any]], console: Console | None = None) -> None:
    """A name and four lines for each task, at any width."""
    console = console or Console()
    for row in rows:
        _put(console, Text(row["name"], style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 0, 0, 2))
        table.add_column(no_wrap=True, style="dim")
        table.add_column()
        table.add_row("what", Text(row["title"]))
        table.add_row("data", Text(_sizes(row["sizes"])))
        table.add_row("settings", Text(_settings(row["settings"])))
        table.add_row("score", Text(row["score"]))
        _put(console, table)
    _put(console, Text("A task of your own: downslope new my_task.py", style="dim"))


def _sizes(sizes: Mapping[str, int]) -> str:
    return ", ".join(f"{size:,} {part}" for part, size in sizes.items()) or "unknown"


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={_short(value)}" for name, value in settings.items()) or "none"


def _short(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else repr(value)


def _put(console: Console, part: Text | Table) -> None:
    """Print it; without the spaces at the ends of a table's lines where they go to a file."""
    with console.capture() as captured:
        console.print(part, markup=False, highlight=False, emoji=False)
    lines = captured.get().split("\n")
    print("\n".join(lines if console.is_terminal else map(str.rstrip, lines)), end="", file=console.file)
