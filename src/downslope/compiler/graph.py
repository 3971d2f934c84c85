"""The graph: one node type on one table of operations.

Equal nodes are the same object, so a common subexpression is shared without being looked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from weakref import WeakValueDictionary

from ..errors import FormulaError
from . import shapes
from .ops import EVERY, MATRICES
from .shapes import MATRIX, NUMBER, STACK, Known, Shape


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


def shaped(outputs: Mapping[str, Node], states: Mapping[str, float | str]) -> dict[Node, Shape]:
    """The shape of every node below the outputs. A state that starts at a number is as large as its new values make it.

    Raises FormulaError for shapes that do not fit together."""
    used = {n.op: n for n in walk(outputs.values())}
    whole = STACK if "mean_along" in used else MATRIX
    for op in used.keys() & MATRICES if whole is STACK else ():
        raise FormulaError(
            f"`{text(used['mean_along'])}` sees the last two dimensions as the matrix, `{text(used[op])}` the first "
            "and all others; write row_mean(x) or column_mean(x)"
        )
    of: dict[str, Known] = {s: whole if start == "p" or s not in outputs else None for s, start in states.items()}
    while True:
        found: dict[Node, Known] = {}
        for n in walk(outputs.values()):
            if not n.args:
                found[n] = of.get(str(n.value), whole) if n.op == "tensor" else NUMBER
            elif n.op == "mean_along":
                found[n] = shapes.along(found[n.args[0]], n.args[1].number)
            elif n.op == "spread":
                found[n] = whole
            else:
                found[n] = shapes.result(n.op, [found[a] for a in n.args], lambda n=n: text(n))  # type: ignore[misc]
        new = {s: shapes.together(shape, found[outputs[s]]) if s in outputs else shape for s, shape in of.items()}
        if new == of:
            if None not in found.values():
                return found  # type: ignore[return-value]
            new = {name: shape or NUMBER for name, shape in of.items()}
        of = new


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

    @cached_property
    def shapes(self) -> dict[Node, Shape]:
        """The shape of every node."""
        return shaped(self.outputs, self.states)

    @cached_property
    def whole_shape(self) -> Shape:
        """The shape of p."""
        return STACK if any(n.op == "mean_along" for n in self.nodes) else MATRIX

    def shape(self, state: str) -> Shape:
        """The shape of a state: as the formula's values make it, or as it starts."""
        if state not in self.outputs:
            return self.whole_shape
        start = self.whole_shape if self.states[state] == "p" else NUMBER
        old = self.shapes.get(tensor(state), start)
        return shapes.together(old, self.shapes[self.outputs[state]]) or NUMBER

    @property
    def scalar_states(self) -> tuple[str, ...]:
        """The states that are one number for a tensor: they see p, g and other tensors through norms and the like, or
        not at all."""
        return tuple(s for s in self.states if self.shape(s) == NUMBER)

    @property
    def shaped_states(self) -> dict[str, Shape]:
        """The states that are neither one number nor as large as the parameter."""
        found = {s: self.shape(s) for s in self.states}
        return {s: shape for s, shape in found.items() if shape not in (NUMBER, self.whole_shape)}

    def map(self, change: Callable[[Node], Node]) -> Graph:
        """The graph with `change` applied to every node; names follow the values they were given to."""
        become = rebuild(self.outputs.values(), change)
        names: dict[Node, str] = {}
        for old, name in self.names.items():
            if old in become:
                names.setdefault(become[old], name)
        return replace(self, outputs={k: become[v] for k, v in self.outputs.items()}, names=names)
