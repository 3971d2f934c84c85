"""Counts and their intervals, from the entries of the journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from .rules.table import RULES

Entry = dict[str, Any]
MEANS = {rule.name: rule.means for rule in RULES}
ORDER = {rule.name: i for i, rule in enumerate(RULES)}


@dataclass(frozen=True)
class Share:
    """k of n, with the exact 95 % interval of Clopper and Pearson, which takes the runs as independent."""

    k: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        from scipy.stats import binomtest

        if not self.n:
            return 0.0, 1.0
        found = binomtest(self.k, self.n).proportion_ci(0.95, "exact")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        if not self.n:
            return "none"
        low, high = self.interval
        return f"{self.k} of {self.n}, {self.k / self.n:.1%} ({low:.1%} to {high:.1%})"


def share(entries: Iterable[Entry], holds: Callable[[Entry], bool]) -> Share:
    found = [holds(entry) for entry in entries]
    return Share(sum(found), len(found))


def right_first(entry: Entry) -> bool:
    return bool(entry["found"]) and entry["found"][0] in entry["right"]


def right_at_all(entry: Entry) -> bool:
    return bool(set(entry["found"]) & set(entry["right"]))


def anything(entry: Entry) -> bool:
    return bool(entry["found"])


def alarms(entry: Entry, tool: str) -> list[str]:
    """The rules of a tool that fired in a run, the earliest first."""
    own = {rule.name for rule in RULES if rule.tool == tool}
    fired = {name: step for name, step in entry["rules"].items() if name in own}
    return sorted(fired, key=lambda name: (fired[name], ORDER[name]))


def rule_first(entry: Entry, tool: str) -> bool:
    """Does the first alarm mean a right cause?"""
    found = alarms(entry, tool)
    return bool(found) and bool(MEANS[found[0]] & set(entry["right"]))


def rule_at_all(entry: Entry, tool: str) -> bool:
    return any(MEANS[name] & set(entry["right"]) for name in alarms(entry, tool))


def sick(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if not entry["healthy"] and entry["holds"]]


def healthy(entries: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry["healthy"] and entry["holds"]]
