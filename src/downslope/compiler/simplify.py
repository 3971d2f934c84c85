"""Graph -> graph: the same values with less work per element.

The rules keep nan, inf and signs as they are (x * 0 stays); they may move a rounding, never more.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .graph import Graph, Node, const, node
from .ops import EVERY

Rule = Callable[..., Node | None]


def _known(op: str, args: tuple[float, ...]) -> float:
    with np.errstate(all="ignore"):
        return float(EVERY[op].number(*map(np.float64, args)))


class _Scalars:
    """Which nodes depend on settings and t only, remembered from node to node."""

    def __init__(self) -> None:
        self.seen: dict[Node, bool] = {}

    def __contains__(self, n: Node) -> bool:
        if n not in self.seen:
            self.seen[n] = n.op != "tensor" and all(arg in self for arg in n.args)
        return self.seen[n]


def simplify(graph: Graph) -> Graph:
    """Fold constants, drop neutral operations, write small powers as products, and gather the factors that depend on
    settings only, so that they are multiplied once per step instead of once per element."""
    scalars = _Scalars()

    def change(n: Node) -> Node:
        while True:
            if n.args and all(a.op == "const" for a in n.args):
                return const(_known(n.op, tuple(a.number for a in n.args)))
            rule = RULES.get(n.op)
            new = rule(scalars, *n.args) if rule else None
            if new is None or new is n:
                return n
            n = new

    while True:
        new = graph.map(change)
        if new.outputs == graph.outputs:
            return new
        graph = new


def _is(n: Node, value: float) -> bool:
    return n.op == "const" and repr(n.value) == repr(value)  # -0.0 is another number than 0.0


def _add(scalars: _Scalars, a: Node, b: Node) -> Node | None:
    if _is(b, -0.0):  # adding 0.0 would turn -0.0 into 0.0
        return a
    if _is(a, -0.0):
        return b
    if b.op == "neg":
        return node("sub", a, b.args[0])
    if a.op == "neg":
        return node("sub", b, a.args[0])
    return None


def _sub(scalars: _Scalars, a: Node, b: Node) -> Node | None:
    if _is(b, 0.0):
        return a
    if b.op == "neg":
        return node("add", a, b.args[0])
    return None


def _mul(scalars: _Scalars, a: Node, b: Node) -> Node | None:
    if _is(a, 1.0):
        return b
    if _is(b, 1.0):
        return a
    if a in scalars and b not in scalars:
        a, b = b, a  # the factor that is known once per step stands right
        swapped = node("mul", a, b)
    else:
        swapped = None
    if b in scalars and a not in scalars:
        if a.op == "mul" and a.args[1] in scalars:
            return node("mul", a.args[0], node("mul", a.args[1], b))
        if a.op == "neg":
            return node("mul", a.args[0], node("neg", b))
    return swapped


def _div(scalars: _Scalars, a: Node, b: Node) -> Node | None:
    if _is(b, 1.0):
        return a
    if b in scalars and a not in scalars:
        return node("mul", a, node("div", const(1.0), b))
    return None


def _neg(scalars: _Scalars, a: Node) -> Node | None:
    return a.args[0] if a.op == "neg" else None


POWERS: dict[float, Callable[[Node], Node]] = {
    1.0: lambda x: x,
    2.0: lambda x: node("mul", x, x),
    3.0: lambda x: node("mul", node("mul", x, x), x),
    4.0: lambda x: node("mul", node("mul", x, x), node("mul", x, x)),
    0.5: lambda x: node("sqrt", x),
    -0.5: lambda x: node("div", const(1.0), node("sqrt", x)),
    -1.0: lambda x: node("div", const(1.0), x),
    -2.0: lambda x: node("div", const(1.0), node("mul", x, x)),
}


def _pow(scalars: _Scalars, a: Node, b: Node) -> Node | None:
    power = POWERS.get(b.number) if b.op == "const" else None
    return power(a) if power and a not in scalars else None


def _where(scalars: _Scalars, condition: Node, yes: Node, no: Node) -> Node | None:
    if yes is no:
        return yes
    if condition.op == "const":
        return yes if condition.value else no
    return None


def _norm(scalars: _Scalars, a: Node) -> Node | None:
    if a.op == "mul" and a.args[1] in scalars:
        return node("mul", node("norm", a.args[0]), node("abs", a.args[1]))
    return None


RULES: dict[str, Rule] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "pow": _pow,
    "where": _where,
    "norm": _norm,
}
