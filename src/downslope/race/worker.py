"""What a worker process does: set up the bench, then train one job after the other until the race is over or gone."""

from __future__ import annotations

import contextlib
import os
import threading
from multiprocessing.connection import Connection
from typing import Any

from ..errors import DownslopeError, RunError
from .bench import Bench, Kit
from .engine import Job, NotElsewhere


def work(pipe: int, life: int) -> None:
    """Serve jobs from a pipe. The process ends with the race: also when that is killed, by the end of `life`."""
    threading.Thread(target=_watch, args=(life,), daemon=True).start()
    connection = Connection(pipe)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        kit: Kit = connection.recv()
        try:
            bench = kit.bench()
        except NotElsewhere as error:
            connection.send(("elsewhere", str(error)))
            return
        connection.send(("ready", None))
        while True:
            connection.send(answer(bench, connection.recv()))


def answer(bench: Bench, job: Job) -> tuple[str, Any]:
    """Train a job, and what the race is told: "done" and records, "memory" that is short, or an "error"."""
    try:
        return "done", bench.run(job)
    except MemoryError as error:
        return "memory", str(error)
    except DownslopeError as error:
        return "error", error
    except Exception as error:
        return "error", RunError(f"{job.words()}: {type(error).__name__}: {error}")


def _watch(life: int) -> None:
    os.read(life, 1)  # nobody ever writes: it returns when the race's end of the pipe is closed, by whatever death
    os._exit(1)
