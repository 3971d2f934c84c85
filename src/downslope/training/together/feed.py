"""The batches of each trial: the same rows in the same order as when it is trained alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch.utils._pytree import tree_map

from .. import faults
from ..data import Batch, Part
from ..order import Order


class Feed:
    """Gives all trials their batches of an epoch. Trials of one seed see the same: then they share them.

    `seeds` are those of the trials, in their order."""

    def __init__(self, part: Part, seeds: Sequence[int], batch: int | None, device: torch.device):
        self.part, self.batch, self.device = part, batch, device
        self.orders = {seed: Order(part, seed) for seed in dict.fromkeys(seeds)}
        self.keep(seeds)

    def keep(self, seeds: Sequence[int]) -> None:
        """Go on with the trials of these seeds."""
        self.orders = {seed: self.orders[seed] for seed in dict.fromkeys(seeds)}
        place = {seed: i for i, seed in enumerate(self.orders)}
        self.seed_of = torch.tensor([place[seed] for seed in seeds])
        self.apart = len(self.orders) > 1

    def epoch(self, number: int) -> Iterator[tuple[Batch, int]]:
        """The batches, stacked by trial where they differ, and how many samples each trial has in them."""
        return self.batches(torch.stack([order.rows(number) for order in self.orders.values()]))  # type: ignore[misc]

    def batches(self, rows: torch.Tensor, skip: int = 0) -> Iterator[tuple[Batch, int]]:
        """Those of the rows of an epoch, [seeds, rows], but for the first `skip`."""
        wanted = self.batch or rows.shape[1]
        for index in rows.split(wanted, 1)[skip:]:
            size = index.shape[1]
            if self.part.drop_last and self.batch is not None and size < wanted:
                continue
            yield faults.moved(self._rows(index), self.device) if self.device.type != "cpu" else self._rows(index), size

    def _rows(self, index: torch.Tensor) -> Batch:
        if not self.apart:
            return self.part.rows(index[0])
        if self.part.tensors is not None:
            index = index[self.seed_of]
            return tuple(t[index] for t in self.part.tensors)  # type: ignore[return-value]
        batches = [self.part.rows(each) for each in index]
        return tree_map(lambda *each: torch.stack(each)[self.seed_of], *batches)  # type: ignore[no-any-return]

    def of_trial(self, batch: Batch, trial: int) -> Batch:
        """A trial's own part of what `epoch` gave."""
        return tree_map(lambda t: t[trial], batch) if self.apart else batch  # type: ignore[no-any-return]
