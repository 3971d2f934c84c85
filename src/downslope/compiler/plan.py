"""Graph -> plan: what is computed once per step, and the one pass over memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from .cut import Call, Piece, cut
from .graph import Graph, Node, node, scalar, tensor, walk
from .ops import MATRICES, OF_SHAPE, ONE_NUMBER, WHOLE
from .sections import FULL, Sections, has_sections, whole_nodes
from .shapes import NUMBER, Shape
from .simplify import simplify
from .trace import trace
from .transform import arrange
from .wrap import With


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph cut in two, and once more wherever a whole tensor is needed.

    `scalars` are the names of the numbers that come from outside (settings, t, options, scalar states); from them
    `slots`, the values that the pass reads, `updates`, the scalar states' new values, and what `calls` takes are
    computed once per step in double precision. The pass loads `reads`, computes `body` for each element, and stores
    `writes`. Then come `calls`, on whole tensors, and the plan `then`, which reads their results.

    `states` are the states with a value for each element, `numbers` those that are one number, `kept` those of another
    shape, `scratch` the tensors that one pass stores for the next: the same in all plans of a graph. After the pass
    come `calls`, or a `section`: values for later passes, and what those states are to be at the end of the step.
    """

    graph: Graph
    scalars: tuple[str, ...]
    slots: tuple[Node, ...]
    updates: dict[str, Node]
    reads: tuple[str, ...]
    body: tuple[Node, ...]
    writes: dict[str, Node]
    states: tuple[str, ...]
    numbers: tuple[str, ...]
    scratch: tuple[str, ...]
    calls: tuple[Call, ...]
    then: Plan | None
    section: dict[str, Node] = field(default_factory=dict)
    kept: dict[str, Shape] = field(default_factory=dict)

    @property
    def tensors(self) -> tuple[str, ...]:
        """Every tensor that a pass may touch, p and g first: the order of addresses in a kernel's table."""
        return ("p", "g", *self.states, *self.scratch)

    @property
    def passes(self) -> Iterator[Plan]:
        """This plan and those that follow it."""
        here: Plan | None = self
        while here is not None:
            yield here
            here = here.then

    @property
    def handed_on(self) -> tuple[str, ...]:
        """The states that this pass gives the old value of another tensor that it writes."""
        return tuple(name for name, n in self.writes.items() if n.op == "tensor" and n.value in self.writes)

    @property
    def needs_matrices(self) -> bool:
        """Whether it has a meaning for matrices alone."""
        return any(n.op in MATRICES for n in self.graph.nodes)

    @property
    def whole(self) -> bool:
        """Whether anything in it needs whole tensors, if only their shape."""
        return any(here.calls or here.section or OF_SHAPE & set(here.scalars) for here in self.passes)


def plan(graph: Graph) -> Plan:
    """Cut a graph into what depends only on settings and t, and what runs for each element, in one pass or more."""
    alone, kept = graph.scalar_states, graph.shaped_states
    numbers = {tensor(s): scalar(s) for s in alone}
    graph = _spread(simplify(graph.map(lambda n: numbers.get(n, n))))
    pieces = Sections(graph, alone, kept).pieces() if has_sections(graph) else cut(graph.outputs, alone)
    states = tuple(s for s in graph.states if s not in alone and s not in kept)
    made = [name for piece in pieces for name in piece.outputs if name not in graph.outputs]
    made += [call.result for piece in pieces for call in piece.calls if call.op not in ONE_NUMBER]
    made += [name for piece in pieces for name in piece.section if name.startswith(FULL)]
    then: Plan | None = None
    for piece in reversed(pieces):
        then = _pass(graph, piece, alone, states, tuple(made), then, kept)
    assert then is not None
    return then


