"""Sees each backward pass begin and end, in whichever loop: follows `torch.autograd.backward` while a watch is open.

`Tensor.backward` calls it too. Nothing else tells which scalar a graph began from, so that a loop need not be changed.
The function is put back when the last watch rests or closes. Costs under 1 us a backward pass."""

from __future__ import annotations

import weakref
from typing import Any

import torch

_watching: list[weakref.ref[Any]] = []  # weak, so that a watch that nobody closes goes with its model
_torch_backward: Any = None
_placed = False  # is `_seen` what torch.autograd.backward is, or in what somebody else has put there since?


class Handle:
    """Of an observer that is told: `remove()` ends it."""

    def __init__(self, observer: Any):
        self._observer = weakref.ref(observer)

    def remove(self) -> None:
        leave(self._observer())


def follow(observer: Any) -> Handle:
    """Tell an observer of each backward pass: `before_backward(roots)` and `after_backward()`."""
    global _torch_backward, _placed
    now = torch.autograd.backward
    if now is not _seen and (not _placed or now is _torch_backward):
        _torch_backward = now
        torch.autograd.backward = _seen
    _placed = True
    _watching.append(weakref.ref(observer))
    return Handle(observer)


def follows(observer: Any) -> bool:
    """Is it told?"""
    return any(each() is observer for each in _watching)


def leave(observer: Any) -> None:
    """No more. The function is put back if nobody else has followed it meanwhile."""
    global _placed
    _watching[:] = [each for each in _watching if each() not in (observer, None)]
    if not _watching and torch.autograd.backward is _seen:
        torch.autograd.backward, _placed = _torch_backward, False


def _seen(tensors: Any, *args: Any, **kwargs: Any) -> Any:
    told = [observer for each in _watching if (observer := each()) is not None]
    if told:
        roots = (tensors,) if isinstance(tensors, torch.Tensor) else tuple(tensors)
        for observer in told:
            observer.before_backward(roots)
        result = _torch_backward(roots, *args, **kwargs)
    else:
        result = _torch_backward(tensors, *args, **kwargs)
    for observer in told:
        observer.after_backward()
    return result
