"""Values into and out of storages through torch operations: for what kernels do not cover, and to begin with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..backends.storage import STORAGES, Kept, Storage, name_of, random_bits
from ..compiler.plan import Plan
from ..errors import StateError
from .sharding import local, rows_beside

PARAMETER = "p"


def _order(t: torch.Tensor) -> list[int]:
    """The dimensions as memory has them, the slowest first."""
    strides = t.stride()
    return sorted(range(t.ndim), key=lambda d: (-strides[d], d))


def same_order(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Whether two tensors of a shape have their elements in the same order in memory."""
    return _order(a) == _order(b)


def _flat(t: torch.Tensor, order: list[int]) -> torch.Tensor:
    return t.permute(order).reshape(-1)


def load(storage: Storage, here: torch.Tensor, beside: torch.Tensor | None) -> torch.Tensor:
    """The values of a tensor that is kept so, in the shape that it has."""
    if storage.beside is None:
        return storage.decode(here, None)
    assert beside is not None
    order = _order(here)
    more = _flat(beside, order) if storage.beside.every == 1 else beside.reshape(-1)
    values = storage.decode(_flat(here, order), more)
    shape = [here.shape[d] for d in order]
    return values.reshape(shape).permute([order.index(d) for d in range(here.ndim)])


def store(
    storage: Storage,
    here: torch.Tensor,
    beside: torch.Tensor | None,
    values: torch.Tensor,
    key: int | None = None,
    number: int = 0,
) -> None:
    """Keep values in a tensor and in what stands beside it. With the key of the parameter's random bits in this step
    rounding is random, where the storage has that; without, to the nearest."""
    order = _order(here)
    flat = _flat(values.to(torch.float32), order)
    bits = random_bits(key, flat.numel(), number, flat.device) if key is not None and storage.random else None
    codes, more = storage.encode(flat, bits)
    _put(here, codes, order)
    if beside is not None and more is not None:
        if storage.beside is not None and storage.beside.every == 1:
            _put(beside, more, order)
        else:
            beside.reshape(-1)[: more.numel()].copy_(more)


def _put(here: torch.Tensor, flat: torch.Tensor, order: list[int]) -> None:
    here.permute(order).copy_(flat.view([here.shape[d] for d in order]))


def beside(param: torch.Tensor, name: str, storage: str) -> dict[str, torch.Tensor]:
    """What stands beside a state or parameter that is kept so, by its name, filled with 0."""
    more = STORAGES[storage].beside
    if more is None:
        return {}
    called = f"{name}_{more.suffix}"
    if more.every == 1:
        return {called: torch.zeros_like(param.detach(), dtype=more.dtype, memory_format=torch.preserve_format)}
    return {called: rows_beside(param, more.every, more.dtype)}


def complete(param: torch.Tensor, state: dict[str, Any], kept: Kept, plan: Plan) -> None:
    """Give a state what should stand beside its parameter, exact so far. Raises StateError where it lacks what stands
    beside its own tensors."""
    for name, storage in zip(plan.tensors, kept):
        wanted = beside(param, name, storage)
        for called, begin in wanted.items():
            if name == PARAMETER and state.get(called) is None:
                state[called] = begin
            found = state.get(called)
            if not isinstance(found, torch.Tensor) or found.dtype is not begin.dtype or found.shape != begin.shape:
                what = f"{found.dtype} of shape {tuple(found.shape)}" if isinstance(found, torch.Tensor) else found
                raise StateError(
                    f"the state {name} is {STORAGES[storage].dtype}, so {called} must be {begin.dtype} of shape "
                    f"{tuple(begin.shape)}; it is {what}"
                )


def _values(param: torch.Tensor, value: float | None) -> torch.Tensor:
    return param if value is None else torch.full_like(param, value, dtype=torch.float32)


def start(param: torch.Tensor, name: str, storage: str, value: float | None) -> dict[str, torch.Tensor]:
    """A state at its initial value, None for the parameter's, and what stands beside it, laid out in memory as the
    parameter. Raises StateError where the device cannot hold the type."""
    param, dtype = param.detach(), STORAGES[storage].dtype
    try:
        state = torch.zeros_like(param, dtype=dtype, memory_format=torch.preserve_format)
        made = {name: state} | beside(param, name, storage)
    except (TypeError, RuntimeError) as error:
        raise StateError(
            f"its device {param.device} cannot hold the state {name} as {dtype}: {str(error).splitlines()[0]}"
        ) from None
    if value == 0:
        return made
    here, *more = map(local, made.values())
    if value is None and dtype is param.dtype:
        here.copy_(local(param))
    elif more:
        store(STORAGES[storage], here, more[0], _values(local(param), value))
    elif value is None:
        here.copy_(local(param))
    else:
        (torch.view_as_real(here) if here.is_complex() else here).fill_(value)
    return made


def is_coded(value: Any) -> bool:
    """Whether a tensor is one of codes, and no number of its own."""
    return isinstance(value, torch.Tensor) and value.dtype in (torch.int8, torch.uint8)


def values_of(state: Mapping[str, Any], name: str) -> torch.Tensor:
    """A state's values, whatever it is kept in, of the part that lies here."""
    here = local(state[name])
    storage = STORAGES[name_of(here.dtype)]
    if storage.beside is None:
        return here
    return load(storage, here, local(state[f"{name}_{storage.beside.suffix}"]))
