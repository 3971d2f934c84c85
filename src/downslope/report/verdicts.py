"""The verdicts of the checks on the terminal: one line each as it comes, its remedy below where there is one."""

from __future__ import annotations

from collections import Counter

from rich.console import Console
from rich.text import Text

from ..check import Verdict, Verdicts
from .table import say

COLOURS = {"ok": "green", "cannot tell": "dim", "warn": "yellow", "fail": "bold red"}
GRADE, NAME = 11, 13  # columns


def print_verdict(console: Console, verdict: Verdict) -> None:
    """One verdict: its grade, its name, the evidence and the remedy, each under the other."""
    indent = " " * (GRADE + 2 + NAME + 2) if console.width >= 80 else "    "
    head = Text.assemble((f"{verdict.verdict:<{GRADE}}", COLOURS[verdict.verdict]), f"  {verdict.name:<{NAME}}")
    room = console.width - len(indent)
    told = Text(verdict.evidence).wrap(console, room)
    if verdict.remedy:
        told.extend(Text(f"-> {verdict.remedy}", "bold").wrap(console, room))
    first = [] if console.width < 80 else [told.pop(0)]
    console.print(head + Text("  ") + (first[0] if first else Text("")), highlight=False, soft_wrap=True)
    for line in told:
        console.print(Text(indent) + line, highlight=False, soft_wrap=True)


def print_summary(console: Console, verdicts: Verdicts) -> None:
    """How many of each, and how long it took."""
    counts = Counter(v.verdict for v in verdicts)
    words = [f"{counts[grade]} {grade}" for grade in COLOURS if counts[grade]]
    say(console, f"\n{', '.join(words)}; {sum(v.seconds for v in verdicts):.1f} s")
