"""The graph: one node type on one table of operations.

Equal nodes are the same object, so a common subexpression is shared without being looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from weakref import WeakValueDictionary

from .ops import EVERY, ONE_NUMBER


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Node:
    """An operation on other nodes, or a leaf: `const`, `tensor` (p, g, a state) or `scalar` (a setting, t)."""

    op: str
    args: tuple[Node, ...] = ()
    value: float | str | None = None

    @property
    def number(self) -> float:
        """The value of a `const`."""
        return float(self.value)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return text(self)


_POOL: WeakValueDictionary[tuple, Node] = WeakValueDictionary()


def node(op: str, *args: Node, value: float | str | None = None) -> Node:
    """The one node with this operation and these arguments."""
    key = (op, args, repr(value))  # repr: 0.0 and -0.0 are two constants
    return _POOL.setdefault(key, Node(op, args, value))


def const(value: float) -> Node:
    return node("const", value=float(value))


def tensor(name: str) -> Node:
    return node("tensor", value=name)


def scalar(name: str) -> Node:
    return node("scalar", value=name)


def walk(roots: Iterable[Node]) -> Iterator[Node]:
    """Every node below the roots once, arguments before their users."""
    seen: set[Node] = set()
    stack = [(root, False) for root in reversed(list(roots))]
    while stack:
        current, ready = stack.pop()
        if current in seen:
            continue
        if ready:
            seen.add(current)
            yield current
        else:
            stack.append((current, True))
            stack.extend((arg, False) for arg in reversed(current.args))


def rebuild(roots: Iterable[Node], change: Callable[[Node], Node]) -> dict[Node, Node]:
    """What each node below the roots becomes when `change` is applied to it, arguments first."""
    become: dict[Node, Node] = {}
    for old in walk(roots):
        new = node(old.op, *(become[arg] for arg in old.args), value=old.value) if old.args else old
        become[old] = change(new)
    return become


def per_element(roots: Iterable[Node], alone: Collection[str] = ()) -> set[Node]:
    """The nodes below the roots that differ from element to element; `alone` are the states that are one number."""
    found: set[Node] = set()
    for n in walk(roots):
        if n.op == "tensor":
            if n.value not in alone:
                found.add(n)
        elif n.op not in ONE_NUMBER and any(arg in found for arg in n.args):
            found.add(n)
    return found


def text(root: Node, depth: int = 8) -> str:
    """The node as a Python expression, for messages; what lies deeper is left out."""

    def write(current: Node, depth: int) -> str:
        if current.op == "const":
            value = current.number
            written = f"{value:g}" if float(f"{value:g}") == value else repr(value)
            return f"({written})" if written.startswith("-") and current is not root else written
        if not current.args:
            return str(current.value)
        if depth == 0:
            return "..."
        return EVERY[current.op].text.format(*(write(arg, depth - 1) for arg in current.args))

    written = write(root, depth)
    return written[1:-1] if root.args and EVERY[root.op].text.startswith("(") else written


@dataclass(frozen=True)
class Graph:
    """A traced formula.

    `states` maps each state to its initial value, a number or the name of a setting or `p`; `settings` maps each
    setting to its default, a number or a tuple of numbers; `outputs` maps `p` and each state to its new value;
    `names` remembers what the author called a value; `options` are the scalars that transforms added.
    """

    name: str
    states: dict[str, float | str]
    settings: dict[str, float | tuple[float, ...]]
    counts: bool  # whether the formula uses the step count t
    outputs: dict[str, Node]
    names: dict[Node, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

    @property
    def nodes(self) -> list[Node]:
        return list(walk(self.outputs.values()))

    @property
    def scalar_states(self) -> tuple[str, ...]:
        """The states that are one number for a tensor: they see p, g and other tensors through norms and the like, or
        not at all."""
        scalars = {s for s, init in self.states.items() if init != "p"}
        while True:
            element = per_element(self.outputs.values(), scalars)
            spoilt = {s for s in scalars if self.outputs[s] in element}
            if not spoilt:
                return tuple(s for s in self.states if s in scalars)
            scalars -= spoilt

    @property
    def tensor_states(self) -> tuple[str, ...]:
        scalars = self.scalar_states
        return tuple(s for s in self.states if s not in scalars)

    def map(self, change: Callable[[Node], Node]) -> Graph:
        """The graph with `change` applied to every node; names follow the values they were given to."""
        become = rebuild(self.outputs.values(), change)
        names: dict[Node, str] = {}
        for old, name in self.names.items():
            if old in become:
                names.setdefault(become[old], name)
        return replace(self, outputs={k: become[v] for k, v in self.outputs.items()}, names=names)
