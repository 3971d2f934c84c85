"""The pass of a plan over stacked tensors with torch operations, for what the kernels do not cover."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from ..compiler.graph import Node
from ..compiler.ops import CONDITIONS, OPS
from ..compiler.plan import Plan

LOW = (torch.float16, torch.bfloat16)


def run(plan: Plan, tensors: Mapping[str, torch.Tensor], slots: np.ndarray, trials: np.ndarray) -> None:
    """Update `tensors` (p and the states, [K, ...]) in place for some of the trials; `slots` is [K, values].

    Arithmetic is in float32 for lower precisions, as in an optimizer of one trial."""
    p = tensors["p"]
    every = len(trials) == len(p)
    index = torch.as_tensor(trials, device=p.device)
    work = torch.float32 if p.dtype in LOW else p.dtype
    values: dict[Node, Any] = {}
    for place, slot in enumerate(plan.slots):
        column = torch.as_tensor(slots[trials, place], dtype=work, device=p.device)
        column = column.view(-1, *[1] * (p.ndim - 1))
        values[slot] = column != 0 if slot.op in CONDITIONS else column
    taken = {name: (tensors[name].detach() if every else tensors[name].detach()[index]).to(work) for name in plan.reads}

    def value(n: Node) -> Any:
        if n in values:
            return values[n]
        return n.value if n.op == "const" else taken[str(n.value)]

    for n in plan.body:
        args = [value(a) for a in n.args]
        if n.op == "where":
            args[1:] = [a if isinstance(a, torch.Tensor) else p.new_tensor(a, dtype=work) for a in args[1:]]
        values[n] = OPS[n.op].tensor(*args)
    handed_on = {name: value(plan.writes[name]).clone() for name in plan.handed_on}  # before it is written over
    for name, n in plan.writes.items():
        result = handed_on[name] if name in handed_on else value(n)
        target = tensors[name].detach()
        if every:
            target.copy_(result) if isinstance(result, torch.Tensor) else target.fill_(result)
        else:
            like = taken.get(name, target[index])
            full = result.expand_as(like) if isinstance(result, torch.Tensor) else torch.full_like(like, result)
            target[index] = full.to(target.dtype)
