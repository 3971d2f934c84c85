"""How long a step takes."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 0.1  # of steps that are timed, at least STEPS
STEPS = 3


def quickest(step: Callable[[], object]) -> float:
    """Seconds of the quickest of some steps: others may take the processor meanwhile."""
    step()
    times: list[float] = []
    while len(times) < STEPS or (sum(times) < SECONDS and len(times) < 10 * STEPS):
        begin = time.perf_counter()
        step()
        times.append(time.perf_counter() - begin)
    return min(times)
