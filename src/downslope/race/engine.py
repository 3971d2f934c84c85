"""What runs trials: the one seam between a race and where it is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from .trial import Record, Trial


@dataclass(frozen=True)
class Job:
    """Trials for one worker: one, or several that train together. `attempt` counts the times it was begun."""

    trials: tuple[Trial, ...]
    batched: bool = False
    attempt: int = 0

    def words(self) -> str:
        """The job for people."""
        if len(self.trials) == 1:
            return self.trials[0].words()
        return f"{len(self.trials)} trials of {self.trials[0].optimizer}"

    def halves(self) -> list[Job]:
        """The same trials in two jobs."""
        middle = len(self.trials) // 2
        return [Job(part, self.batched and len(part) > 1) for part in (self.trials[:middle], self.trials[middle:])]


@dataclass
class Done:
    """The records of a finished job, and what was unusual about it in words for the user."""

    records: list[Record]
    notes: list[str] = field(default_factory=list)


class Engine(Protocol):
    """Runs jobs; made once for a race, used for each of its rounds, and closed at its end.

    `run` gives what is done in the order in which it ends; whatever ends the iteration early (an error, Ctrl-C) ends
    the work too. It raises RunError that names the trial where one fails otherwise than by diverging. `count` is how
    many jobs run at the same time.
    """

    count: int

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]: ...
    def close(self) -> None: ...


class NotElsewhere(Exception):
    """The task or an optimizer cannot be had in another process; why, in words."""


MEMORY = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")


def short_of_memory(error: BaseException) -> bool:
    """Whether an error is about memory, which fewer trials at a time may cure."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in MEMORY)


def again(job: Job, why: str) -> tuple[list[Job], str] | None:
    """What to try after a job was lost: its trials in two halves, a single one once more; None when that was tried."""
    if len(job.trials) > 1:
        parts = job.halves()
        most = max(len(part.trials) for part in parts)
        return parts, f"{job.words()}: {why}; going on with at most {most} at a time"
    if job.attempt == 0:
        return [Job(job.trials, False, 1)], f"{job.words()}: {why}; trying it once more"
    return None
