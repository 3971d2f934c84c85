"""The local engine: worker processes, each of which trains one job at a time on its own threads."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from ..errors import RunError
from .bench import Kit
from .engine import Done, Job, NotElsewhere, again

# A fork of a process with torch's threads in it may hang, and multiprocessing's spawn runs the user's script again; so
# a worker is a fresh Python that is told where to import from. Interrupts are the race's to hear, which ends it.
BOOT = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.path[:] = sys.argv[3].split("\\n")
from downslope.race.worker import work
work(int(sys.argv[1]), int(sys.argv[2]))
"""
ROOM = 600e6
"""Bytes that a worker is given room for: torch alone takes about half of that."""


def default_count(threads: int = 1) -> int:
    """As many workers as there are cores for, and memory."""
    count = cores() // threads
    with contextlib.suppress(ValueError, OSError, AttributeError):
        count = min(count, int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // ROOM))
    return max(1, count)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Worker:
    """A process, the pipe to it, whether it has said that it is ready, and the job it has, if any."""

    def __init__(self, kit: Kit) -> None:
        self.pipe, there = multiprocessing.Pipe()
        end, self.life = os.pipe()
        words = [sys.executable, "-c", BOOT, str(there.fileno()), str(end), "\n".join(kit.path)]
        self.process = subprocess.Popen(
            words,
            pass_fds=(there.fileno(), end),
            stdin=subprocess.DEVNULL,
            stdout=2,  # what a task prints is not the race's answer
            start_new_session=True,  # out of the reach of a terminal's Ctrl-C from the very start
        )
        there.close()
        os.close(end)
        self.job: Job | None = None
        self.ready = False
        self.send(kit)

    def send(self, thing: Any) -> None:
        with contextlib.suppress(BrokenPipeError):  # its death is found when its answer is waited for
            self.pipe.send(thing)

    def give(self, job: Job) -> None:
        self.job = job
        self.send(job)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.pipe.close()
        os.close(self.life)


class Workers:
    """Runs jobs on up to `count` processes, which live as long as the race.

    A job whose worker dies, or is short of memory, is tried again: its trials in two halves, a single one once more.
    Raises NotElsewhere where no worker can have the task or an optimizer."""

    def __init__(self, kit: Kit, count: int) -> None:
        self.kit, self.count = kit, count
        self._workers: list[_Worker] = []
        self._most = sys.maxsize  # trials at a time, once memory was short

    def run(self, jobs: Sequence[Job]) -> Iterator[Done]:
        waiting = deque(jobs)
        try:
            self._start(len(waiting))
            for worker in self._workers:
                if worker.ready:
                    self._next(worker, waiting)
            while waiting or any(worker.job for worker in self._workers):
                for pipe in wait([worker.pipe for worker in self._workers]):
                    worker = next(w for w in self._workers if w.pipe is cast(Connection, pipe))
                    done = self._heard(worker, waiting)
                    if done is not None:
                        yield done
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []

    def _start(self, jobs: int) -> None:
        while len(self._workers) < min(self.count, jobs):
            self._workers.append(_Worker(self.kit))

    def _next(self, worker: _Worker, waiting: deque[Job]) -> None:
        worker.job = None
        while waiting and len(waiting[0].trials) > self._most:
            waiting.extendleft(reversed(waiting.popleft().halves()))
        if waiting:
            worker.give(waiting.popleft())

    def _heard(self, worker: _Worker, waiting: deque[Job]) -> Done | None:
        """Take in what a worker says, or its death, and give it the next job."""
        job = worker.job
        try:
            kind, said = worker.pipe.recv()
        except (EOFError, ConnectionResetError):
            return self._died(worker, waiting)
        if kind == "elsewhere":
            raise NotElsewhere(said)
        if kind == "error":
            raise said
        if kind == "memory":
            assert job is not None
            notes = [self._again(job, "ran out of memory", waiting)]
            self._next(worker, waiting)
            return Done([], notes)
        worker.ready = True
        self._next(worker, waiting)
        return Done(said) if kind == "done" else None

    def _died(self, worker: _Worker, waiting: deque[Job]) -> Done | None:
        worker.process.wait()
        code, job = worker.process.returncode, worker.job
        worker.end()
        self._workers.remove(worker)
        if job is None and not worker.ready:
            raise RunError(f"a worker process could not start (exit code {code}); race with fewer --workers")
        self._workers.append(_Worker(self.kit))
        if job is None:  # it had nothing to do
            return None
        how = "was killed, as for want of memory" if code == -9 else f"ended with exit code {code}"
        return Done([], [self._again(job, f"its worker process {how}", waiting)])

    def _again(self, job: Job, why: str, waiting: deque[Job]) -> str:
        found = again(job, why)
        if found is None:
            raise RunError(
                f"{job.words()}: {why}, twice; what was finished before is kept: go on with the same command, with "
                "--workers 1 if memory was short"
            )
        jobs, note = found
        if len(job.trials) > 1:
            self._most = min(self._most, max(len(j.trials) for j in jobs))
        waiting.extend(jobs)  # at the end, when others may have freed memory
        return note
