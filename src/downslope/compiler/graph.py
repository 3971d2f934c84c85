"""The graph: one node type and one table of operations.

Equal nodes are the same object, so a common subexpression is shared without being looked for.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import numpy as np
import torch


class Op(NamedTuple):
    """What an operation means on tensors and on numbers, and how it is written."""

    arity: int
    text: str  # as Python writes it
    tensor: Callable[..., torch.Tensor]
    number: Callable[..., Any]  # on numpy's float64, with IEEE results where Python's float would raise


def _as_tensors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch functions that take no Python numbers beside a tensor get them as tensors of its kind."""

    def call(*args: Any) -> torch.Tensor:
        like = next(a for a in args if isinstance(a, torch.Tensor))
        return function(*(a if isinstance(a, torch.Tensor) else like.new_tensor(a) for a in args))

    return call


def _where_tensor(condition: Any, yes: Any, no: Any) -> Any:
    if not isinstance(condition, torch.Tensor):
        return yes if condition else no
    if not isinstance(yes, torch.Tensor) and not isinstance(no, torch.Tensor):
        yes = torch.tensor(yes, dtype=torch.float64, device=condition.device)  # no other tensor says how precise to be
    return torch.where(condition, yes, no)


OPS: dict[str, Op] = {
    "add": Op(2, "({} + {})", operator.add, operator.add),
    "sub": Op(2, "({} - {})", operator.sub, operator.sub),
    "mul": Op(2, "({} * {})", operator.mul, operator.mul),
    "div": Op(2, "({} / {})", operator.truediv, operator.truediv),
    "pow": Op(2, "({} ** {})", operator.pow, operator.pow),
    "neg": Op(1, "(-{})", operator.neg, operator.neg),
    "abs": Op(1, "abs({})", torch.abs, np.abs),
    "sign": Op(1, "sign({})", torch.sign, lambda x: float(x > 0) - float(x < 0)),  # torch: the sign of nan is 0
    "sqrt": Op(1, "sqrt({})", torch.sqrt, np.sqrt),
    "exp": Op(1, "exp({})", torch.exp, np.exp),
    "log": Op(1, "log({})", torch.log, np.log),
    "tanh": Op(1, "tanh({})", torch.tanh, np.tanh),
    "sin": Op(1, "sin({})", torch.sin, np.sin),
    "cos": Op(1, "cos({})", torch.cos, np.cos),
    "floor": Op(1, "floor({})", torch.floor, np.floor),
    "atan2": Op(2, "atan2({}, {})", _as_tensors(torch.atan2), np.arctan2),
    "maximum": Op(2, "maximum({}, {})", _as_tensors(torch.maximum), np.maximum),
    "minimum": Op(2, "minimum({}, {})", _as_tensors(torch.minimum), np.minimum),
    "lt": Op(2, "({} < {})", operator.lt, operator.lt),
    "le": Op(2, "({} <= {})", operator.le, operator.le),
    "gt": Op(2, "({} > {})", operator.gt, operator.gt),
    "ge": Op(2, "({} >= {})", operator.ge, operator.ge),
    "eq": Op(2, "({} == {})", operator.eq, operator.eq),
    "ne": Op(2, "({} != {})", operator.ne, operator.ne),
    "and": Op(2, "({} & {})", operator.and_, operator.and_),
    "or": Op(2, "({} | {})", operator.or_, operator.or_),
    "not": Op(1, "(~{})", torch.logical_not, operator.not_),
    "isfinite": Op(1, "isfinite({})", torch.isfinite, np.isfinite),
    "where": Op(3, "where({}, {}, {})", _where_tensor, lambda condition, yes, no: yes if condition else no),
}

# Operations whose value is true or false.
CONDITIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "isfinite"})


@dataclass(frozen=True, eq=False, slots=True, weakref_slot=True)
class Node:
    """An operation on other nodes, or a leaf: `const`, `tensor` (p, g, a state) or `scalar` (a setting, t)."""

    op: str
    args: tuple[Node, ...] = ()
    value: float | str | None = None

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


def text(root: Node, depth: int = 8) -> str:
    """The node as a Python expression, for messages; what lies deeper is left out."""

    def write(current: Node, depth: int) -> str:
        if current.op == "const":
            value = float(current.value or 0.0)
            written = f"{value:g}" if float(f"{value:g}") == value else repr(value)
            return f"({written})" if written.startswith("-") and current is not root else written
        if not current.args:
            return str(current.value)
        if depth == 0:
            return "..."
        return OPS[current.op].text.format(*(write(arg, depth - 1) for arg in current.args))

    written = write(root, depth)
    return written[1:-1] if root.args and OPS[root.op].text.startswith("(") else written


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
        """The states that never see p, g or another tensor: one number each, computed once per step."""
        scalars = {s for s, init in self.states.items() if init != "p"}
        while True:
            spoilt = {
                s for s in scalars if any(n.op == "tensor" and n.value not in scalars for n in walk([self.outputs[s]]))
            }
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
