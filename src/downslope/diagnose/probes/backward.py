"""Sees each backward pass begin and end, in whichever loop: follows `torch.autograd.backward` while a watch is open.

`Tensor.backward` calls it too. Nothing else tells which scalar a graph began from, so that a loop need not be changed.
The function is put back when the last watch closes. Costs under 1 us a backward pass."""

from __future__ import annotations

import weakref
from typing import Any

import torch

_watching: list[weakref.ref[Any]] = []  # weak, so that a watch that nobody closes goes with its model
_torch_backward: Any = None


def follow(observer: Any) -> None:
    """Tell an observer of each backward pass: `before_backward(roots)` and `after_backward()`."""
    global _torch_backward
    if torch.autograd.backward is not _seen:
        _torch_backward = torch.autograd.backward
        torch.autograd.backward = _seen
    _watching.append(weakref.ref(observer))


def leave(observer: Any) -> None:
    """No more. The function is put back if nobody else has followed it meanwhile."""
    _watching[:] = [each for each in _watching if each() not in (observer, None)]
    if not _watching and torch.autograd.backward is _seen:
        torch.autograd.backward = _torch_backward


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
