"""One pass over the parameters that have it: rows of one native call, and torch operations for the rest."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..backends import once
from ..backends.storage import mix
from ..compiler.graph import walk
from ..compiler.plan import Plan
from ..errors import SettingError
from . import sections, sharding, whole
from .member import LOW, Member
from .table import Table


class Class:
    """Members of a group that share step count and scalar states, and so all once-per-step values of a pass."""

    def __init__(self, members: list[Member], plan: Plan):
        self.members, self.group, self.plan = members, members[0].group, plan
        self.places = np.array([m.place for m in members])
        self._once = once.build(plan)
        self._sources = [source(name) for name in plan.scalars]

    def scalars(self, bank: np.ndarray, options: Mapping[str, Any]) -> list[Any]:
        """The values of the plan's scalars: of the transforms, the states and the tensors first, the group's settings
        otherwise."""
        line, group = bank[self.places[0]], self.group
        numbers = {**options, "t": float(line[0]) + 1.0, **self.members[0].numbers}
        numbers |= {name: float(line[1 + i]) for i, name in enumerate(self.plan.numbers)}
        return [
            numbers[name] if name in numbers else self._setting(group[name] if i is None else group[name][i])
            for name, i in self._sources
        ]

    def _setting(self, value: Any) -> Any:
        """A setting's value; None stands for the precision of the parameter, as in torch's Adafactor."""
        return torch.finfo(self.members[0].param.dtype).eps if value is None else value

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


def source(name: str) -> tuple[str, int | None]:
    """The setting and place that a scalar such as `betas[1]` comes from."""
    setting, bracket, place = name.partition("[")
    return (setting, int(place[:-1])) if bracket else (name, None)


class Stage:
    """The pass number `depth` of those members whose plan has so many; `members` are all of the batch."""

    def __init__(self, members: Sequence[Member], bank: np.ndarray, depth: int):
        plans = {i: plan for i, m in enumerate(members) if (plan := _pass(m, depth)) is not None}
        self.members = members
        keyed: dict[Any, list[int]] = {}
        for i, plan in plans.items():
            m = members[i]
            own = m.place if m.plan.whole else None  # what its tensor gives is the member's own
            keyed.setdefault((id(m.group), plan, own, *bank[m.place]), []).append(i)
        self.classes = [Class([members[i] for i in places], plans[places[0]]) for places in keyed.values()]
        self._bank = bank
        width = max((len(c.plan.slots) for c in self.classes), default=0)
        self._slots = np.zeros((len(self.classes), width))
        line = {i: number for number, places in enumerate(keyed.values()) for i in places}
        self._class_of = {i: self.classes[number] for i, number in line.items()}
        self.quick = [i for i in plans if members[i].quick]
        self.slow = [i for i in plans if not members[i].quick]
        lines = self._slots.ctypes.data + np.array([line[i] for i in self.quick], np.int64) * self._slots.strides[0]
        rows = [members[i] for i in self.quick]
        holders: list[Any] = [ChainMap(m.scratch, m.state) if m.scratch else m.state for m in rows]
        self.table = Table(
            [m.param for m in rows],
            holders,
            [plans[i] for i in self.quick],
            [m.storages for m in rows],
            lines,
            np.array([m.place for m in rows], dtype=np.int64),
        )
        self._calls = [(i, k, call) for i, plan in plans.items() for k, call in enumerate(plan.calls)]
        self._sections = [i for i, plan in plans.items() if plan.section]

    def run(self, options: Mapping[str, float], grads: list[torch.Tensor]) -> None:
        """Compute what is once per step, run the pass, and then the operations on whole tensors after it."""
        bank = self._bank
        given = [one.scalars(bank, options) for one in self.classes]
        computed = [one.compute(scalars) for one, scalars in zip(self.classes, given)]
        after: dict[int, tuple[float, ...]] = {}
        for line, (one, values) in enumerate(zip(self.classes, computed)):  # nothing has changed before, if one raised
            slots, plan = len(one.plan.slots), one.plan
            self._slots[line, :slots] = values[:slots]
            for name, value in zip(plan.updates, values[slots:]):
                bank[one.places, 1 + plan.numbers.index(name)] = value
            after[id(one)] = values[slots + len(plan.updates) :]
        key = int(options["rounding"])
        if self.quick:
            self.table.update(key)
            note_change(self.table.changed)
        scalars = {id(one): dict(zip(one.plan.scalars, each)) for one, each in zip(self.classes, given)}
        for i in self.slow:
            m, one = self.members[i], self._class_of[i]
            if sharding.is_shared(m.param):
                note_change([m.param])  # whose part is written beneath it
            given_here = scalars[id(one)]
            if not m.at_once:
                given_here = {name: number(value) for name, value in given_here.items()}
            m.run(one.plan, grads[i], given_here, mix(key ^ m.place))
        if self._calls:
            whole.run([*self._jobs(grads, after)])
        if self._sections:
            sections.run([self._section(i, grads[i], scalars) for i in self._sections])

    def _jobs(self, grads: list[torch.Tensor], after: dict[int, tuple[float, ...]]) -> Any:
        for i, k, call in self._calls:
            m, one = self.members[i], self._class_of[i]
            begin = sum(len(c.numbers) for c in one.plan.calls[:k])
            numbers = after[id(one)][begin : begin + len(call.numbers)]
            source = grads[i] if call.source == "g" else m.tensor(call.source)
            yield whole.Job(call, m.param, source, numbers, m.scratch if call.result in m.scratch else m.numbers)

    def _section(self, i: int, grad: torch.Tensor, scalars: dict[int, dict[str, Any]]) -> sections.Job:
        m, one = self.members[i], self._class_of[i]
        names = {str(n.value) for n in walk(one.plan.section.values()) if n.op == "tensor"} - m.parts.keys()
        work = torch.float32 if m.param.dtype in LOW else m.param.dtype
        tensors = {name: (grad if name == "g" else m.tensor(name)).to(work) for name in names}
        numbers = {name: number(value) for name, value in scalars[id(one)].items()}
        return sections.Job(one.plan, m.param, tensors, numbers, m.numbers, m.parts, m.scratch)


def _pass(member: Member, depth: int) -> Plan | None:
    """The pass of a member's plan, if it has so many."""
    if member.at_once and depth:
        return None
    return next((plan for i, plan in enumerate(member.plan.passes) if i == depth), None)


def note_change(tensors: list[torch.Tensor]) -> None:
    """Tell autograd that native code wrote these tensors, so that a stale backward raises instead of being wrong."""
    increment = torch.autograd.graph.increment_version
    try:
        increment(tensors)
    except (TypeError, AttributeError):  # torch before 2.7 takes one tensor
        for t in tensors:
            increment(t)  # type: ignore[arg-type]
