"""What a race gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..training.files import pretty, write_atomic
from .journal import Decision
from .plan import Plan
from .trial import Record, short


@dataclass(frozen=True, repr=False)
class Result:
    """A race: its plan, its folder, the records of all finished trials, the decisions, the board made of them.

    Printed, it is the verdict and the leaderboard."""

    plan: Plan
    folder: Path
    records: list[Record]
    decisions: list[Decision]
    board: dict[str, Any]
    interrupted: bool = False

    @property
    def verdict(self) -> str:
        """The answer in plain words."""
        made = self.board["verdict"]
        return " ".join([made["headline"], *made["sentences"]])

    @property
    def best(self) -> Mapping[str, Any] | None:
        """The first row of the board: its optimizer, settings, score and code; None where nothing was trained."""
        return self.board["rows"][0] if self.board["rows"] else None

    def __repr__(self) -> str:
        begun = [f"Interrupted after {len(self.records)} trials."] if self.interrupted else []
        return "\n".join([*begun, self.board["verdict"]["headline"], "", *_table(self.board), "", str(self.folder)])


@dataclass(frozen=True, repr=False)
class Several:
    """Races on several tasks, and what they say together (None until all are complete)."""

    folder: Path
    results: list[Result]
    together: dict[str, Any] | None

    @classmethod
    def of(cls, folder: Path, results: list[Result], complete: bool) -> Several:
        """Made of the results, and written to aggregate.json when all of them are complete."""
        from .aggregate import aggregate

        together = aggregate([result.board for result in results]) if complete else None
        if together is not None:
            write_atomic(folder / "aggregate.json", pretty(together))
        return cls(folder, results, together)

    @property
    def interrupted(self) -> bool:
        return self.together is None

    @property
    def verdict(self) -> str:
        """The answer of each task, in plain words."""
        return "\n".join(f"{result.plan.task}: {result.verdict}" for result in self.results)

    def __repr__(self) -> str:
        return "\n\n".join(f"{result.plan.task}\n{result!r}" for result in self.results)


def _table(board: Mapping[str, Any]) -> list[str]:
    """A line for each optimizer, in columns."""
    lines = [("", "optimizer", board["monitor"], "settings")]
    for row in board["rows"]:
        found = ", ".join(f"{k}={short(v)}" for k, v in dict(row["settings"] or {}).items())
        lines.append((str(row["rank"]), row["optimizer"], _score(row["score"]), found or "-"))
    wide = [max(len(line[i]) for line in lines) for i in range(3)]
    return ["  ".join([*(f"{cell:<{w}}" for cell, w in zip(line, wide)), line[3]]).rstrip() for line in lines]


def _score(score: Mapping[str, Any]) -> str:
    if score["mean"] is None:
        return "-"
    around = f" ± {(score['high'] - score['low']) / 2:.2g}" if score["high"] is not None else ""
    return f"{score['mean']:.4g}{around}"
