"""Who proposes the next points of a search."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from . import adaptive
from .design import points
from .dimension import Space
from .trial import Setting

Finished = tuple[dict[str, Setting], float]
"""A point of an earlier round and its goodness."""


class Sampler(NamedTuple):
    """`suggest(space, finished, seed, start, count)` gives the settings of the points numbered `start` to `start +
    count`: the same ones for the same finished points, in whatever order those finished. `batch` is how many it
    proposes before it wants to see them finished; None is all at once. `needs` are the packages of the extra `optuna`
    without which it cannot."""

    suggest: Callable[[Space, Sequence[Finished], int, int, int], list[dict[str, Setting]]]
    batch: int | None = None
    needs: tuple[str, ...] = ()


def _halton(space: Space, finished: Sequence[Finished], seed: int, start: int, count: int) -> list[dict[str, Setting]]:
    return points(space, seed, start, count)


SAMPLERS: dict[str, Sampler] = {
    "halton": Sampler(_halton),
    "tpe": Sampler(adaptive.tpe, adaptive.BATCH, ("optuna",)),
    "gp": Sampler(adaptive.gp, adaptive.BATCH, ("optuna",)),
}
