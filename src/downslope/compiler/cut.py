"""Outputs -> pieces: where a whole tensor is needed, the work for each element is cut in two.

A norm or a matrix product has its first element of result only when the last of its argument is there. So what it needs
is computed and stored in one pass, the operation runs on whole tensors, and the next pass goes on from its result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from .graph import Node, node, scalar, tensor, walk
from .ops import OF_SHAPE, ONE_NUMBER, WHOLE


@dataclass(frozen=True)
class Call:
    """An operation on the whole tensor called `source`, with numbers; its result is the tensor or number `result`."""

    op: str
    source: str
    numbers: tuple[Node, ...]
    result: str


@dataclass(frozen=True)
class Piece:
    """What one pass stores, by name, and what runs on whole tensors after it: calls, or a section. Of that the results
    are values for later passes and sections; those called as a state are the state's new values, which take their place
    at the end of the step."""

    outputs: dict[str, Node]
    calls: tuple[Call, ...] = ()
    section: dict[str, Node] = field(default_factory=dict)


def levels(
    roots: Iterable[Node], wholes: Collection[Node] | None = None, stored: Collection[Node] = ()
) -> dict[Node, int]:
    """How many passes must have ended before each node can be computed. Of `wholes`, those that follow each other
    without a value that a pass has `stored` for them share a section."""
    level: dict[Node, int] = {}
    for n in walk(roots):
        before = max((level[a] for a in n.args), default=0)
        if wholes is None:
            waits = n.op in WHOLE and n.op not in OF_SHAPE
            level[n] = 0 if n.op in OF_SHAPE else before + waits
        elif n in wholes:
            level[n] = max(1, *(level[a] + (a in stored) for a in n.args))
        else:
            level[n] = 0 if n.op in OF_SHAPE else before
    return level


def cut(outputs: Mapping[str, Node], numbers: Collection[str]) -> list[Piece]:
    """The pieces, in their order. `numbers` are the states that are one number, leaves of the kind `scalar`.

    What a pass has stored the later ones read instead of computing it again: new states, and the sources of calls.
    Results of calls are called `whole.0`, `whole.1`, ..., sources that are no state `scratch.0`, ...; of the shape,
    `rows` and `columns`, which is known from the start."""
    level = levels(outputs.values())
    wholes = [n for n in level if n.op in WHOLE]
    if not wholes:
        return [Piece(dict(outputs))]
    last = max(level[n] for n in outputs.values())
    at = {name: last if name == "p" else level[value] for name, value in outputs.items()}
    results = {n: _result(n, i) for i, n in enumerate(wholes)}
    while True:
        pieces, late = _pieces(outputs, numbers, at, level, results, last)
        if not late:
            return pieces
        at |= late


def _result(n: Node, place: int) -> Node:
    if n.op in OF_SHAPE:
        return scalar(n.op)
    return scalar(f"whole.{place}") if n.op in ONE_NUMBER else tensor(f"whole.{place}")


def _pieces(
    outputs: Mapping[str, Node],
    numbers: Collection[str],
    at: dict[str, int],
    level: dict[Node, int],
    results: dict[Node, Node],
    last: int,
) -> tuple[list[Piece], dict[str, int]]:
    """The pieces with each output stored at its pass, and the outputs that must be stored later: a pass after that
    still reads the old value."""

    def leaf(name: str) -> Node:
        return scalar(name) if name in numbers else tensor(name)

    def fresh(name: str) -> Node:
        """The new value of a state, while the old one is told apart from it."""
        return scalar(f"new.{name}") if name in numbers else tensor(f"new.{name}")

    stored: dict[Node, Node] = {}
    element: set[Node] = set()
    for n in level:
        if n.op == "tensor" or (n.op not in ONE_NUMBER and any(a in element for a in n.args)):
            element.add(n)
    pieces, late, scratch = [], {}, 0
    for here in range(last + 1):
        known = stored | {n: result for n, result in results.items() if level[n] <= here}
        of_pass = {name: with_known(known, value) for name, value in outputs.items() if at[name] == here}
        calls = []
        for n in results:
            if level[n] != here + 1 or n.op in OF_SHAPE:
                continue
            written = next((name for name in outputs if at[name] <= here and outputs[name] is n.args[0]), None)
            source = fresh(written) if written else with_known(known, n.args[0])
            if source.op != "tensor":
                name = f"scratch.{scratch}"
                scratch += 1
                of_pass[name], source = source, tensor(name)
                stored[n.args[0]] = source
            rest = tuple(with_known(known, a) for a in n.args[1:])
            calls.append(Call(n.op, str(source.value), rest, str(results[n].value)))
        read = {leaf.value for leaf in walk([*of_pass.values(), *(a for c in calls for a in c.numbers)])}
        sources = {call.source for call in calls}
        for name in outputs:
            if at[name] < here and leaf(name).value in read:
                late[name] = here
            elif at[name] <= here and name in sources:
                late[name] = here + 1
        stored |= {
            n: fresh(name)
            for name, n in outputs.items()
            if at[name] == here and n.args and (name in numbers or n in element)
        }
        pieces.append(Piece(of_pass, tuple(calls)))
    if late:
        return [], late
    return [settled(piece, outputs, numbers) for piece in pieces], {}


def with_known(known: Mapping[Node, Node], root: Node) -> Node:
    """The node with what is known taken from where it is stored."""
    become: dict[Node, Node] = {}
    for n in walk([root]):
        args = tuple(become[a] for a in n.args)
        become[n] = known[n] if n in known else n if args == n.args else node(n.op, *args, value=n.value)
    return become[root]


def settled(piece: Piece, outputs: Mapping[str, Node], numbers: Collection[str]) -> Piece:
    """With new values called by their state's name: nothing reads the old ones any more."""
    names = {tensor(f"new.{name}"): tensor(name) for name in outputs}
    names |= {scalar(f"new.{name}"): scalar(name) for name in numbers}
    calls = (
        Call(c.op, c.source.removeprefix("new."), tuple(with_known(names, a) for a in c.numbers), c.result)
        for c in piece.calls
    )
    section = {name: with_known(names, value) for name, value in piece.section.items()}
    return Piece({name: with_known(names, value) for name, value in piece.outputs.items()}, tuple(calls), section)
