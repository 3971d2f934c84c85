"""The end of a race on the terminal: verdict, leaderboard, the winner's code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..race.result import Several
from . import words
from .colours import style
from .folded import folded


def print_leaderboard(console: Console, board: dict[str, Any], folder: Path | str) -> None:
    """The verdict, the leaderboard and the winner's code. How it was made is in the report.

    As many columns as there is room for; three lines for each optimizer on a narrow terminal."""
    put = Printer(console)
    console.print()
    if not board["complete"]:
        of = "" if board["trials_expected"] is None else f" of {board['trials_expected']}"
        put(f"So far, after {board['finished']}{of} trials:")
    if board["rows"]:
        put(board["verdict"]["headline"], "bold")
        console.print()
        table = _fitting(console, board)
        put(_narrow(board) if table is None else table)
        if table is not None and any(map(words.is_open, board["rows"])):
            put("tolerance in decades of learning rates; > it runs into the end of what was tried", "dim")
        console.print()
        for sentence in board["verdict"]["sentences"]:
            put(sentence)
        for note in board["notes"]:
            put(note, "dim")
        _code(console, put, board)
        console.print()
    console.print(str(folder), markup=False, highlight=False, soft_wrap=True)


def print_together(console: Console, several: Several) -> None:
    """What races on several tasks say together; nothing while they are not all complete."""
    if several.together is None:
        return
    put = Printer(console)
    console.print()
    for place, sentence in enumerate(several.together["sentences"]):
        put(sentence, "bold" if place == 0 else "")
    console.print()
    console.print(str(several.folder), markup=False, highlight=False, soft_wrap=True)


class Printer:
    """Prints text without markup, and without spaces at the ends of lines where they go to a file."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def __call__(self, part: str | Text | Table, kind: str = "") -> None:
        shown = Text(part, kind) if isinstance(part, str) else part
        if self.console.is_terminal:
            self.console.print(shown, highlight=False)
            return
        with self.console.capture() as captured:
            self.console.print(shown, highlight=False)
        print("\n".join(map(str.rstrip, captured.get().split("\n"))), end="", file=self.console.file)


class Column(NamedTuple):
    head: str
    cell: Callable[[Mapping[str, Any]], str]
    rank: int = 0  # those with the largest go first where there is no room


COLUMNS = (
    Column("{part} {monitor}", lambda row: words.score(row["score"])),
    Column("lr", lambda row: words.rate(row["settings"].get("lr"))),
    Column("tolerance", words.tolerance, 1),
    Column("diverged", words.share),
    Column("steps to target", words.steps, 2),
    Column("state", lambda row: words.memory(row["state_bytes"]), 3),
    Column("seconds", lambda row: "-" if row["seconds"] is None else f"{row['seconds']:.2f}"),
)


def _fitting(console: Console, board: Mapping[str, Any]) -> Table | None:
    """The table with as many columns as there is room for; None where there is not enough for the most important."""
    for most in (3, 2, 1):
        table = _wide(board, most)
        needed = console.measure(table, options=console.options.update(max_width=1000)).maximum
        if needed <= console.width:
            return table
    return None


def _wide(board: Mapping[str, Any], most: int) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    table.add_column("", no_wrap=True)
    table.add_column("optimizer", no_wrap=True)
    columns = [column for column in COLUMNS if column.rank <= most]
    for column in columns:
        head = column.head.format(part=board["part"], monitor=board["monitor"])
        table.add_column(head, justify="right", no_wrap=True)
    for row in board["rows"]:
        table.add_row(str(row["rank"]), coloured(row["optimizer"]), *(Text(column.cell(row)) for column in columns))
    return table


def _narrow(board: Mapping[str, Any]) -> Text:
    lines = Text()
    for row in board["rows"]:
        lr, seconds = words.rate(row["settings"].get("lr")), words.seconds(row["seconds"])
        name = coloured(row["optimizer"])
        lines.append(f"{row['rank']} ").append_text(name).append(f"  {words.score(row['score'])}\n")
        lines.append(f"    lr {lr}, tolerance {words.tolerance(row)}\n", style="dim")
        lines.append(f"    diverged {words.share(row)}, {seconds}\n", style="dim")
    lines.rstrip()
    return lines


def coloured(name: str) -> Text:
    """An optimizer with its colour in front."""
    return Text.assemble(("● ", style(name).colour), name)


# ---- code

LEAST = 70  # columns below which code is left to the report


def _code(console: Console, put: Printer, board: Mapping[str, Any]) -> None:
    found = board["rows"][0]["code"]
    if found is None or not board["rows"][0]["score"]["by_seed"] or console.width < LEAST:
        return
    console.print()
    for line in folded(found["downslope"], console.width).splitlines():
        console.print(Text(line), highlight=False, soft_wrap=True)
