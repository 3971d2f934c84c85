"""Graph -> torch operations: the meaning of every formula, and the way for all that the kernels do not cover."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..compiler.graph import Graph, Node, walk
from ..compiler.ops import EVERY

Value = torch.Tensor | float | bool


def run(
    graph: Graph, tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, float | torch.Tensor]
) -> dict[str, Value]:
    """The new values of p and the states. In float64 this is what the formula means."""
    return evaluate(graph.outputs, tensors, scalars)


def evaluate(
    outputs: Mapping[str, Node], tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, float | torch.Tensor]
) -> dict[str, Value]:
    """The values of some nodes, by the name each has in `outputs`."""
    values: dict[Node, Value] = {}
    with np.errstate(all="ignore"):
        for n in walk(outputs.values()):
            values[n] = _value(n, [values[a] for a in n.args], tensors, scalars)
    return {name: values[n] for name, n in outputs.items()}


def _value(
    n: Node, args: list[Value], tensors: Mapping[str, torch.Tensor], scalars: Mapping[str, float | torch.Tensor]
) -> Value:
    if n.op == "const":
        return n.value  # type: ignore[return-value]
    if n.op == "scalar":
        return scalars[n.value]  # type: ignore[index]
    if n.op == "tensor":
        return tensors[n.value]  # type: ignore[index]
    if n.op == "where" and isinstance(args[0], torch.Tensor):
        like = tensors["p"]
        args[1:] = [a if isinstance(a, torch.Tensor) else like.new_tensor(a) for a in args[1:]]
    if any(isinstance(a, torch.Tensor) for a in args):
        return EVERY[n.op].tensor(*args)
    result = EVERY[n.op].number(*(np.float64(a) if type(a) is float else a for a in args))
    return bool(result) if isinstance(result, bool | np.bool_) else float(result)
