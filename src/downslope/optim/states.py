"""States: how they start, and where those live that are one number for a parameter."""

from __future__ import annotations

from typing import Any

import torch

from ..compiler.plan import Plan
from ..compiler.shapes import Shape, sizes
from ..errors import StateError
from . import storing
from .precision import Precision, for_state, storages
from .table import same

# States of transforms, which begin at the parameter whenever they are asked for.
AROUND = frozenset({"ema", "lookahead", "nesterov_form"})

Group = dict[str, Any]
State = dict[str, Any]


def initial(value: float | str, group: Group) -> float:
    return float(group[value]) if isinstance(value, str) else value


def start(param: torch.Tensor, name: str, group: Group, plan: Plan, asked: Precision) -> State:
    """A state at its initial value, with what stands beside it, laid out in memory as its parameter."""
    value = plan.graph.states[name]
    begin = None if value == "p" else initial(value, group)
    return storing.start(param, name, for_state(asked, plan, name, param.dtype), begin)


def start_sized(param: torch.Tensor, shape: Shape, value: float | str, group: Group) -> torch.Tensor:
    """A state of another size than its parameter at its initial value, in the same precision; square matrices, which
    are decomposed, at least in float32."""
    size, low = sizes(shape, param.shape), param.dtype in (torch.float16, torch.bfloat16)
    dtype = torch.float32 if low and shape[1] == shape[2] else param.dtype
    if value == "identity":
        return torch.eye(*size, dtype=dtype, device=param.device)
    return torch.full(size, initial(value, group), dtype=dtype, device=param.device)


def name_of(groups: list[Group], param: torch.Tensor) -> str:
    """What to call a parameter in a message."""
    place = 0
    for group in groups:
        for i, p in enumerate(group["params"]):
            if p is param:
                if "param_names" in group:
                    return repr(group["param_names"][i])
                return f"parameter {place} of shape {tuple(p.shape)}"
            place += 1
    return f"a parameter of shape {tuple(param.shape)}"


class Bank:
    """A line of numbers for each parameter: its step count, then its scalar states. The states hold views into it, so
    that a step changes all of them at once."""

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.numbers = torch.zeros(0, 1, device=device)
        self._params: list[torch.Tensor] = []

    def fit(self, params: list[torch.Tensor], plans: list[Plan]) -> None:
        """Have a line for each of these parameters; `fill` then takes the numbers from their states."""
        shape = (len(params), 1 + max((len(plan.numbers) for plan in plans), default=0))
        if self.numbers.shape == shape and same(params, self._params):
            return
        double = torch.get_default_dtype() == torch.float64
        self.numbers = self.numbers.new_zeros(shape, dtype=torch.float64 if double else torch.float32)  # torch's choice
        self._params = params

    def fill(
        self,
        state: State,
        place: int,
        param: torch.Tensor,
        group: Group,
        plan: Plan,
        shows_step: bool,
        asked: Precision,
    ) -> None:
        """Give a state what it lacks, at its initial value, and bind its numbers to the parameter's line.

        Raises StateError for a state of another shape than its parameter."""
        line, kept = self.numbers[place], [name for name in (*plan.states, *plan.kept) if name not in AROUND]
        if shows_step:
            _bind(state, "step", line[0], 0.0)
        elif any(state.get(name) is None for name in kept) or not state:
            line[0] = 0.0
        elif line[0] == 0.0:
            line[0] = 1.0  # loaded from a checkpoint that keeps no count: all that matters is that it is not the first
        for i, name in enumerate(plan.numbers):
            _bind(state, name, line[1 + i], initial(plan.graph.states[name], group))
        for name, shape in plan.kept.items():
            size = sizes(shape, param.shape)
            if state.get(name) is None:
                state[name] = start_sized(param, shape, plan.graph.states[name], group)
            elif tuple(state[name].shape) != size:
                raise StateError(
                    f"the state {name} has shape {tuple(state[name].shape)}, and is to have {size}, its parameter "
                    f"having {tuple(param.shape)}; was the parameter's data replaced? clear its state: "
                    "optimizer.state.pop(parameter)"
                )
        for name in plan.states:
            if state.get(name) is None:
                state.update(start(param, name, group, plan, asked))
            elif state[name].shape != param.shape:
                raise StateError(
                    f"the state {name} has shape {tuple(state[name].shape)}, its parameter {tuple(param.shape)}; was "
                    "the parameter's data replaced? clear its state: optimizer.state.pop(parameter)"
                )
        storing.complete(param, state, storages(asked, plan, param, state), plan)


def _bind(state: State, name: str, place: torch.Tensor, value: float) -> None:
    """Make a scalar state a view of its place in the bank, with the value it has, or its initial one."""
    old = state.get(name)
    if not (isinstance(old, torch.Tensor) and old.data_ptr() == place.data_ptr()):
        place.fill_(value if old is None else float(old))
        state[name] = place
