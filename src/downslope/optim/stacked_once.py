"""What is computed once per step, for many trials at once: bit for bit what `backends.once` gives for each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Any

import numpy as np

from ..backends import once
from ..compiler.graph import Node, walk
from ..compiler.ops import OPS
from ..compiler.plan import Plan

Columns = Sequence[np.ndarray]
TEXT = {name: op.text for name, op in OPS.items()} | {"pow": "power({}, {})"}


def _by_one(function: Callable[..., float]) -> Callable[..., np.ndarray]:
    """Python's own function on each number: numpy's on arrays may differ from it in the last bit."""

    def call(*columns: Any) -> np.ndarray:
        lists = np.broadcast_arrays(*columns)
        return np.fromiter(map(function, *(a.ravel().tolist() for a in lists)), float, lists[0].size)

    return call


# Correctly rounded, or exact, whoever computes them.
EXACT: dict[str, Any] = {
    "sqrt": np.sqrt, "abs": np.abs, "floor": np.floor, "maximum": np.maximum, "minimum": np.minimum,
    "isfinite": np.isfinite, "where": np.where, "sign": lambda x: (x > 0).astype(float) - (x < 0).astype(float),
}  # fmt: skip
NAMES = EXACT | {"power": _by_one(math.pow)}
NAMES |= {name: _by_one(getattr(math, name)) for name in ("exp", "log", "tanh", "sin", "cos", "atan2")}


def source(plan: Plan) -> str:
    """The function's Python source: a column of numbers from outside for each scalar in, slots and states out."""
    names = {s: f"a{i}" for i, s in enumerate(plan.scalars)}
    lines: list[str] = []
    written: dict[Node, str] = {}

    def write(n: Node) -> str:
        if n.op == "const":
            return f"float('{n.number!r}')"
        return names[str(n.value)] if n.op == "scalar" else written[n]

    wanted = [*plan.slots, *plan.updates.values()]
    for n in walk(wanted):
        if n.args:
            written[n] = f"v{len(written)}"
            lines.append(f"    {written[n]} = {TEXT[n.op].format(*map(write, n.args))}")
    results = ", ".join(map(write, wanted))
    return "\n".join([f"def once({', '.join(names.values())}):", *lines, f"    return [{results}]"])


@lru_cache(maxsize=512)
def build(plan: Plan) -> Callable[[Columns, int], np.ndarray]:
    """A function from a column for each of `plan.scalars`, and their length, to an array of the values of `plan.slots`
    and `plan.updates`, a line for each trial.

    Where anything divides by zero, overflows or is undefined, each trial is computed as it would be alone."""
    names = dict(NAMES)
    exec(compile(source(plan), f"<once per step, stacked: {plan.graph.name}>", "exec"), names)
    together, alone = names["once"], once.build(plan)
    width = len(plan.slots) + len(plan.updates)

    def run(columns: Columns, count: int) -> np.ndarray:
        made = np.empty((count, width))
        try:
            with np.errstate(divide="raise", over="raise", invalid="raise", under="ignore"):
                for place, value in enumerate(together(*columns)):
                    made[:, place] = value
        except (ArithmeticError, ValueError):
            lines = zip(*(c.tolist() for c in columns)) if columns else repeat((), count)
            for place, numbers in enumerate(lines):
                made[place] = alone(numbers)
        return made

    return run
