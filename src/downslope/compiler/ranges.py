"""Graph -> what its values can be: which states can never be negative.

A state kept in 8 bits needs no sign then, and has the bit for a finer map.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from .graph import Graph, Node, walk
from .ops import CONDITIONS

Range = tuple[float, float]
ALL: Range = (-math.inf, math.inf)
FROM_0: Range = (0.0, math.inf)
SHARE: Range = (0.0, 1.0)


def never_negative(graph: Graph) -> frozenset[str]:
    """The states that start at 0 or above and stay there, for settings of the kind of their defaults: a share stays
    from 0 to 1, what is not negative does not become so.

    Where a formula takes the square root of a state itself, as in Yogi, that says the same."""
    found = {name for name, value in graph.states.items() if _start(graph, value)[0] >= 0}
    rooted = {name for name in found if _is_rooted(graph, name)}
    while True:
        known = _ranges(graph, found)
        spoilt = {name for name in found - rooted if not known[graph.outputs[name]][0] >= 0}
        if not spoilt:
            return frozenset(found)
        found -= spoilt


def _start(graph: Graph, value: float | str) -> Range:
    if value == "p":
        return ALL
    return _setting(graph, value) if isinstance(value, str) else (value, value)


def _setting(graph: Graph, name: str) -> Range:
    """Where a setting such as `betas[1]` lies, by its default."""
    name, _, place = name.partition("[")
    default = graph.settings.get(name)
    if isinstance(default, tuple):
        default = default[int(place[:-1])]
    if default is None or not default >= 0:
        return ALL
    return SHARE if default <= 1 else FROM_0


def _is_rooted(graph: Graph, name: str) -> bool:
    roots = [n.args[0] for n in graph.nodes if n.op == "sqrt"]
    new = graph.outputs[name]
    return any(r is new or (r.op in ("mul", "div") and r.args[0] is new) for r in roots)


# What is no setting: the step count, and what transforms and the shape of a tensor give.
KNOWN: dict[str, Range] = {
    "t": (1.0, math.inf),
    "unscale": FROM_0,
    "clip_coef": SHARE,
    "clip_value": FROM_0,
    "ema_decay": SHARE,
    "rows": (1.0, math.inf),
    "columns": (1.0, math.inf),
}


def _ranges(graph: Graph, found: set[str]) -> dict[Node, Range]:
    known: dict[Node, Range] = {}
    for n in walk(graph.outputs.values()):
        known[n] = _range(graph, n, [known[a] for a in n.args], found)
    return known


def _range(graph: Graph, n: Node, args: list[Range], found: set[str]) -> Range:
    if n.op == "const":
        return (n.number, n.number)
    if not n.args:
        name = str(n.value)
        if name in graph.states or n.op == "tensor":
            return FROM_0 if name in found else ALL
        return KNOWN.get(name) or _setting(graph, name)
    if n.op in CONDITIONS:
        return SHARE
    if n.op == "mul" and n.args[0] is n.args[1]:
        return (0.0, math.inf)
    if n.op == "pow" and n.args[1].op == "const" and n.args[1].number % 2 == 0:
        return (0.0, math.inf)
    low, high = RANGES[n.op](*args) if n.op in RANGES else ALL
    return (low, high) if low <= high else ALL  # nan: infinity less infinity


def _mul(a: Range, b: Range) -> Range:
    ends = [0.0 if x == 0 or y == 0 else x * y for x in a for y in b]
    return (min(ends), max(ends))


def _div(a: Range, b: Range) -> Range:
    return FROM_0 if a[0] >= 0 and b[0] >= 0 else ALL


def _pow(a: Range, b: Range) -> Range:
    if a[0] < 0:
        return ALL
    return SHARE if a[1] <= 1 and b[0] >= 0 else FROM_0


def _abs(a: Range) -> Range:
    return (max(a[0], -a[1], 0.0), max(-a[0], a[1]))


def _rising(function: Callable[[float], float]) -> Callable[[Range], Range]:
    return lambda a: (function(a[0]), function(a[1]))


RANGES: dict[str, Callable[..., Range]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "neg": lambda a: (-a[1], -a[0]),
    "abs": _abs,
    "sqrt": lambda a: FROM_0,
    "exp": lambda a: (0.0, 1.0) if a[1] <= 0 else FROM_0,
    "tanh": lambda a: (0.0, 1.0) if a[0] >= 0 else (-1.0, 1.0),
    "sign": lambda a: (0.0, 1.0) if a[0] >= 0 else (-1.0, 1.0),
    "sin": lambda a: (-1.0, 1.0),
    "cos": lambda a: (-1.0, 1.0),
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "where": lambda c, a, b: (min(a[0], b[0]), max(a[1], b[1])),
    "norm": lambda a: FROM_0,
    "mean": lambda a: a,
}