def _spread(graph: Graph) -> Graph:
    """With what is smaller than the parameter made as large where it meets what is: passes have one size."""
    shapes, full, wholes = graph.shapes, graph.whole_shape, set[Node]()
    if all(shape in (NUMBER, full) for shape in shapes.values()):
        return graph
    wholes = whole_nodes(graph)

    become: dict[Node, Node] = {}
    for n in graph.nodes:
        args = [become[a] for a in n.args]
        if shapes[n] == full and n not in wholes:
            args = [a if shapes[old] in (NUMBER, full) else node("spread", a) for old, a in zip(n.args, args)]
        become[n] = node(n.op, *args, value=n.value) if args else n
    names = {become[n]: name for n, name in graph.names.items() if n in become}
    return replace(graph, outputs={name: become[n] for name, n in graph.outputs.items()}, names=names)


def _pass(
    graph: Graph,
    piece: Piece,
    alone: tuple[str, ...],
    states: tuple[str, ...],
    scratch: tuple[str, ...],
    then: Plan | None,
    kept: dict[str, Shape],
) -> Plan:
    simple = simplify(replace(graph, outputs=piece.outputs))
    updates = {s: n for s, n in simple.outputs.items() if s in alone}
    results = {name: value for name, value in simple.outputs.items() if name not in updates}
    element: set[Node] = set()
    for n in walk(results.values()):
        if n.op == "tensor" or any(a in element for a in n.args):
            element.add(n)
    body = tuple(n for n in walk(results.values()) if n in element and n.args)
    used = [a for n in body for a in n.args] + list(results.values())
    slots = tuple(dict.fromkeys(n for n in used if n not in element and n.op != "const"))
    reads = tuple(dict.fromkeys(str(n.value) for n in walk(results.values()) if n.op == "tensor"))
    once = [*slots, *updates.values(), *(a for call in piece.calls for a in call.numbers)]
    once += piece.section.values()
    scalars = tuple(dict.fromkeys(str(n.value) for n in walk(once) if n.op == "scalar"))
    writes = {name: value for name, value in results.items() if value is not tensor(name)}
    passed = (graph, scalars, slots, updates, reads, body, writes, states, alone, scratch)
    return Plan(*passed, piece.calls, then, piece.section, kept)


@lru_cache(maxsize=512)
def program(function: Callable[..., Any], transforms: frozenset[str | With] = frozenset()) -> Plan:
    """The plan of a formula with transforms around it, made once per process."""
    return plan(arrange(trace(function), transforms))


@dataclass(frozen=True)
class Cost:
    """What one step costs per parameter: the tensors that passes load and store, and those that operations on whole
    tensors read and write."""

    norm: bool  # one more read of the gradients, for the global norm
    loads: tuple[str, ...]
    stores: tuple[str, ...]
    whole: tuple[str, ...]
    bytes: int
    operations: dict[str, int]
    once: int  # operations per step, not per parameter


def cost(plan: Plan, itemsize: int = 4) -> Cost:
    """Count the bytes that must move, with the given bytes per value, and the operations, per parameter and step.

    What an operation on a whole tensor does inside counts as one operation, and none of its bytes."""
    operations: Counter[str] = Counter()
    once = 0
    loads: list[str] = []
    stores: list[str] = []
    whole: list[str] = []
    for each in plan.passes:
        operations.update(n.op for n in each.body)
        once += sum(1 for n in walk([*each.slots, *each.updates.values()]) if n.args)
        loads += each.reads
        stores += each.writes
        for call in each.calls:
            operations[call.op] += 1
            whole += [call.source] + [call.result] * (call.op not in ONE_NUMBER)
        inside = [n for n in walk(each.section.values()) if n.args or n.op == "tensor"]
        operations.update(n.op for n in inside if n.op in WHOLE)
        whole += [str(n.value) for n in inside if n.op == "tensor" and not n.args and n.value in plan.tensors]
        whole += [name for name in each.section if name in plan.scratch]
    norm = "clip_coef" in plan.graph.options
    moved = norm + len(loads) + len(stores) + len(whole)
    return Cost(norm, tuple(loads), tuple(stores), tuple(whole), moved * itemsize, dict(operations), once)
