"""The least time a step can take: the bytes it must move over the rate at which this machine moves bytes."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch

FLOAT = 4  # bytes


def step_bytes(elements: int, states: int) -> int:
    """Read the parameter, the gradient and the states; write the parameter and the states."""
    return FLOAT * elements * ((2 + states) + (1 + states))


def clip_and_average_bytes(elements: int, states: int) -> int:
    """As above, with the gradient read once more for its norm, and the average read and written."""
    return step_bytes(elements, states) + FLOAT * elements * 3


def working_set(elements: int, states: int) -> int:
    return FLOAT * elements * (2 + states)


def last_level_cache(root: Path = Path("/sys/devices/system/cpu/cpu0/cache")) -> int:
    """Bytes of the largest cache; 32 MiB where the system does not say."""
    units = {"K": 2**10, "M": 2**20}
    sizes = []
    for path in root.glob("index*/size"):
        text = path.read_text().strip()
        if text[:-1].isdigit() and text[-1] in units:
            sizes.append(int(text[:-1]) * units[text[-1]])
    return max(sizes, default=32 * 2**20)


@dataclass(frozen=True)
class Mover:
    """Moves a known number of bytes, so that its seconds give a rate."""

    bytes: int
    move: Callable[[], object]


def movers(resident: bool = False, large: int = 256 * 2**20) -> dict[str, Mover]:
    """`copy` (one tensor into another, read + written) and `in place` (`a += b`: two read, one written).

    A copy first fetches the lines that it overwrites, which nobody counts; an optimizer writes what it has read,
    so that `in place` is the stricter rate. `resident`: buffers that stay in the last-level cache.
    """
    size = last_level_cache() // 8 if resident else max(large, 4 * last_level_cache())
    source, target = torch.ones(size // FLOAT), torch.zeros(size // FLOAT)
    return {
        "copy": Mover(2 * size, lambda: target.copy_(source)),
        "in place": Mover(3 * size, lambda: target.add_(source, alpha=1e-9)),
    }


def rate(mover: Mover, times: int = 9) -> float:
    """Bytes a second, median of several."""
    mover.move()
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        mover.move()
        seconds.append(time.perf_counter() - start)
    return mover.bytes / median(seconds)


def bandwidth(quick: bool = False) -> dict[str, float]:
    """GB/s from memory and from the last-level cache."""
    large = 2**24 if quick else 256 * 2**20
    return {
        f"{place} {name}": round(rate(mover) / 1e9, 2)
        for place, resident in (("memory", False), ("cache", True))
        for name, mover in movers(resident, large).items()
    }
