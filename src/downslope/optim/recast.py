"""Saved states into the storages of an optimizer, and its states into float32: between precisions only if asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ..backends.storage import STORAGES, Storage, name_of
from ..compiler.plan import Plan
from ..errors import StateError
from . import sharding, storing
from .precision import MODES, PARAMETER, Precision, for_state
from .sharding import is_shared, local, placed

HOW = "states are cast only when asked to: load_state_dict(state_dict, cast=True)"


def states(
    saved: Mapping[str, Any], plan: Plan, param: torch.Tensor, asked: Precision, cast: bool
) -> dict[str, torch.Tensor]:
    """Copies of the saved states of a parameter on its device, with what stands beside them.

    Raises StateError, with "of it" in the place of the parameter's name, for a state of another shape, or of another
    precision without `cast`."""
    state: dict[str, torch.Tensor] = {}
    for name in plan.states:
        if saved.get(name) is not None:
            state |= _state(saved, name, param, for_state(asked, plan, name, param.dtype), cast)
    return state | _remainder(saved, param, asked, cast)


def names_beside(saved: Mapping[str, Any], plan: Plan) -> set[str]:
    """What in a saved state belongs to another entry of it."""
    suffixes = {s.beside.suffix for s in STORAGES.values() if s.beside}
    return {
        f"{name}_{suffix}" for name in (PARAMETER, *plan.states) for suffix in suffixes if f"{name}_{suffix}" in saved
    }


def _state(
    saved: Mapping[str, Any], name: str, param: torch.Tensor, storage: str, cast: bool
) -> dict[str, torch.Tensor]:
    value = saved[name]
    if not isinstance(value, torch.Tensor) or value.shape != param.shape:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else repr(value)[:80]
        raise StateError(
            f"{name} of it has shape {found}, the parameter {tuple(param.shape)}; optimizers made with "
            "model.named_parameters() match their states by name"
        )
    wanted = STORAGES[storage]
    if value.dtype != wanted.dtype and not cast:
        raise StateError(f"{name} of it is {value.dtype}, here it is kept as {wanted.dtype}; {HOW}")
    if name_of(value.dtype) not in STORAGES:
        raise StateError(f"{name} of it is {value.dtype}; states are {', '.join(STORAGES)}")
    here = sharding.copied(value.detach(), param)
    before = STORAGES[name_of(value.dtype)]
    rows = _rows(saved, name, param, before)
    if value.dtype == wanted.dtype and (before.beside is None or storing.same_order(value, param)):
        return {name: here, **rows}
    made = storing.start(param, name, storage, 0.0)
    kept, *more = map(local, made.values())
    source = here if storing.same_order(value, param) or is_shared(value) else value.detach().to(param.device)
    values = storing.load(before, local(source), *map(local, rows.values())) if rows else local(source)
    if more:
        storing.store(wanted, kept, more[0], values)
    else:
        kept.copy_(values)
    return made


def _rows(saved: Mapping[str, Any], name: str, param: torch.Tensor, before: Storage) -> dict[str, torch.Tensor]:
    """A copy of the scales of a saved state."""
    found = {}
    for called, like in storing.beside(param, name, before.name).items():
        scale = saved.get(called)
        if not isinstance(scale, torch.Tensor) or scale.shape != like.shape or scale.dtype != like.dtype:
            what = (
                f"{scale.dtype} of shape {tuple(scale.shape)}" if isinstance(scale, torch.Tensor) else repr(scale)[:80]
            )
            raise StateError(
                f"{called} of it is {what}; to {name}, which is {before.dtype}, belong {like.dtype} of shape "
                f"{tuple(like.shape)}"
            )
        found[called] = sharding.copied(scale.detach(), like)
    return found


def _remainder(saved: Mapping[str, Any], param: torch.Tensor, asked: Precision, cast: bool) -> dict[str, torch.Tensor]:
    """The bits that a bfloat16 parameter cannot hold."""
    mode = MODES[asked.mode] if param.dtype is torch.bfloat16 else name_of(param.dtype)
    wanted = storing.beside(param, PARAMETER, mode)
    for called, like in wanted.items():
        value = saved.get(called)
        if isinstance(value, torch.Tensor) and value.shape == like.shape and value.dtype is like.dtype:
            return {called: sharding.copied(value.detach(), param)}
        if not cast:
            raise StateError(f"state of it has no {called}, which param_mode='split' needs; {HOW} starts it at 0")
    if not wanted and not cast and f"{PARAMETER}_remainder" in saved:
        raise StateError(f"state of it has bits of the parameter beside it, here param_mode is {asked.mode!r}; {HOW}")
    return wanted


def in_float32(state: Mapping[str, Any], plan: Plan, param: torch.Tensor) -> dict[str, Any]:
    """A state as torch keeps that of a float32 parameter."""
    found = {}
    beside = names_beside(state, plan)
    for name, value in state.items():
        if name in plan.states and value.dtype not in (torch.float32, torch.float64) and not value.is_complex():
            values = storing.values_of(state, name).float()
            found[name] = placed(values, param) if is_shared(param) else values
        elif name not in beside:
            found[name] = value
    return found
