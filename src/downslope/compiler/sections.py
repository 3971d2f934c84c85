"""Outputs -> pieces, of formulas with values that are neither one number nor as large as the parameter.

Means of rows and columns, factors of a preconditioner, sums over all tensors: what is made of them stands in sections
between the passes, expressions on whole tensors. They are computed as far as they are needed, so that
`where(t % 10 == 0, qr(...), old)` costs nothing in nine of ten steps.
"""

from __future__ import annotations

from collections.abc import Collection

from .cut import Piece, levels, settled, with_known
from .graph import Graph, Node, node, scalar, tensor, walk
from .ops import ALONE, OF_SHAPE, WHOLE
from .shapes import NUMBER, Shape


def whole_nodes(graph: Graph) -> set[Node]:
    """The nodes that are computed on whole tensors: those whose operation asks for it, those of another shape than the
    parameter's, what is as large as the parameter but made of such alone, and a choice between such."""
    shapes, full = graph.shapes, graph.whole_shape
    found: set[Node] = set()
    for n in graph.nodes:
        if not n.args or n.op in OF_SHAPE:
            continue
        if n.op in WHOLE or shapes[n] not in (NUMBER, full):
            found.add(n)
        elif shapes[n] == full:
            made = [a for a in n.args if shapes[a] == full]
            chosen = n.op == "where" and shapes[n.args[0]] == NUMBER and any(a in found for a in n.args[1:])
            small = any(shapes[a] not in (NUMBER, full) for a in n.args)
            if chosen or not made or (small and all(a in found for a in made)):
                found.add(n)
    return found


def has_sections(graph: Graph) -> bool:
    """Whether calls alone will not do."""
    return any(n.op not in ALONE or graph.shapes[n.args[0]] != graph.whole_shape for n in whole_nodes(graph))


def stored_nodes(graph: Graph, wholes: Collection[Node]) -> set[Node]:
    """What passes compute for each element, and sections can have only where it is stored for them."""
    return {n for n, shape in graph.shapes.items() if shape == graph.whole_shape and n.args and n not in wholes}


def levels_of(graph: Graph) -> dict[Node, int]:
    """How many passes must have ended before each node can be computed."""
    if not has_sections(graph):
        return levels(graph.outputs.values())
    wholes = whole_nodes(graph)
    return levels(graph.outputs.values(), wholes, stored_nodes(graph, wholes))


FULL = "whole."  # how results of sections are called that are as large as the parameter


def _result_of(shape: Shape, full: Shape, place: int) -> Node:
    if shape == NUMBER:
        return scalar(f"number.{place}")
    return tensor(f"{FULL}{place}") if shape == full else tensor(f"part.{place}")


