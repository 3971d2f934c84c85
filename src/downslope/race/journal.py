"""What is known of a race so far: the finished trials and the decisions that were taken, by what the referee asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .trial import Record, Trial

Decision = dict[str, Any]


@dataclass
class Journal:
    """The finished trials by what they are, in the order in which they finished, and the decisions."""

    records: dict[Trial, Record] = field(default_factory=dict)
    decisions: list[Decision] = field(default_factory=list)

    def add(self, line: Record | Decision) -> bool:
        """Take a line of the journal in; False for a trial that is there already."""
        if "decision" in line:
            self.decisions.append(line)
            return True
        trial = Trial.from_json(line["trial"])
        if trial in self.records:
            return False
        self.records[trial] = line
        return True

    def missing(self, trials: Iterable[Trial]) -> list[Trial]:
        """The trials that are not finished."""
        return [trial for trial in trials if trial not in self.records]

    def decision(self, kind: str, **like: Any) -> Decision | None:
        """The last decision of a kind, or None while it is open."""
        for found in reversed(self.decisions):
            if found["decision"] == kind and all(found.get(k) == v for k, v in like.items()):
                return found
        return None
