"""All parameters that have a gradient -> one step: a stage for each pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from . import sections, sharding
from .member import Member
from .sharding import local
from .stage import Class, Stage
from .table import native, overlapping


class Batch:
    """One step for a fixed set of parameters; built again when that set, a setting's kind or an address changes.

    `bank` holds a line per parameter of the optimizer: its step count, then its scalar states.
    """

    def __init__(self, members: list[Member], bank: torch.Tensor):
        self.members = members
        self._bank = bank.numpy()
        self._places = np.array([m.place for m in members])
        self._kept = [m for m in members if m.plan.kept]
        self._expected = self._bank[self._places]
        self._shared = any(sharding.is_shared(m.param) for m in members)
        overlaps = overlapping([local(m.param) for m in members])
        for i, m in enumerate(members):
            m.quick = i not in overlaps and not m.group.get("differentiable") and native(m.param, m.state, m.plan)
            m.prepare()
        depth = max(sum(1 for _ in m.plan.passes) for m in members)
        self._stages = [Stage(members, self._bank, i) for i in range(depth)]
        self._first, self._later = self._stages[0], self._stages[1:]
        self._quick, self._slow = self._first.quick, self._first.slow
        self._table = self._first.table
        if self._shared:  # a gradient's squares are summed with those of the same mesh dimensions
            for m in members:
                sharding.check(m.param)
            keys = [sharding.key(m.param) for m in members]
            self._keys = [*dict.fromkeys(keys)]
            self._kinds = np.array([self._keys.index(key) for key in keys])

    @property
    def classes(self) -> list[Class]:
        """Those of the first pass, in which all members are."""
        return self._first.classes

    def fits(self, grads: list[torch.Tensor]) -> bool:
        """Whether everything is still where it was: addresses, step counts, scalar states."""
        return (
            self._table.fits(self._of_table(grads))
            and np.array_equal(self._bank[self._places], self._expected)
            and all(
                name in self.members[i].state
                for i in self._slow
                for name in (*self.members[i].plan.states, *self.members[i].plan.kept)
            )
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
        self._held: list[Any] = [stage.table.take([grads[i] for i in stage.quick]) for stage in self._later]
        self._held.append(self._table.take(self._of_table(grads)))

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
        for stage in self._stages:
            stage.run(options, self._grads)
        for m in self._kept:
            sections.commit(m.state, m.parts, m.plan.kept)
        self._bank[self._places, 0] += 1
        self._expected = self._bank[self._places]
        self._grads = self._held = []


class Several:
    """Batches on several devices, as one: what they have to tell each other goes over the host."""

    def __init__(self, parts: list[tuple[list[int], Any]]):
        """Batches with the places of their members among all."""
        self._parts = parts

    @property
    def members(self) -> list[Member]:
        return [m for _, batch in self._parts for m in batch.members]

    def fits(self, grads: list[torch.Tensor]) -> bool:
        return all(batch.fits([grads[i] for i in places]) for places, batch in self._parts)

    def take(self, grads: list[torch.Tensor]) -> None:
        for places, batch in self._parts:
            batch.take([grads[i] for i in places])

    def norm(self) -> float:
        return float(sum(float(batch.norm()) ** 2 for _, batch in self._parts) ** 0.5)

    def finite(self) -> bool:
        return all(batch.finite() for _, batch in self._parts)

    def run(self, options: Mapping[str, float]) -> None:
        for _, batch in self._parts:
            batch.run(options)


def _sum_of_squares(grad: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(grad.detach(), dtype=_norm_dtype(grad))) ** 2


def _norm_dtype(grad: torch.Tensor) -> torch.dtype:
    return torch.complex128 if grad.is_complex() else torch.float64
