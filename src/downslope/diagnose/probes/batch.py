"""A batch as the model got it, so that a forward pass can be made anew: arguments, precision, random numbers."""

from __future__ import annotations

import contextlib
import math
import zlib
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from ...optim.sharding import local


@dataclass(frozen=True)
class Batch:
    """`autocast` is the device type and dtype that were set around the model; `state` torch's random numbers before it,
    where they were kept; `versions` say whether the loop has written over the tensors since."""

    args: Any
    kwargs: Any
    autocast: tuple[str, torch.dtype] | None = None
    state: torch.Tensor | None = None
    versions: tuple[int, ...] = ()

    def through(self, model: nn.Module, exact: bool = False) -> Any:
        """What the model says. In half precision that has no room for gradients, float32 stands in unless `exact`."""
        half = self.autocast is not None and self.autocast[1] is torch.float16 and not exact
        with contextlib.nullcontext() if self.autocast is None or half else torch.autocast(*self.autocast):
            return model(*self.args, **self.kwargs)

    @property
    def tensors(self) -> list[torch.Tensor]:
        return tensors((self.args, self.kwargs))

    @property
    def samples(self) -> int:
        return samples(self.args, self.kwargs)

    @property
    def bytes(self) -> int:
        return sum(t.numel() * t.element_size() for t in self.tensors)

    @property
    def whole(self) -> bool:
        """Are the tensors still what they were?"""
        return _versions(self.tensors) == self.versions

    @property
    def fingerprint(self) -> str:
        """Eight digits that tell batches apart: of the bytes of the first tensor, thinned to 4,096 numbers."""
        found = self.tensors
        if not found:
            return ""
        flat = local(found[0]).detach().flatten()
        values = flat[:: max(1, len(flat) // 4096)].cpu().contiguous()
        return f"{zlib.crc32(values.view(torch.uint8).numpy().tobytes()):08x}"


@dataclass(frozen=True)
class Known(Batch):
    """A batch with the loss that was taken of it, as its graph told."""

    kind: str = ""
    targets: Any = None
    dim: int = 1
    place: int = 0  # of the scores, among the tensors that the model gives
    value: float = math.nan  # what backward began from
    each: int = 1  # targets of one sample, one behind the other
    summed: bool = False  # the loss is a sum over targets

    def scores(self, model: nn.Module, exact: bool = False) -> torch.Tensor:
        """What the loss is taken of."""
        return tensors(self.through(model, exact))[self.place]

    def rows(self, places: list[int]) -> Known | None:
        """Some of its samples; None where tensors do not have samples as rows."""
        size, targets = self.samples, self.targets
        if any(t.ndim == 0 or len(t) != size for t in self.tensors) or len(targets) != size * self.each:
            return None
        take = lambda value: mapped(value, lambda t: t[places])  # noqa: E731
        own = targets[places] if self.each == 1 else targets.unflatten(0, (size, self.each))[places].flatten(0, 1)
        return replace(self, args=take(self.args), kwargs=take(self.kwargs), targets=own)


def joined(batches: list[Known]) -> Known | None:
    """All samples of some batches in one; None where tensors do not have samples as rows."""
    shapes = {(b.each, *(t.shape[1:] for t in (*b.tensors, b.targets))) for b in batches}
    if len(shapes) > 1 or any(b.rows([0]) is None for b in batches):
        return None
    held = iter(torch.cat(parts) for parts in zip(*(b.tensors for b in batches)))
    args, kwargs = mapped((batches[0].args, batches[0].kwargs), lambda t: next(held))
    return replace(batches[0], args=args, kwargs=kwargs, targets=torch.cat([b.targets for b in batches]))


def seen(args: Any, kwargs: Any, keep_state: bool) -> Batch:
    """The batch of a forward pass that is about to be made."""
    found = tensors((args, kwargs))
    kind = found[0].device.type if found else "cpu"
    on = torch.is_autocast_enabled(kind)
    return Batch(
        args,
        kwargs,
        (kind, torch.get_autocast_dtype(kind)) if on else None,
        torch.get_rng_state() if keep_state else None,
        _versions(found),
    )


def samples(args: Any, kwargs: Any) -> int:
    """How many there are in a batch, by the first of its tensors."""
    first = args[0] if args else None
    if not isinstance(first, torch.Tensor):
        first = next(iter(tensors((args, kwargs))), None)
    return 0 if first is None or first.ndim == 0 else first.shape[0]


def _versions(found: list[torch.Tensor]) -> tuple[int, ...]:
    return tuple(-1 if t.is_inference() else t._version for t in found)


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors in nested lists, tuples and dictionaries, or in an output object that is one of these."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors(v)]
    if isinstance(value, list | tuple):
        return [t for v in value for t in tensors(v)]
    return []


def mapped(value: Any, change: Any) -> Any:
    """The same nest with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, dict):
        return {k: mapped(v, change) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(mapped(v, change) for v in value)
    return value
