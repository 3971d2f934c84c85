"""Graph -> plan: what is computed once per step, and the one pass over memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from .graph import Graph, Node, scalar, tensor, walk
from .simplify import simplify
from .trace import trace
from .transform import arrange


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph cut in two.

    `scalars` are the names of the numbers that come from outside (settings, t, options, scalar states); from them
    `slots`, the values that the pass reads, and `updates`, the scalar states' new values, are computed once per step in
    double precision. The pass loads `reads`, computes `body` for each element, and stores `writes`.
    """

    graph: Graph
    scalars: tuple[str, ...]
    slots: tuple[Node, ...]
    updates: dict[str, Node]
    reads: tuple[str, ...]
    body: tuple[Node, ...]
    writes: dict[str, Node]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor the pass touches, p and g first: the order of addresses in a kernel's table."""
        return ("p", "g", *(s for s in self.graph.states if s not in self.updates))


def plan(graph: Graph) -> Plan:
    """Cut a graph into what depends only on settings and t, and what runs for each element."""
    alone = graph.scalar_states
    numbers = {tensor(s): scalar(s) for s in alone}
    graph = simplify(graph.map(lambda n: numbers.get(n, n)))
    updates = {s: graph.outputs[s] for s in alone}
    results = {name: value for name, value in graph.outputs.items() if name not in updates}

    per_element: set[Node] = set()
    for n in walk(results.values()):
        if n.op == "tensor" or any(a in per_element for a in n.args):
            per_element.add(n)
    body = tuple(n for n in walk(results.values()) if n in per_element and n.args)
    used = [a for n in body for a in n.args] + list(results.values())
    slots = tuple(dict.fromkeys(n for n in used if n not in per_element and n.op != "const"))
    reads = tuple(dict.fromkeys(str(n.value) for n in walk(results.values()) if n.op == "tensor"))
    scalars = tuple(dict.fromkeys(str(n.value) for n in walk([*slots, *updates.values()]) if n.op == "scalar"))
    writes = {name: value for name, value in results.items() if value is not tensor(name)}
    return Plan(graph, scalars, slots, updates, reads, body, writes)


@lru_cache(maxsize=512)
def program(function: Callable[..., Any], transforms: frozenset[str] = frozenset()) -> Plan:
    """The plan of a formula with transforms around it, made once per process."""
    return plan(arrange(trace(function), transforms))


@dataclass(frozen=True)
class Cost:
    """What one step costs per parameter, with the given bytes per value."""

    loads: int
    stores: int
    bytes: int
    operations: dict[str, int]
    once: int  # operations per step, not per parameter


def cost(plan: Plan, itemsize: int = 4) -> Cost:
    """Count the bytes that must move and the operations, per parameter and step."""
    operations: dict[str, int] = {}
    for n in plan.body:
        operations[n.op] = operations.get(n.op, 0) + 1
    once = sum(1 for n in walk([*plan.slots, *plan.updates.values()]) if n.args)
    moved = len(plan.reads) + len(plan.writes)
    return Cost(len(plan.reads), len(plan.writes), moved * itemsize, operations, once)
