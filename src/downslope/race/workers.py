"""Worker processes: each trains one trial at a time on one thread."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, cast

from ..errors import DownslopeError, RunError
from .plan import Plan, Trial


def default_count() -> int:
    """As many workers as cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_trials(plan: Plan, trials: Sequence[Trial], count: int) -> Iterator[dict[str, Any]]:
    """The record of every trial, in the order in which they finish.

    A record depends on its trial alone (its seconds apart), so the set of them does not depend on `count`. Whatever
    ends the iteration ends the workers. Raises RunError when a trial or a worker fails other than by diverging.
    """
    waiting = deque(trials)
    workers: dict[Connection, tuple[BaseProcess, Trial]] = {}
    started: list[tuple[Connection, BaseProcess]] = []
    try:
        with _deaf_to_interrupts():
            for _ in range(min(count, len(waiting))):
                started.append(_start(plan))
        for connection, process in started:
            workers[connection] = process, _send(connection, waiting.popleft())
        while workers:
            for ready in wait(list(workers)):
                connection = cast(Connection, ready)
                process, trial = workers.pop(connection)
                answer = _receive(connection, process, trial)
                if waiting:
                    workers[connection] = process, _send(connection, waiting.popleft())
                yield answer
    finally:
        for connection, process in started:
            connection.close()
            process.terminate()
        for _, process in started:
            process.join()


def run_one(plan: Plan, trial: Trial) -> dict[str, Any]:
    """Train one trial here and now; its record."""
    from ..optim import by_name
    from ..training import train

    task, data = _task(plan.task)
    make = by_name(trial.optimizer)
    outcome = train(
        task,
        data,
        lambda parameters: make(parameters, lr=trial.lr),
        seed=trial.seed,
        epochs=plan.epochs,
        batch=plan.batch,
    )
    diverged = outcome.diverged_at is not None
    return {
        "optimizer": trial.optimizer,
        "lr": trial.lr,
        "seed": trial.seed,
        "diverged": diverged,
        "diverged_at_step": outcome.diverged_at,
        "steps": outcome.steps,
        "validation_accuracy": None if diverged else outcome.validation_accuracy[-1],
        "validation_loss": None if diverged else outcome.validation_loss[-1],
        "test_accuracy": outcome.test_accuracy,
        "curve": {
            "train_loss": outcome.train_loss,
            "validation_loss": outcome.validation_loss,
            "validation_accuracy": outcome.validation_accuracy,
        },
        "seconds": round(outcome.seconds, 4),
    }


@functools.cache
def _task(name: str) -> Any:
    from ..training import by_name
    from ..training.rng import seeded

    task = by_name(name)
    with seeded(0):  # the same data in every worker, whatever it is drawn from
        return task, task.make_data()


def _work(connection: Connection, plan: Plan) -> None:
    import torch

    torch.set_num_threads(1)
    with contextlib.suppress(EOFError, BrokenPipeError):  # the race is over, or gone
        while True:
            trial = connection.recv()
            try:
                answer: Any = run_one(plan, trial)
            except DownslopeError as error:
                answer = error
            except Exception as error:
                answer = RunError(f"{_words(trial)}: {type(error).__name__}: {error}")
            connection.send(answer)


def _start(plan: Plan) -> tuple[Connection, BaseProcess]:
    context = multiprocessing.get_context("spawn")  # a fork of a process with torch's threads in it may hang
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, plan), daemon=True)
    process.start()
    there.close()  # so that the death of the worker is the end of the pipe
    return here, process


def _send(connection: Connection, trial: Trial) -> Trial:
    with contextlib.suppress(BrokenPipeError):  # a dead worker is found when its answer is waited for
        connection.send(trial)
    return trial


def _receive(connection: Connection, process: BaseProcess, trial: Trial) -> dict[str, Any]:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionResetError):
        process.join(timeout=10)
        raise RunError(
            f"{_words(trial)}: its worker process died (exit code {process.exitcode}); what was finished before is "
            "kept, go on with --resume, with --workers 1 if memory was short"
        ) from None
    if isinstance(answer, Exception):
        raise answer
    return answer


def _words(trial: Trial) -> str:
    return f"{trial.optimizer} at learning rate {trial.lr:g}, seed {trial.seed}"


@contextlib.contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes started in here ignore Ctrl-C for life: the race itself hears it and ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
