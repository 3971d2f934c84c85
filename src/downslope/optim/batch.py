"""All parameters that have a gradient -> one step: once-per-step values, one native call, eager for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..backends import eager, once
from ..compiler.plan import Plan
from ..errors import SettingError
from . import sharding
from .sharding import local
from .table import Table, native, overlapping

LOW = (torch.float16, torch.bfloat16)


@dataclass
class Member:
    """A parameter with its state, and what its group makes of it."""

    param: torch.Tensor
    state: dict[str, Any]
    group: dict[str, Any]
    plan: Plan
    place: int  # its row in the bank of step counts and scalar states


class Class:
    """The members of a group that share step count and scalar states, and so all once-per-step values."""

    def __init__(self, members: list[Member]):
        self.members, self.group, self.plan = members, members[0].group, members[0].plan
        self.places = np.array([m.place for m in members])
        self._once = once.build(self.plan)
        self._sources = [_source(name) for name in self.plan.scalars]

    def scalars(self, numbers: Mapping[str, Any]) -> list[Any]:
        """The values of the plan's scalars: given numbers first, the group's settings otherwise."""
        group = self.group
        return [
            numbers[name] if name in numbers else group[name] if i is None else group[name][i]
            for name, i in self._sources
        ]

    def compute(self, scalars: list[Any]) -> tuple[float, ...]:
        try:
            numbers = [*map(number, scalars)]
        except (TypeError, ValueError):
            name, value = next((n, v) for n, v in zip(self.plan.scalars, scalars) if not _is_number(v))
            raise SettingError(
                f"{self.plan.graph.name}: {name} of a param group is {value!r}; it must be a number"
            ) from None
        return self._once(numbers)


def number(value: Any) -> float:
    return float(value.detach() if isinstance(value, torch.Tensor) else value)


def _is_number(value: Any) -> bool:
    try:
        number(value)
    except (TypeError, ValueError):
        return False
    return True


def _source(name: str) -> tuple[str, int | None]:
    """The setting and place that a scalar such as `betas[1]` comes from."""
    setting, bracket, place = name.partition("[")
    return (setting, int(place[:-1])) if bracket else (name, None)


class Batch:
    """One step for a fixed set of parameters; built again when that set, a setting's kind or an address changes.

    `bank` holds a line per parameter of the optimizer: its step count, then its scalar states.
    """

    def __init__(self, members: list[Member], bank: torch.Tensor):
        self.members = members
        self._bank = bank.numpy()
        self._places = np.array([m.place for m in members])
        self._expected = self._bank[self._places]
        keyed: dict[Any, list[Member]] = {}
        for member, line in zip(members, self._expected):
            keyed.setdefault((id(member.group), member.plan, *line), []).append(member)
        self.classes = [Class(group) for group in keyed.values()]

        self._shared = any(sharding.is_shared(m.param) for m in members)
        overlaps = overlapping([local(m.param) for m in members])
        quick = [
            i not in overlaps and not m.group.get("differentiable") and native(m.param, m.state, m.plan)
            for i, m in enumerate(members)
        ]
        width = max((len(c.plan.slots) for c in self.classes), default=0)
        self._slots = np.zeros((len(self.classes), width))
        line = {id(m): i for i, c in enumerate(self.classes) for m in c.members}
        rows = [m for m, is_quick in zip(members, quick) if is_quick]
        lines = self._slots.ctypes.data + np.array([line[id(m)] for m in rows], dtype=np.int64) * self._slots.strides[0]
        self._quick = [i for i, is_quick in enumerate(quick) if is_quick]
        self._slow = [i for i, is_quick in enumerate(quick) if not is_quick]
        self._class_of = [self.classes[line[id(m)]] for m in members]
        self._table = Table([m.param for m in rows], [m.state for m in rows], [m.plan for m in rows], lines)
        if self._shared:  # a gradient's squares are summed with those of the same mesh dimensions
            for m in members:
                sharding.check(m.param)
            keys = [sharding.key(m.param) for m in members]
            self._keys = [*dict.fromkeys(keys)]
            self._kinds = np.array([self._keys.index(key) for key in keys])

    def fits(self, grads: list[torch.Tensor]) -> bool:
        """Whether everything is still where it was: addresses, step counts, scalar states."""
        return (
            self._table.fits(self._of_table(grads))
            and np.array_equal(self._bank[self._places], self._expected)
            and all(name in self.members[i].state for i in self._slow for name in self.members[i].plan.tensors[2:])
        )

    def take(self, grads: list[torch.Tensor]) -> None:
        """This step's gradients, in the order of the members."""
        if self._shared:
            grads = [
                # torch differentiates through a DTensor as a whole
                g if m.group.get("differentiable") else sharding.local_gradient(g, m.param)
                for g, m in zip(grads, self.members)
            ]
        self._grads = grads
        self._held = self._table.take(self._of_table(grads))

    def _of_table(self, grads: list[torch.Tensor]) -> list[torch.Tensor]:
        return grads if len(self._quick) == len(grads) else [grads[i] for i in self._quick]

    def norm(self) -> float:
        """The global norm of the gradients, accumulated in double: one read of them."""
        if self._shared:
            return self._norm_over_meshes()
        total = self._table.launch.sum_of_squares() if self._quick else 0.0
        for i in self._slow:
            total += _sum_of_squares(self._grads[i])
        return total**0.5

    def _norm_over_meshes(self) -> float:
        sums = self._table.sums_of_squares(self._kinds[self._quick], len(self._keys))
        for i in self._slow:
            sums[self._kinds[i]] += _sum_of_squares(local(self._grads[i]))
        reduced = [sharding.reduce_by_key([float(each)], key)[0] for each, key in zip(sums, self._keys)]
        return float(sum(reduced) ** 0.5)

    def finite(self) -> bool:
        """Whether every gradient is finite, looked at one by one: for when a norm is not."""
        found = [bool(torch.isfinite(local(g)).all()) for g in self._grads]
        if not self._shared:
            return all(found)
        bad = [sum(not ok for ok, kind in zip(found, self._kinds) if kind == i) for i in range(len(self._keys))]
        return not any(sharding.reduce_by_key([float(n)], key)[0] for n, key in zip(bad, self._keys))

    def run(self, options: Mapping[str, float]) -> None:
        """Update every parameter and state. `options` are the scalars of the transforms."""
        slow_scalars: dict[Class, dict[str, Any]] = {}
        computed = []
        for one in self.classes:
            bank = self._bank[one.places[0]]
            states = {name: float(bank[1 + i]) for i, name in enumerate(one.plan.updates)}
            scalars = one.scalars({**options, **states, "t": float(bank[0]) + 1.0})
            if self._slow:
                slow_scalars[one] = dict(zip(one.plan.scalars, scalars))
            computed.append(one.compute(scalars))
        for line, (one, values) in enumerate(zip(self.classes, computed)):  # nothing has changed before, if one raised
            slots = len(one.plan.slots)
            self._slots[line, :slots] = values[:slots]
            self._bank[one.places, 1 : 1 + len(values) - slots] = values[slots:]
        self._bank[self._places, 0] += 1
        self._expected = self._bank[self._places]
        if self._quick:
            self._table.launch.update()
            _note_change(self._table.changed)
        if self._shared:
            _note_change([self.members[i].param for i in self._slow])  # whose parts are written beneath them
        for i in self._slow:
            _run_eagerly(self.members[i], self._grads[i], slow_scalars[self._class_of[i]])
        self._grads = self._held = []


