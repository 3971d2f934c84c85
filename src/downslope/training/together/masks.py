"""Dropout's masks for several trials, drawn as a run alone draws them."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


class Masks(TorchFunctionMode):
    """Inside, dropout draws one mask for all trials in the order in which the input of one lies in memory.

    So it does alone; the batched form that torch has draws in the order of the dimensions, which is another where a
    transpose came before, as after attention."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.dropout:
            return _dropout(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _dropout(input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> torch.Tensor:
    if not training or not 0 < p < 1:
        return F.dropout(input, p, training, inplace)
    strides = input.stride()
    order = sorted(range(input.ndim), key=lambda d: -strides[d])
    shape = [input.shape[d] for d in order]
    mask = torch.empty(shape, dtype=input.dtype, device=input.device).bernoulli_(1 - p).div_(1 - p)
    mask = mask.permute([order.index(d) for d in range(input.ndim)])
    return input.mul_(mask) if inplace else input * mask
