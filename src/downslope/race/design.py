"""Which points of a space are tried: the defaults first, then a scrambled Halton sequence."""

from __future__ import annotations

from functools import lru_cache
from inspect import signature

from .dimension import Space
from .trial import Setting


def points(space: Space, seed: int, start: int, count: int) -> list[dict[str, Setting]]:
    """The settings numbered `start` to `start + count` of a space's sequence.

    The first is the middle of the learning rates with everything else at the optimizer's defaults: what most would try
    first, and the only one with no weight decay at all, which no logarithmic scale reaches. (What the user asked for
    starts in its middle, or with its first choice.) The others are a Halton sequence, scrambled by the race's seed, on
    the scale of each dimension. More points continue the same sequence, and optimizers with as many dimensions are
    tried at the same places of their ranges.
    """
    found = []
    for number in range(start, start + count):
        found.append(_first(space) if number == 0 else _point(space, _places(len(space), seed, number)))
    return found


def _first(space: Space) -> dict[str, Setting]:
    return {d.name: d.at(0.0 if d.scale == "choices" else 0.5) for d in space if d.name == "lr" or d.rank == 0}


def _point(space: Space, places: tuple[float, ...]) -> dict[str, Setting]:
    return {d.name: d.at(u) for d, u in zip(space, places)}


@lru_cache(maxsize=64)
def _sequence(dimensions: int, seed: int, length: int) -> tuple[tuple[float, ...], ...]:
    import numpy
    from scipy.stats import qmc

    word = "rng" if "rng" in signature(qmc.Halton).parameters else "seed"  # its name until scipy 1.15
    sequence = qmc.Halton(dimensions, scramble=True, **{word: numpy.random.default_rng(seed)})
    return tuple(map(tuple, sequence.random(length).tolist()))


def _places(dimensions: int, seed: int, number: int) -> tuple[float, ...]:
    length = 64
    while length <= number:
        length *= 2
    return _sequence(dimensions, seed, length)[number] if dimensions else ()
