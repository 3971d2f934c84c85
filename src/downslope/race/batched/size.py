"""How many trials train together: found by a short try."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch

from ... import rng
from ...training.data import Data
from ...training.task import Task
from ...training.together import memory
from ...training.together.feed import Feed
from ...training.together.networks import networks
from ...training.together.timing import quickest
from ..common import LONE, SLOWER, Common
from ..engine import short_of_memory
from ..trial import Trial
from .check import Way, way

GAIN = 1.1  # twice as many must be so much quicker, each
MOST = 256
SHARE = 0.25  # of the memory that is free, for one worker


def can_batch(task: Task, data: Data, common: Common, trials: Sequence[Trial]) -> dict[str, Any]:
    """Whether trials can train together, and how many at a time: {"size": 16, "why": ""}; size 1 and why otherwise.

    They can where a step together gives what it gives alone, and should where it is quicker. Doubles the number until
    that no longer brings ten percent or memory is short, which takes a few seconds at most."""
    found = way(task, data, common, trials)
    if found.why or len(trials) < 2:
        return {"size": 1, "why": found.why or LONE}
    return best(task, data, common, trials, found)


def best(task: Task, data: Data, common: Common, trials: Sequence[Trial], found: Way) -> dict[str, Any]:
    """The number of trials that is quickest for each of them, and how much quicker than alone (`gain`)."""
    alone = _seconds_alone(task, data, common, trials[0])
    size, each, count = 1, alone, 2
    while count <= min(len(trials), MOST):
        free = _free()
        try:
            seconds, taken = _seconds(task, data, common, trials[:count], found)
        except Exception as error:
            if not short_of_memory(error):
                raise
            break
        if seconds / count * GAIN < each or (size == 1 and count < 8):  # the first few only make up for the overhead
            if seconds / count < each:
                size, each = count, seconds / count
        else:
            break
        if 2 * taken > SHARE * free:
            break
        count = len(trials) if count < len(trials) < 2 * count else 2 * count
    why = "" if size > 1 else SLOWER
    return {"size": size, "why": why, "gain": round(alone / each, 2)}


def _seconds(task: Task, data: Data, common: Common, trials: Sequence[Trial], found: Way) -> tuple[float, int]:
    """Of a step of all together, and the memory that it took."""
    from .run import Training

    before = _resident()
    with rng.kept(), memory.kept():
        training = Training(task, data, common, trials, found)
        training.begin()
        batch, size = next(iter(training.feed.epoch(0)))
        seconds = quickest(lambda: training.take(batch, size))
        return seconds, max(0, _resident() - before)


def _seconds_alone(task: Task, data: Data, common: Common, trial: Trial) -> float:
    """Of the step that each trial takes alone."""
    from ..alone import count_steps

    device = torch.device(common.device)
    with rng.kept():
        network = networks(task, [trial], device)[0].network
        network.train()
        optimizer = common.make(trial, network, count_steps(data, common, trial))
        batch, _ = next(iter(Feed(data.train, [trial.seed], common.batch, device).epoch(0)))

        def step() -> None:
            optimizer.zero_grad()
            loss = task.loss(network(batch[0]), batch[1])
            loss.item()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()

        return quickest(step)


def _resident() -> int:
    """Bytes of memory that this process has, on the GPU if it uses one."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated()
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _free() -> int:
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.mem_get_info()[0]
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 1 << 40
