"""What a check says: ok, warn, fail or cannot tell, with what was measured and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

GRADES = ("ok", "cannot tell", "warn", "fail")
"""From harmless to worst. Only `fail` says that training is broken; `warn` says what will cost something."""


@dataclass(frozen=True)
class Verdict:
    """One check's answer: its name, one of GRADES, the measured evidence, the remedy ("" where none is needed).

    `figures` holds the numbers of the evidence, for machines; `seconds` is what the check took.
    """

    name: str
    verdict: str
    evidence: str
    remedy: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def __str__(self) -> str:
        remedy = f"\n             -> {self.remedy}" if self.remedy else ""
        return f"{self.verdict:<11}  {self.name}: {self.evidence}{remedy}"


class Verdicts(tuple[Verdict, ...]):
    """The verdicts of one task, in the order of the checks; prints as a table."""

    @property
    def failed(self) -> list[Verdict]:
        """Those that say that training is broken."""
        return [v for v in self if v.verdict == "fail"]

    def __str__(self) -> str:
        return "\n".join(map(str, self))


class CannotTell(Exception):
    """Raised inside a check whose premise does not hold; becomes a verdict."""

    def __init__(self, evidence: str, remedy: str = ""):
        super().__init__(evidence)
        self.evidence, self.remedy = evidence, remedy


class Notes:
    """Gathers what a check finds; the worst of it is the verdict, and only that is told when it is bad."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}
        self._said: list[tuple[str, str, str]] = []

    def ok(self, evidence: str) -> None:
        self._said.append(("ok", evidence, ""))

    def warn(self, evidence: str, remedy: str) -> None:
        self._said.append(("warn", evidence, remedy))

    def fail(self, evidence: str, remedy: str) -> None:
        self._said.append(("fail", evidence, remedy))

    def unsure(self, evidence: str, remedy: str = "") -> None:
        self._said.append(("cannot tell", evidence, remedy))

    @property
    def failed(self) -> bool:
        return any(grade == "fail" for grade, _, _ in self._said)

    def verdict(self) -> Verdict:
        """The worst grade; its notes come first, those that are harmless only where nothing is bad."""
        grades = [grade for grade, _, _ in self._said]
        worst = max(grades, key=GRADES.index, default="ok")
        bad: list[str] = [grade for grade in ("fail", "warn") if grade in grades] or ["cannot tell", "ok"]
        told = [note for grade in bad for note in self._said if note[0] == grade]
        remedies = dict.fromkeys(remedy for _, _, remedy in told if remedy)
        return Verdict("", worst, "; ".join(text for _, text, _ in told), "; ".join(remedies), self.figures)


def listed(names: list[str], limit: int = 4) -> str:
    """Some names in words: `a, b, c and 7 more`."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
