"""Parameters that several processes share (torch's DTensor): the part that lies here, and what the parts make together.

Every function takes plain tensors too and leaves them as they are, at the cost of a look at their type.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable, Sequence
from typing import Any

import torch

from ..errors import StateError

Key = Hashable
"""The mesh dimensions that a tensor is cut along, with their mesh; None for a tensor that is whole in every process."""


def is_shared(t: torch.Tensor) -> bool:
    """Whether a tensor is a DTensor."""
    module = sys.modules.get("torch.distributed.tensor")  # before its import there is none, and the import is slow
    return module is not None and isinstance(t, module.DTensor)


def local(t: torch.Tensor) -> torch.Tensor:
    """The part of a tensor that lies in this process, the very memory; perhaps without an element.

    Waits for it, if a collective that makes it is still under way."""
    if not is_shared(t):
        return t
    here: torch.Tensor = t._local_tensor  # type: ignore[attr-defined]  # to_local() costs a view of a parameter
    return here.trigger_wait() if hasattr(here, "trigger_wait") else here  # type: ignore[no-any-return]


def address(t: torch.Tensor) -> int:
    """Where the part of a tensor that lies here begins."""
    return local(t).data_ptr()


def local_gradient(grad: torch.Tensor, param: torch.Tensor) -> torch.Tensor:
    """The part of a gradient for the part of its parameter that lies here.

    Costs a collective where it is spread over the processes otherwise than its parameter, or not summed up yet. Raises
    StateError for a plain gradient of a shared parameter, and the other way round."""
    if is_shared(grad) != is_shared(param):
        kinds = ["a DTensor" if is_shared(t) else "a plain tensor" for t in (param, grad)]
        raise StateError(
            f"a parameter of shape {tuple(param.shape)} is {kinds[0]} and its gradient {kinds[1]}; make both of "
            "a kind, with torch.distributed.tensor.distribute_tensor or full_tensor()"
        )
    if is_shared(grad) and grad.placements != param.placements:  # type: ignore[attr-defined]
        grad = grad.redistribute(param.device_mesh, param.placements)  # type: ignore[attr-defined]
    here, of = local(grad), local(param)
    if here.shape != of.shape:
        raise StateError(
            f"the gradient of a parameter of shape {tuple(param.shape)} is cut elsewhere than the parameter: here lie "
            f"{tuple(here.shape)} of it and {tuple(of.shape)} of the parameter"
        )
    return here


def check(param: torch.Tensor) -> None:
    """Raise StateError for a parameter that is a sum not summed up: no formula holds for its parts."""
    if is_shared(param) and any(place.is_partial() for place in param.placements):  # type: ignore[attr-defined]
        raise StateError(
            f"a parameter of shape {tuple(param.shape)} has the placements {param.placements}; "  # type: ignore[attr-defined]
            "a parameter is sharded or replicated: call redistribute() on it before it is made a parameter"
        )


# ---- over the mesh


def key(t: torch.Tensor) -> Key:
    """What numbers about the parts of a tensor are to be reduced over."""
    if not is_shared(t):
        return None
    dims = tuple(d for d, place in enumerate(t.placements) if not place.is_replicate())  # type: ignore[attr-defined]
    return (t.device_mesh, dims) if dims else None  # type: ignore[attr-defined]


def reduce_by_key(values: Sequence[float], key: Key) -> list[float]:
    """The sums of numbers, in double, over all processes that hold another part. Costs a collective a mesh dimension,
    which all of them must enter."""
    if key is None:
        return list(values)
    mesh: Any
    dims: tuple[int, ...]
    mesh, dims = key  # type: ignore[misc]
    total = torch.tensor(values, dtype=torch.float64, device=mesh.device_type)
    for dim in dims:
        torch.distributed.all_reduce(total, group=mesh.get_group(dim))
    return total.tolist()  # type: ignore[no-any-return]


def reduce_sum(value: float, like: torch.Tensor) -> float:
    """The sum of a number of each process over all that hold another part of `like`; those with the same part, as along
    a replicated mesh dimension, are counted once. Of a plain tensor: the number itself."""
    return reduce_by_key([value], key(like))[0]


def gathered(part: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """All of a tensor of which `part` lies here as the part of `like` does. Costs an all-gather, and the memory."""
    if not is_shared(like):
        return part
    return placed(part, like).full_tensor()  # type: ignore[attr-defined, no-any-return]


def placed(part: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A DTensor on the mesh of `like`, with its placements, of which `part` lies here."""
    from torch.distributed.tensor import DTensor

    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    places: Any = like.placements  # type: ignore[attr-defined]
    return DTensor.from_local(part, mesh, places, run_check=False, shape=like.shape, stride=like.stride())


def rows_beside(like: torch.Tensor, every: int, dtype: torch.dtype) -> torch.Tensor:
    """Zeros: one for every so many elements, beginning anew in the part of each process. Of a plain tensor a vector; of
    a DTensor one whose row of blocks is the process's own, as long as that of the largest part."""
    if not is_shared(like):
        return torch.zeros(-(-like.numel() // every), dtype=dtype, device=like.device)
    from torch.distributed.tensor import DTensor, Shard

    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    largest = list(like.shape)
    for dim, placement in enumerate(like.placements):  # type: ignore[attr-defined]
        if placement.is_shard():
            largest[placement.dim] = -(-largest[placement.dim] // mesh.size(dim))
    shape = [1] * mesh.ndim + [-(-math.prod(largest) // every)]
    rows = torch.zeros(shape, dtype=dtype, device=local(like).device)
    return DTensor.from_local(rows, mesh, [Shard(d) for d in range(mesh.ndim)], run_check=False)


def share(full: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """The part of a whole tensor, which every process has, that lies here as the part of `like` does. No collective;
    the part may be a view of the whole."""
    if not is_shared(like):
        return full
    from torch.distributed.tensor import DTensor, Replicate

    mesh: Any = like.device_mesh  # type: ignore[attr-defined]
    full = full.detach().to(local(like).device)
    whole = DTensor.from_local(full, mesh, [Replicate()] * mesh.ndim, run_check=False)
    return local(whole.redistribute(mesh, like.placements))  # type: ignore[attr-defined]


def copied(value: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor of the same shape, of the kind, device and layout of `like`.

    A value that is spread over the processes otherwise costs a collective."""
    new = torch.empty_like(like, dtype=value.dtype, requires_grad=False)
    if is_shared(value):
        if is_shared(like) and value.device_mesh == like.device_mesh:  # type: ignore[attr-defined]
            value = value.redistribute(like.device_mesh, like.placements)  # type: ignore[attr-defined]
            local(new).copy_(local(value))
            return new
        value = value.full_tensor()  # type: ignore[attr-defined]
    local(new).copy_(share(value, like))
    return new
