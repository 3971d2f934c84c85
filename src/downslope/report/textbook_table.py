"""Claims on the terminal: a line as each is finished, then a table of all with their verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..textbook.checks import MET
from ..textbook.registry import CHAPTERS, by_name
from ..textbook.run import Finished
from ..textbook.verdict import HOLDS, LIMITS, NOT_HERE
from .table import say

COLOURS = {HOLDS: "green", LIMITS: "yellow", NOT_HERE: "magenta"}
OUTCOME = {"met": "✓", "missed": "✗", "open": "?"}
ROOM = 100
"""Columns below which a claim goes on two lines."""


def print_progress(console: Console, finished: Finished, new: bool) -> None:
    """One line as a claim is finished, or found finished."""
    took = f"{finished.seconds:.1f} s" if new else "from before"
    line = Text.assemble(
        (f"{finished.verdict:<19}", COLOURS[finished.verdict]), f" {finished.slug}", (f"  {took}", "dim")
    )
    console.print(line, highlight=False, soft_wrap=True)


def print_claim(console: Console, finished: Finished) -> None:
    """One claim in full: what is said, the verdict, each check with its figures."""
    say(console, "")
    console.print(Text(finished.title, "bold"), highlight=False)
    console.print(Text(finished.says), highlight=False)
    console.print(Text(f"{finished.source}. On {finished.task}, {runs_of(finished)}.", "dim"), highlight=False)
    say(console, "")
    console.print(Text(finished.verdict.capitalize(), f"bold {COLOURS[finished.verdict]}"))
    table = Table(box=None, show_header=False, padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    table.add_column(style="dim")
    for kind, checks in (("decides", finished.core), ("limits", finished.reach)):
        for expected, outcome, found in checks:
            table.add_row(f"{OUTCOME[outcome]} {kind}", Text(expected), Text(found))
    console.print(table, highlight=False)


def print_table(console: Console, every: Sequence[Finished]) -> None:
    """All claims with their verdicts and the figure that decides first."""
    say(console, "")
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for head in ("claim", "verdict", "figures"):
        table.add_column(head, no_wrap=head != "figures")
    for one in every:
        table.add_row(one.slug, Text(one.verdict, COLOURS[one.verdict]), Text(key_figure(one), "dim"))
    if console.width >= ROOM:
        console.print(table, highlight=False)
    else:
        for one in every:
            console.print(Text.assemble((one.verdict, COLOURS[one.verdict]), f"  {one.slug}"), highlight=False)
    counts = Counter(one.verdict for one in every)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in COLOURS if counts[verdict])
    say(console, f"\n{said}; {sum(one.seconds for one in every):.0f} s of one core")


def print_list(console: Console) -> None:
    """All claims by chapter, without running any."""
    for chapter, slugs in CHAPTERS.items():
        console.print(Text(chapter, "bold"), highlight=False)
        width = max(map(len, slugs))
        for slug in slugs:
            line = Text.assemble(f"  {slug:<{width}}  ", (by_name(slug).claim.says, "dim"))
            console.print(line, highlight=False, soft_wrap=not console.is_terminal)
    say(console, "\ndownslope textbook NAME runs one, downslope textbook all of them.")


def key_figure(one: Finished) -> str:
    """The check that decides: the first of the core that was not met, or else its first, with the figures."""
    expected, _, found = next((check for check in one.core if check[1] != MET), one.core[0])
    return f"{expected}: {found}"


def runs_of(one: Finished) -> str:
    return f"{one.seeds} seeds" if one.seeds > 1 else "nothing drawn at random"
