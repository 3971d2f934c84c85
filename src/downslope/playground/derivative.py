"""Derivatives of a graph, by the rules of calculus on its nodes: a surface's gradient for the page."""

from __future__ import annotations

from collections.abc import Callable

from ..compiler.graph import Node, const, node, walk
from ..compiler.ops import CONDITIONS
from ..errors import FormulaError

ZERO, ONE, TWO = const(0.0), const(1.0), const(2.0)


def add(a: Node, b: Node) -> Node:
    return b if a is ZERO else a if b is ZERO else node("add", a, b)


def mul(a: Node, b: Node) -> Node:
    if a is ZERO or b is ZERO:
        return ZERO
    return b if a is ONE else a if b is ONE else node("mul", a, b)


def neg(a: Node) -> Node:
    return a if a is ZERO else node("neg", a)


def _pow(n: Node, a: Node, b: Node) -> list[Node]:
    if b.op != "const":
        return [mul(b, node("pow", a, node("sub", b, ONE))), mul(n, node("log", a))]
    less = const(b.number - 1.0)
    return [mul(b, ONE if less is ZERO else a if less is ONE else node("pow", a, less)), ZERO]


# Operation -> the derivative by each of its arguments, from the node and them.
RULES: dict[str, Callable[..., list[Node]]] = {
    "add": lambda n, a, b: [ONE, ONE],
    "sub": lambda n, a, b: [ONE, const(-1.0)],
    "mul": lambda n, a, b: [b, a],
    "div": lambda n, a, b: [node("div", ONE, b), neg(node("div", n, b))],
    "neg": lambda n, a: [const(-1.0)],
    "pow": _pow,
    "abs": lambda n, a: [node("sign", a)],
    "sqrt": lambda n, a: [node("div", ONE, node("mul", TWO, n))],
    "exp": lambda n, a: [n],
    "log": lambda n, a: [node("div", ONE, a)],
    "tanh": lambda n, a: [node("sub", ONE, node("mul", n, n))],
    "sin": lambda n, a: [node("cos", a)],
    "cos": lambda n, a: [neg(node("sin", a))],
    "sign": lambda n, a: [ZERO],
    "floor": lambda n, a: [ZERO],
    "maximum": lambda n, a, b: [_pick("ge", a, b), _pick("lt", a, b)],
    "minimum": lambda n, a, b: [_pick("le", a, b), _pick("gt", a, b)],
    "where": lambda n, c, a, b: [ZERO, node("where", c, ONE, ZERO), node("where", c, ZERO, ONE)],
}


def _pick(op: str, a: Node, b: Node) -> Node:
    return node("where", node(op, a, b), ONE, ZERO)


def derivative(value: Node, by: Node) -> Node:
    """The derivative of a node by a leaf below it. Raises FormulaError for an operation without a rule."""
    slope: dict[Node, Node] = {}
    for n in walk([value]):
        total = ONE if n is by else ZERO
        if n.op not in CONDITIONS and any(slope[arg] is not ZERO for arg in n.args):
            if n.op not in RULES:
                raise FormulaError(f"{n!r}: `{n.op}` has no derivative here; write the surface without it")
            for arg, part in zip(n.args, RULES[n.op](n, *n.args)):
                total = add(total, mul(slope[arg], part))
        slope[n] = total
    return slope[value]