class Sections:
    """Cuts outputs into passes with sections between them; `numbers` are the states that are one number, `kept` those
    of another shape than the parameter's, which is `full`."""

    def __init__(self, graph: Graph, numbers: Collection[str], kept: Collection[str]):
        self.outputs, self.numbers, self.kept = graph.outputs, numbers, kept
        self.wholes = whole_nodes(graph)
        self.stored = stored_nodes(graph, self.wholes)
        self.level = levels(graph.outputs.values(), self.wholes, self.stored)
        shapes, full = graph.shapes, graph.whole_shape
        self.full = {n for n, shape in shapes.items() if shape == full}
        of_shape = {n: scalar(n.op) for n in self.level if n.op in OF_SHAPE}
        self.last = max(self.level[n] for n in self.outputs.values())
        self._sink()
        named = self._named()
        self.results = of_shape | {n: _result_of(shapes[n], full, i) for i, n in enumerate(named)}
        passed = {name: n for name, n in self.outputs.items() if name not in kept}
        self.at = {name: self.last if name == "p" else self.level[n] for name, n in passed.items()}

    def _sink(self) -> None:
        """Have whole nodes computed in the section that needs them, where a `where` may leave them out, not before."""
        due = {n: self.level[n] for name, n in self.outputs.items() if name not in self.kept}
        due[self.outputs["p"]] = self.last
        for name in self.kept:
            due.setdefault(self.outputs[name], self._latest)
        for n in reversed([*self.level]):
            until = self.level[n] if n in self.stored else due.get(n, self.level[n])
            if n in self.wholes:
                self.level[n] = until
            for a in n.args:
                due[a] = min(due.get(a, until), until)

    def _named(self) -> list[Node]:
        """The whole nodes whose values passes and later sections read."""
        named: dict[Node, None] = {}
        seen: set[tuple[Node, int]] = set()
        todo = [(n, self._latest if name in self.kept else 0) for name, n in self.outputs.items()]
        while todo:  # nodes with the section that they are computed in, 0 for a pass
            n, section = todo.pop()
            if (n, section) in seen or n.op in OF_SHAPE:
                continue
            seen.add((n, section))
            level = self.level[n]
            if n in self.wholes and section != level:
                named[n] = None
                section = level
            elif n in self.stored:
                section = 0
            todo += [(a, section) for a in n.args]
        return [n for n in self.level if n in named]

    @property
    def _latest(self) -> int:
        """The level of the last section: that of states of other shapes, which change at the end of a step."""
        return max(self.last, 1)

    def pieces(self) -> list[Piece]:
        while True:
            pieces, late = self._pieces()
            if not late:
                return [settled(piece, self.outputs, self.numbers) for piece in pieces]
            self.at |= late

    def _leaf(self, name: str, fresh: str = "") -> Node:
        return scalar(fresh + name) if name in self.numbers else tensor(fresh + name)

    def _pieces(self) -> tuple[list[Piece], dict[str, int]]:
        at = self.at
        stored: dict[Node, Node] = {}
        pieces, late = [], dict[str, int]()
        for here in range(self.last + 1):
            known = stored | {n: result for n, result in self.results.items() if self.level[n] <= here}
            of_pass = {name: with_known(known, self.outputs[name]) for name in at if at[name] == here}
            section = self._section(here, known, stored, of_pass)
            leaves = [leaf for leaf in walk(section.values()) if not leaf.args]
            passed = {leaf.value for leaf in walk(of_pass.values())}
            passed |= {leaf.value for leaf in leaves if leaf.op == "scalar"}  # which are read before the pass runs
            seen = {leaf.value for leaf in leaves if leaf.op == "tensor"}
            for name in at:
                if at[name] < here and self._leaf(name).value in passed:
                    late[name] = here
                elif at[name] <= here and name in seen:
                    late[name] = here + 1
            stored |= {
                n: self._leaf(name, "new.")
                for name, n in self.outputs.items()
                if at.get(name) == here and n.args and (name in self.numbers or n in self.full)
            }
            pieces.append(Piece(of_pass, (), section))
        return pieces, late

    def _section(
        self, here: int, known: dict[Node, Node], stored: dict[Node, Node], of_pass: dict[str, Node]
    ) -> dict[str, Node]:
        """The section after the pass `here`: with what passes have stored, and what this one is to store for it."""
        become = dict(known)

        def see(n: Node) -> Node:
            if n in become or not n.args:
                return become.get(n, n)
            if n not in self.stored:
                become[n] = node(n.op, *map(see, n.args), value=n.value)
                return become[n]
            written = next((s for s in self.at if self.at[s] <= here and self.outputs[s] is n), None)
            if written:
                become[n] = self._leaf(written, "new.")
            else:
                name = f"scratch.{sum(leaf.value.startswith('scratch.') for leaf in stored.values())}"  # type: ignore[union-attr]
                become[n] = stored[n] = tensor(name)
                of_pass[name] = with_known(known, n)
            return become[n]

        named = {str(result.value): n for n, result in self.results.items() if n.op not in OF_SHAPE}
        wanted = {name: n for name, n in named.items() if self.level[n] == here + 1}
        wanted |= {s: self.outputs[s] for s in self.kept if here + 1 == self._latest}
        return {name: see(n) for name, n in wanted.items()}
