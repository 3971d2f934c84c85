"""The passes over the training data: the order of each, its batches, and what is drawn for them, also after a stop."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch

from .. import rng
from .data import Batch, Part
from .distributed import Team
from .order import Order


class Passes:
    """Over a part of a task's data in an `order`, in batches of `batch` samples (None: all of them), `accumulate` of
    them to a step. The processes of a `team` each get their share. `state_dict()` is what it takes to go on in the
    middle of a pass with the same batches and the same random numbers."""

    def __init__(self, part: Part, order: Order, batch: int | None, accumulate: int, team: Team | None):
        self.part, self.order, self.batch, self.accumulate, self.team = part, order, batch, accumulate, team
        self._start: dict[str, Any] = {}  # of the pass under way: states of what its order is drawn from
        self._rng: dict[str, Any] | None = None  # of a run that goes on
        self._rows = 0

    def end(self) -> None:
        """The next pass is another one."""
        self._start = {}

    def rows(self, epoch: int) -> torch.Tensor | None:
        """The rows of this pass in their order, the same when it is asked for again; None for a DataLoader."""
        loader = self.part.loader
        if not self._start:
            self._start = {"order": self.order.generator.get_state()}
            if loader is not None:  # draws its order, and perhaps the samples themselves, from global state
                self._start |= {"rng": rng.capture(), "loader": _state(loader.generator)}
        else:
            self.order.generator.set_state(self._start["order"])
            if loader is not None:
                rng.restore(self._start["rng"])
                if loader.generator is not None:
                    loader.generator.set_state(self._start["loader"])
        rows = self.order.rows(epoch)
        self._rows = 0 if rows is None else len(rows)
        return rows

    def groups(self, epoch: int, skip: int) -> Iterator[tuple[Batch, ...]]:
        """The batches of each step that is left of this pass after so many batches."""
        rows, loader = self.rows(epoch), self.part.loader
        share = None if self.team is None else self.team.share
        batches = self.part.batches(self.batch, rows, 0 if loader is not None else skip, share)
        if loader is not None:
            for _ in range(skip):
                next(batches)
        self.restore_rng()
        if self.accumulate == 1:
            return ((batch,) for batch in batches)
        return iter(lambda: tuple(islice(batches, self.accumulate)), ())

    def sizes(self, first: int, count: int) -> list[int]:
        """The sizes of so many batches from one on, of all processes together."""
        size = self.batch or self._rows
        return [min(size, self._rows - size * (first + i)) for i in range(count)]

    def restore_rng(self) -> None:
        """What was drawn until the state was saved has been drawn."""
        if self._rng is not None:
            rng.restore(self._rng)
            self._rng = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch_start": self._start,
            "order": self.order.generator.get_state(),
            "loader": None if self.part.loader is None else _state(self.part.loader.generator),
            "rng": rng.capture(),
            **({} if self.team is None else {"rngs": self.team.collected(rng.capture())}),
        }

    def load_state_dict(self, state: dict[str, Any], step: int) -> None:
        """Go on as of a step, with what has been drawn until then."""
        self.order.generator.set_state(state["order"])
        if state["loader"] is not None:
            self.part.loader.generator.set_state(state["loader"])  # type: ignore[union-attr]
        self._start, self._rng = state["epoch_start"], state["rng"]
        if self.team is not None:
            self._rng = self.team.rng_of(state, step)


def _state(generator: torch.Generator | None) -> torch.Tensor | None:
    return None if generator is None else generator.get_state()
