"""A parameter with all that its step needs, and its step through torch operations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ..backends import eager
from ..backends.storage import STORAGES, Kept, Storage, random_numbers
from ..compiler.plan import Plan
from . import storing, whole
from .sharding import local

LOW = (torch.float16, torch.bfloat16)


@dataclass
class Member:
    """A parameter with its state, and what its group makes of it."""

    param: torch.Tensor
    state: dict[str, Any]
    group: dict[str, Any]
    plan: Plan
    place: int  # its row in the bank of step counts and scalar states
    storages: Kept  # the storage of each of the plan's tensors
    quick: bool = False  # whether the compiled kernels cover it
    numbers: dict[str, Any] = field(default_factory=dict)  # what whole tensors gave
    scratch: dict[str, torch.Tensor] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)  # what sections gave, of other sizes than the parameter's

    @property
    def at_once(self) -> bool:
        """Whether all passes run as one, through torch: autograd is to find the way back."""
        return bool(self.group.get("differentiable"))

    def prepare(self) -> None:
        """Have what a plan of several passes needs beside the states."""
        if self.plan.whole:
            self.numbers = whole.shape_numbers(self.param)
            self.scratch = whole.scratch(self.param, self.plan.scratch, LOW)

    def tensor(self, name: str) -> torch.Tensor:
        """The part that lies here of the parameter, a state, or what a pass has stored."""
        if name in self.scratch:
            return self.scratch[name]
        here = local(self.param if name == "p" else self.state[name])
        beside = self.beside(name)
        return here if beside is None else storing.load(self.storage(name), here, beside)

    def storage(self, name: str) -> Storage:
        return STORAGES[self.storages[self.plan.tensors.index(name)]]

    def beside(self, name: str) -> torch.Tensor | None:
        """The part that lies here of what stands beside a tensor, if anything does."""
        more = None if name not in ("p", *self.plan.states) else self.storage(name).beside
        return None if more is None else local(self.state[f"{name}_{more.suffix}"])

    def run(self, plan: Plan, grad: torch.Tensor, scalars: dict[str, Any], key: int) -> None:
        """A pass through torch operations, with the values of the plan's scalars. Complex numbers are updated as pairs
        of real ones, as in torch. `key` is that of the parameter's random bits in this step."""
        tensors = {"p": self.param, "g": grad, **{name: self.state[name] for name in plan.states}, **self.scratch}
        needed = {"p", *plan.reads}
        if self.at_once:  # what autograd keeps for the way back is overwritten here in the next step
            work = torch.float32 if self.param.dtype in LOW else self.param.dtype
            inputs = {name: _as_real(tensors[name]).to(work, copy=True) for name in needed}
        else:
            tensors = {name: _as_real(local(t)) for name, t in tensors.items()}
            work = torch.float32 if self.param.dtype in LOW else tensors["p"].dtype
            inputs = {}
            for name in needed:
                beside = self.beside(name)
                given = tensors[name] if beside is None else storing.load(self.storage(name), tensors[name], beside)
                inputs[name] = given.to(work)
        results = eager.evaluate(plan.writes, inputs, scalars)
        for name in plan.handed_on:  # before the old value is written over
            results[name] = results[name].clone()  # type: ignore[union-attr]
        random = random_numbers(self.plan.tensors, self.storages)
        for name, result in results.items():
            here, beside = tensors[name], self.beside(name)
            if name in random or beside is not None:
                values = result if isinstance(result, torch.Tensor) else inputs["p"].new_full(here.shape, result)
                storing.store(self.storage(name), here, beside, values, key, random.get(name, 0))
            elif isinstance(result, torch.Tensor):
                here.copy_(result)
            else:
                here.fill_(result)


def _as_real(t: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(t) if t.is_complex() else t
