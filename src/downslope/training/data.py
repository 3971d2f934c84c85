"""What a task's `data` returns -> parts of samples that can be read in any order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, default_collate

from ..errors import RunError

Batch = tuple[Any, Any]
"""Inputs and targets, as the model and the loss take them."""


class Part:
    """Samples to train or score on: a pair of tensors, a map-style dataset, or a DataLoader.

    Tensors and datasets are read by row, so the loop decides about order and batch size; a DataLoader keeps its own.
    `where` says in messages which part of which task it is. With `drop_last` the samples of an order that do not fill a
    batch are left out. Raises RunError for anything else, and for no samples.
    """

    def __init__(self, source: Any, where: str, drop_last: bool = False):
        self.source, self.where, self.drop_last = source, where, drop_last
        self.loader = source if isinstance(source, DataLoader) else None
        self.tensors = _pair(source, where) if self.loader is None else None
        self.size: int | None = None  # of a stream nobody knows it
        if self.loader is None or not isinstance(self.loader.dataset, IterableDataset):
            self.size = len(self.tensors[1] if self.tensors else self._dataset)  # type: ignore[arg-type]
            if self.size == 0:
                raise RunError(f"{where}: holds no samples")
            if self.loader is not None and len(self.loader) == 0:
                raise RunError(
                    f"{where}: its DataLoader gives no batch: {self.size} samples, batch_size={self.loader.batch_size} "
                    "and drop_last=True; take a smaller batch_size"
                )

    def rows(self, index: torch.Tensor) -> Batch:
        """The samples of some rows as one batch."""
        if self.tensors is not None:
            inputs, targets = self.tensors
            return inputs[index], targets[index]
        collate = self.loader.collate_fn if self.loader is not None else default_collate
        return self._batch(collate([self._dataset[i] for i in index.tolist()]))

    @property
    def _dataset(self) -> Dataset[Any]:
        return self.loader.dataset if self.loader is not None else self.source

    def batches(
        self,
        batch: int | None = None,
        order: torch.Tensor | None = None,
        skip: int = 0,
        share: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> Iterator[Batch]:
        """All samples in batches; `batch=None` is all at once. A DataLoader's own batches, whatever is asked for.

        `skip` leaves out the first batches, as after a stop in the middle of an epoch. `share` takes some of each
        batch's rows."""
        if self.loader is not None:
            i = -1
            for i, made in enumerate(self.loader):
                if i >= skip:
                    yield self._batch(made)
            if i < 0:
                raise RunError(f"{self.where}: its DataLoader gave no batch")
            return
        full = self.drop_last and order is not None and batch is not None
        order = torch.arange(self.size or 0) if order is None else order
        for index in order.split(batch or len(order))[skip:]:
            if not (full and len(index) < batch):  # type: ignore[operator]
                yield self.rows(index if share is None else share(index))

    def _batch(self, made: Any) -> Batch:
        """Checked for being two values."""
        if isinstance(made, Mapping):
            found = f"a {type(made).__name__} of {', '.join(map(str, made))}"
        elif not isinstance(made, Iterable) or isinstance(made, torch.Tensor | str | bytes):
            found = f"a {type(made).__name__}"
        elif len(values := tuple(made)) == 2:
            return values  # type: ignore[return-value]
        else:
            found = f"{len(values)} values"
        raise RunError(f"{self.where}: a sample is {found}; give (input, target)")

    def count_batches(self, batch: int | None) -> int | None:
        """How many batches an epoch has, if that is known."""
        if self.loader is not None:
            try:
                return len(self.loader)
            except TypeError:
                return None
        assert self.size is not None
        full, rest = divmod(self.size, batch or self.size)
        return full + (rest > 0 and not self.drop_last)


@dataclass(frozen=True)
class Data:
    """Parts that share nothing: `train` is learned from, `validation` chooses between settings, `test` scores once."""

    train: Part
    validation: Part | None = None
    test: Part | None = None


def _pair(source: Any, where: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """The two tensors, or None for a map-style dataset."""
    if isinstance(source, TensorDataset):
        source = source.tensors
    plain = isinstance(source, list | tuple)
    if plain and any(isinstance(t, torch.Tensor) for t in source):
        if len(source) == 2 and all(isinstance(t, torch.Tensor) for t in source):
            inputs, targets = source
            sizes = [t.shape[0] if t.ndim else None for t in source]
            if None in sizes:
                raise RunError(f"{where}: is a pair of tensors of which one is a scalar; give a row for each sample")
            if sizes[0] != sizes[1]:
                raise RunError(f"{where}: has {sizes[0]} inputs and {sizes[1]} targets; give one target per input")
            return inputs, targets
    elif plain and any(hasattr(t, "__array__") for t in source):
        raise RunError(f"{where}: is {_kind(source)}; make tensors of them with torch.from_numpy or torch.tensor")
    elif hasattr(source, "__getitem__") and hasattr(source, "__len__") and not _no_dataset(source):
        return None
    elif isinstance(source, IterableDataset):
        raise RunError(f"{where}: is {_kind(source)}, a stream; wrap it in a DataLoader, which makes its batches")
    raise RunError(
        f"{where}: is {_kind(source)}; give a pair of tensors (inputs, targets), a dataset with len() and [index], or "
        "a DataLoader"
    )


def _no_dataset(source: Any) -> bool:
    """What has a length and an index, and is no dataset all the same."""
    return isinstance(source, torch.Tensor | str | bytes | Mapping) or hasattr(source, "__array__")


def _kind(source: Any) -> str:
    if isinstance(source, list | tuple):
        return f"a {type(source).__name__} of {', '.join(type(s).__name__ for s in source[:4])}"
    if isinstance(source, torch.Tensor):
        return f"one tensor of shape {list(source.shape)}"
    return f"a {type(source).__name__}"
