"""The engine without workers: every trial in this process, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import torch

from .bench import Bench
from .engine import Done, Job, again


class Here:
    """Trains in this process, on `threads` threads, as for a task that no other process can have."""

    count = 1

    def __init__(self, bench: Bench, threads: int = 1) -> None:
        self.bench, self.threads = bench, threads

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        waiting = deque(jobs)
        while waiting:
            job = waiting.popleft()
            before = torch.get_num_threads()
            torch.set_num_threads(self.threads)  # the result of a sum may depend on it
            try:
                done = Done(self.bench.run(job))
            except MemoryError as error:
                next_try = again(job, "ran out of memory")
                if next_try is None:
                    raise MemoryError(f"{job.words()}: {error}") from error
                waiting.extendleft(reversed(next_try[0]))
                done = Done([], [next_try[1]])
            finally:
                torch.set_num_threads(before)
            yield done

    def close(self) -> None:
        """Nothing is left to end."""