def _sum_of_squares(grad: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(grad.detach(), dtype=_norm_dtype(grad))) ** 2


def _norm_dtype(grad: torch.Tensor) -> torch.dtype:
    return torch.complex128 if grad.is_complex() else torch.float64


def _note_change(tensors: list[torch.Tensor]) -> None:
    """Tell autograd that native code wrote these tensors, so that a stale backward raises instead of being wrong."""
    increment = torch.autograd.graph.increment_version
    try:
        increment(tensors)
    except (TypeError, AttributeError):  # torch before 2.7 takes one tensor
        for t in tensors:
            increment(t)  # type: ignore[arg-type]


def _run_eagerly(member: Member, grad: torch.Tensor, scalars: dict[str, Any]) -> None:
    """One parameter through torch operations. Complex numbers are updated as pairs of real ones, as in torch."""
    tensors = {"p": member.param, "g": grad} | {name: member.state[name] for name in member.plan.tensors[2:]}
    if not member.group.get("differentiable"):
        tensors = {name: local(t) for name, t in tensors.items()}
    if member.param.is_complex():
        tensors = {name: torch.view_as_real(t) for name, t in tensors.items()}
    work = torch.float32 if member.param.dtype in LOW else tensors["p"].dtype
    if not member.group.get("differentiable"):
        scalars = {name: number(value) for name, value in scalars.items()}
        inputs = {name: t.to(work) for name, t in tensors.items()}
    else:  # what autograd keeps for the way back is overwritten here in the next step
        inputs = {name: t.to(work, copy=True) for name, t in tensors.items()}
    results = eager.run(member.plan.graph, inputs, scalars)
    for name in member.plan.writes:
        result = results[name]
        if isinstance(result, torch.Tensor):
            tensors[name].copy_(result)
        else:
            tensors[name].fill_(result)
