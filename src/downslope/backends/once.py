"""Plan -> a Python function for what is computed once per step, in double precision.

It runs on Python's floats, which are quick. Where they raise (a division by zero, an overflow) the same source runs on
numpy's, which give the IEEE result that the meaning asks for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..compiler.graph import Node, walk
from ..compiler.ops import OPS
from ..compiler.plan import Plan

# Lazy forms: Python evaluates only the branch that holds.
TEXT = {name: op.text for name, op in OPS.items()} | {
    "where": "({1} if {0} else {2})",
    "not": "(not {})",
    "pow": "power({}, {})",  # `**` would give a complex number where IEEE gives nan
}

FUNCTIONS = {name: op.number for name, op in OPS.items() if op.text.startswith(name)}
CAREFUL: dict[str, Any] = FUNCTIONS | {"power": np.power}
QUICK: dict[str, Any] = FUNCTIONS | {"power": math.pow, "abs": abs}
QUICK |= {name: getattr(math, name) for name in ("sqrt", "exp", "log", "tanh", "sin", "cos", "atan2", "isfinite")}


def source(plan: Plan) -> str:
    """The function's Python source: numbers from outside in, slots and scalar states out."""
    names = {f"{s}": f"a{i}" for i, s in enumerate(plan.scalars)}
    lines: list[str] = []
    written: dict[Node, str] = {}
    wanted = [*plan.slots, *plan.updates.values(), *(n for call in plan.calls for n in call.numbers)]

    def write(n: Node) -> str:
        if n.op == "const":
            return _number(n.number)
        return names[str(n.value)] if n.op == "scalar" else written[n]

    for n in walk(wanted):
        if n.args:
            written[n] = f"v{len(written)}"
            lines.append(f"    {written[n]} = {TEXT[n.op].format(*map(write, n.args))}")
    results = ", ".join(map(write, wanted))
    return "\n".join([f"def once({', '.join(names.values())}):", *lines, f"    return ({results}{',' * bool(wanted)})"])


def _number(value: float) -> str:
    return repr(value) if math.isfinite(value) else f"float('{value}')"


def build(plan: Plan) -> Callable[[Sequence[float]], tuple[float, ...]]:
    """A function from the numbers named in `plan.scalars` to the values of `plan.slots`, of `plan.updates`, and of
    the numbers that `plan.calls` take."""
    code = compile(source(plan), f"<once per step: {plan.graph.name}>", "exec")
    quick, careful = dict(QUICK), dict(CAREFUL)
    exec(code, quick)
    exec(code, careful)
    fast, slow = quick["once"], careful["once"]

    def once(numbers: Sequence[float]) -> tuple[float, ...]:
        try:
            return fast(*numbers)
        except (ArithmeticError, ValueError):
            with np.errstate(all="ignore"):
                return tuple(map(float, slow(*map(np.float64, numbers))))

    return once
