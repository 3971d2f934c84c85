"""Timing in rounds: every entrant once a round, in random order, so that noise falls on all alike."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import exp, log
from statistics import median
from typing import Any

WARM_UPS = 2
LEAST_ROUNDS = 3
TURN = 0.015  # seconds; a shorter step is repeated within its turn, for the clock's sake
MOST_REPEATS = 200


@dataclass(frozen=True)
class Rounds:
    """Seconds a step by entrant, one dictionary for each round."""

    seconds: list[dict[str, float]]

    def median(self, name: str) -> float:
        return median(each[name] for each in self.seconds)

    def ratio(self, name: str, to: str) -> float:
        """Median over rounds of the seconds of `name` over those of `to` in the same round."""
        return median(each[name] / each[to] for each in self.seconds)


def run_rounds(
    entrants: dict[str, Callable[[], Any]],
    *,
    rounds: int,
    budget: float,
    seed: int = 0,
    turn: float = TURN,
    clock: Callable[[], float] = time.perf_counter,
) -> Rounds:
    """Time the entrants; after `budget` seconds no further round starts, but there are at least three (or `rounds`).

    An entrant that needs several steps to fill a turn takes one untimed step first: its cache was emptied by others.
    """
    begin = clock()
    repeats = {name: _repeats(step, turn, clock) for name, step in entrants.items()}
    order, shuffle = list(entrants), random.Random(seed).shuffle
    done: list[dict[str, float]] = []
    gc.collect()
    gc.disable()
    try:
        while len(done) < rounds and (len(done) < LEAST_ROUNDS or clock() - begin < budget):
            shuffle(order)
            done.append({name: _turn(entrants[name], repeats[name], clock) for name in order})
    finally:
        gc.enable()
    return Rounds(done)


def _repeats(step: Callable[[], Any], turn: float, clock: Callable[[], float]) -> int:
    for _ in range(WARM_UPS):
        step()
    return max(1, min(MOST_REPEATS, round(turn / max(_turn(step, 1, clock), 1e-9))))


def _turn(step: Callable[[], Any], repeats: int, clock: Callable[[], float]) -> float:
    if repeats > 1:
        step()
    start = clock()
    for _ in range(repeats):
        step()
    return (clock() - start) / repeats


def geometric_mean(values: Iterable[float]) -> float:
    logs = [log(value) for value in values]
    return exp(sum(logs) / len(logs))
