"""What a task's `data` returns -> parts of samples that can be read in any order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, default_collate

from ..errors import RunError

Batch = tuple[Any, Any]
"""Inputs and targets, as the model and the loss take them."""


class Part:
    """Samples to train or score on: a pair of tensors, a map-style dataset, or a DataLoader.

    Tensors and datasets are read by row, so the loop decides about order and batch size; a DataLoader keeps its own.
    `where` says in messages which part of which task it is. Raises RunError for anything else, and for no samples.
    """

    def __init__(self, source: Any, where: str):
        self.source, self.where = source, where
        self.loader = source if isinstance(source, DataLoader) else None
        self.tensors = _pair(source, where) if self.loader is None else None
        if self.loader is not None and isinstance(self.loader.dataset, IterableDataset):
            self.size: int | None = None
        else:
            self.size = len(self.tensors[1] if self.tensors else self._dataset)  # type: ignore[arg-type]
            if self.size == 0:
                raise RunError(f"{where}: holds no samples")

    def rows(self, index: torch.Tensor) -> Batch:
        """The samples of some rows as one batch."""
        if self.tensors is not None:
            inputs, targets = self.tensors
            return inputs[index], targets[index]
        inputs, targets = default_collate([self._dataset[i] for i in index.tolist()])  # type: ignore[index]
        return inputs, targets

    @property
    def _dataset(self) -> Dataset[Any]:
        return self.loader.dataset if self.loader is not None else self.source

    def batches(self, batch: int | None = None, order: torch.Tensor | None = None, skip: int = 0) -> Iterator[Batch]:
        """All samples in batches; `batch=None` is all at once. A DataLoader's own batches, whatever is asked for.

        `skip` leaves out the first batches, as after a stop in the middle of an epoch."""
        if self.loader is not None:
            for i, (inputs, targets) in enumerate(self.loader):
                if i >= skip:
                    yield inputs, targets
            return
        order = torch.arange(self.size) if order is None else order
        for index in order.split(batch or len(order))[skip:]:
            yield self.rows(index)

    def count_batches(self, batch: int | None) -> int | None:
        """How many batches an epoch has, if that is known."""
        if self.loader is not None:
            try:
                return len(self.loader)
            except TypeError:
                return None
        return -(-self.size // (batch or self.size))  # type: ignore[operator]


@dataclass(frozen=True)
class Data:
    """Parts that share nothing: `train` is learned from, `validation` chooses between settings, `test` scores once."""

    train: Part
    validation: Part | None = None
    test: Part | None = None


def _pair(source: Any, where: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The two tensors, or None for a map-style dataset."""
    if isinstance(source, Sequence) and not isinstance(source, str | bytes | Dataset) and len(source) == 2:
        if all(isinstance(t, torch.Tensor) for t in source):
            inputs, targets = source
            if len(inputs) != len(targets):
                raise RunError(
                    f"{where}: has {len(inputs)} inputs and {len(targets)} targets; give one target per input"
                )
            return inputs, targets
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, torch.Tensor):
        return None
    raise RunError(
        f"{where}: is {_kind(source)}; give a pair of tensors (inputs, targets), a dataset with len() and [index], or "
        "a DataLoader"
    )


def _kind(source: Any) -> str:
    if isinstance(source, list | tuple):
        return f"a {type(source).__name__} of {', '.join(type(s).__name__ for s in source[:4])}"
    return type(source).__name__
