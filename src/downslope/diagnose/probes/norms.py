"""Norms of parameters, gradients and updates, fused over all. Costs a pass over each, and a copy for updates."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...optim.sharding import local


def norms(tensors: Sequence[torch.Tensor | None]) -> Any:
    """The 2-norm of each, as numpy; nan where there is none, or where it is sparse and cannot be had at once."""
    out = np.full(len(tensors), math.nan)
    places = [i for i, t in enumerate(tensors) if t is not None and not t.is_sparse]
    if places:
        found = torch._foreach_norm([tensors[i].detach() for i in places])  # type: ignore[union-attr]
        out[places] = (
            torch.stack([f.float() for f in found]).cpu().numpy() if _one(found) else [float(f) for f in found]
        )
    for i, t in enumerate(tensors):
        if t is not None and t.is_sparse:
            out[i] = float(t.coalesce().values().norm())
    return out


def _one(tensors: Any) -> bool:
    return len({t.device for t in tensors}) == 1


def total(norms: Any) -> float:
    """The norm of all together; parameters without a gradient count as zero."""
    return float(np.sqrt(np.nansum(np.square(norms))))


def dot(a: list[torch.Tensor], b: list[torch.Tensor]) -> float:
    """The product of two lists of tensors of one shape each."""
    return sum(float(torch.dot(x.flatten().float(), y.flatten().float())) for x, y in zip(a, b))


def staleness(optimizer: torch.optim.Optimizer, params: list[torch.Tensor], grads: Any) -> float:
    """The largest ratio, over parameters, of a gradient's mean square to its second moment in the optimizer.

    About 1 when gradients are what they were; far above when they grew at once. nan where no moments are kept."""
    found = []
    for p, g in zip(params, grads):
        v = optimizer.state.get(p, {}).get("exp_avg_sq")
        if isinstance(v, torch.Tensor) and v.is_floating_point() and v.numel() == p.numel() and math.isfinite(g):
            found.append((local(v), g * g))
    if not found:
        return math.nan
    sums = torch._foreach_norm([v for v, _ in found], 1)
    ratios = [square / float(size) for size, (_, square) in zip(sums, found) if float(size) > 0]
    return max(ratios, default=math.nan)
