"""Which trials of a round train together: decided once for a race, and kept in its journal."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..user_code import where
from .common import LONE, SCHEDULE, SLOWER
from .engine import Job
from .folder import Folder
from .prepare import Ready
from .referee import Round, sample
from .trial import Trial
from .workers import default_count

MANY = 32
"""Trials that a budget of time is told by: how many it will buy is not yet known."""


class Batches:
    """Makes the jobs of a round.

    Whether an optimizer's trials can train together, and how many at a time, is tried once and written down; why they
    cannot is also said. From then
    on the groups of a round are fixed by the round alone: in a group of which one is missing all train again, and only
    what was missing is kept, so that no number depends on when a race was stopped.
    """

    def __init__(self, ready: Ready, folder: Folder, say: Callable[[str], None] = lambda text: None) -> None:
        self.ready, self.folder, self.say = ready, folder, say
        self._said: set[str] = set()

    def jobs(self, step: Round) -> list[Job]:
        """The jobs of what is missing of a round, the large ones first."""
        missing = set(self.folder.journal.missing(step.trials))
        jobs = []
        for trials in _alike(step.trials):
            if not missing.intersection(trials):
                continue
            size = self._size(trials)
            if size > 1:  # no core is to be idle for the sake of large groups
                size = min(size, math.ceil(len(step.trials) / self._cores()))
                size = math.ceil(len(trials) / math.ceil(len(trials) / size))  # and none is left over alone
            for start in range(0, len(trials), size):
                group = tuple(trials[start : start + size])
                if len(group) > 1 and missing.intersection(group):
                    jobs.append(Job(group, batched=True))
                else:
                    jobs += [Job((trial,)) for trial in group if trial in missing]
        return sorted(jobs, key=lambda job: -len(job.trials))

    def gain(self, name: str) -> float:
        """How much quicker a trial of an optimizer is among others than alone."""
        return float(self._decided(sample(self.folder.plan, name, MANY)).get("gain", 1.0))

    def _cores(self) -> int:
        """How many workers the machine has room for that the race began on, however many it was given."""
        decided = self.folder.journal.decision("cores")
        if decided is None:
            plan = self.folder.plan
            decided = {"decision": "cores", "count": default_count(plan.threads) if plan.device == "cpu" else 1}
            self.folder.append(decided)
        return int(decided["count"])

    def _size(self, trials: Sequence[Trial]) -> int:
        """How many of such trials train at a time; 1 where they do so alone."""
        return int(self._decided(trials)["size"])

    def _decided(self, trials: Sequence[Trial]) -> dict[str, Any]:
        name = trials[0].optimizer
        if self.folder.plan.batched != "auto" or len(trials) < 2:
            return {"size": 1}
        decided = self.folder.journal.decision("batching", optimizer=name)
        if decided is None:
            decided = {"decision": "batching", "optimizer": name, **self._try(trials)}
            self.folder.append(decided)
            self._tell(str(decided.get("why") or ""))
        return decided

    def _tell(self, why: str) -> None:
        """Say why trials cannot train together; that they would gain nothing is no more than written down."""
        if why and why not in (SLOWER, LONE) and why not in self._said:
            self._said.add(why)
            self.say(f"trials train one by one: {why}")

    def _try(self, trials: Sequence[Trial]) -> dict[str, Any]:
        import torch

        from .batched import can_batch

        task, data = self.ready.bench.at(trials[0].of_task)
        before = torch.get_num_threads()
        torch.set_num_threads(self.ready.plan.threads)  # as many as a worker has
        try:
            return can_batch(task, data, self.ready.bench.common, list(trials))
        except Exception as error:  # whatever it is, alone they train as ever
            return {"size": 1, "why": f"trying it failed: {where(error)}"}
        finally:
            torch.set_num_threads(before)


def _alike(trials: Sequence[Trial]) -> Iterator[list[Trial]]:
    """The trials in groups of which nothing but numbers and the seed differ, in the order of the round."""
    groups: dict[Any, list[Trial]] = {}
    for trial in trials:
        key = (trial.optimizer, trial.epochs, dict(trial.settings).get(SCHEDULE), repr(trial.of_task))
        groups.setdefault(key, []).append(trial)
    yield from groups.values()
