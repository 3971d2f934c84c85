"""Batch norm's statistics over a whole set of data, in place of the moving average of the last batches."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import RunError
from ..modes import evaluating
from .data import Batch


@torch.no_grad()
def recompute(model: nn.Module, batches: Iterable[Batch], *, layerwise: bool = False) -> int:
    """Set the running mean and variance of every batch norm to those of its inputs over all batches; returns how many
    layers were set.

    Pooled over all values of a channel, in double precision: the exact mean, and the variance with n - 1. Every value
    counts the same, however the batches are cut. `batches` gives (inputs, targets), the inputs where the model is, such
    as `part.batches(64)`.

    A layer behind another one sees inputs that the first has normalised: with the statistics of each batch, as in
    training, which takes one forward pass over the data (Wu & Johnson 2021, arXiv:2105.07576, section 3). With
    `layerwise=True` the layers are set one after the other, each seeing what it will see in evaluation; the result
    no longer depends on the size of the batches, and it takes as many passes as there are layers, over `batches` that
    can be gone through again.

    Dropout is off. Modes, momentum, the count of batches and the random states of torch, numpy and Python stay as they
    were. A model without batch norm, or whose layers keep no statistics, costs nothing: no batch is asked for. The
    layers may be BatchNorm1d, 2d, 3d and SyncBatchNorm; each process sees its own batches only. Raises RunError where
    there is no batch, one value to a channel, or one sample in a batch that is to be normalised by itself, and leaves
    the statistics as they were; with `layerwise=True` those before the layer in question are set.
    """
    layers = {layer: name for name, layer in model.named_modules() if isinstance(layer, _BatchNorm) and _keeps(layer)}
    if not layers:
        return 0
    if layerwise and isinstance(batches, Iterator):
        raise RunError(
            "batch norm: layerwise=True goes through the batches once for each layer, and a generator gives them only "
            "once; give a list or a DataLoader"
        )
    with _random_states_kept(), evaluating(model):
        if not layerwise:
            return _set(_measured(model, batches, list(layers), layers), layers)
        order = list(_measured(model, _first(batches), list(layers), {}))
        return sum(_set(_measured(model, batches, [layer], {}), layers) for layer in order)


class _Pool:
    """Count, mean and summed squares about it, of each channel; parts are joined by Chan et al. 1979, eq. 2.1."""

    def __init__(self) -> None:
        self.n = 0
        self.mean, self.squares = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)

    def add(self, values: torch.Tensor) -> None:
        over = [d for d in range(values.ndim) if d != 1]
        wide = values if values.dtype in (torch.float32, torch.float64) else values.float()
        variance, mean = (t.to("cpu", torch.float64) for t in torch.var_mean(wide, over, correction=0))
        n = values.numel() // values.size(1)
        total, apart = self.n + n, mean - self.mean
        self.squares = self.squares + variance * n + apart.square() * (self.n * n / total)
        self.mean = self.mean + apart * (n / total)
        self.n = total


def _measured(
    model: nn.Module, batches: Iterable[Batch], layers: list[_BatchNorm], by_batch: dict[_BatchNorm, str]
) -> dict[_BatchNorm, _Pool]:
    """What the layers see, in the order in which it first comes to them; those in `by_batch` normalise by it."""
    pools: dict[_BatchNorm, _Pool] = {}

    def see(layer: Any, inputs: tuple[torch.Tensor], output: torch.Tensor) -> torch.Tensor:
        (values,) = inputs
        pools.setdefault(layer, _Pool()).add(values)
        if layer not in by_batch:
            return output
        if values.numel() == values.size(1):
            raise RunError(
                f"batch norm {by_batch[layer]}: a batch has one value to a channel, which cannot be normalised by "
                "itself; take larger batches, or layerwise=True"
            )
        return nn.functional.batch_norm(values, None, None, layer.weight, layer.bias, True, 0.0, layer.eps)

    hooks = [layer.register_forward_hook(see) for layer in layers]
    seen = False
    try:
        for inputs, _ in batches:
            seen = True
            model(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    if not seen:
        raise RunError("batch norm: there is no batch to take the statistics of")
    return pools


def _set(pools: dict[_BatchNorm, _Pool], names: dict[_BatchNorm, str]) -> int:
    for layer, pool in pools.items():
        if pool.n < 2:
            raise RunError(
                f"batch norm {names[layer]}: saw one value to a channel, which has no variance; give more data"
            )
    for layer, pool in pools.items():
        layer.running_mean.copy_(pool.mean)  # type: ignore[union-attr]
        layer.running_var.copy_(pool.squares / (pool.n - 1))  # type: ignore[union-attr]
    return len(pools)


def _keeps(layer: _BatchNorm) -> bool:
    return layer.running_mean is not None and layer.running_var is not None


def _first(batches: Iterable[Batch]) -> Iterator[Batch]:
    for batch in batches:
        yield batch
        return


@contextlib.contextmanager
def _random_states_kept() -> Iterator[None]:
    """A DataLoader draws a seed for each pass, its data sets may draw from any of the three."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
