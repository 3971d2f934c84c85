"""Graph -> text: one assignment a line, with the author's names, in Python that is itself a formula.

What depends only on settings and t is set apart from what runs for each element, so that the listing shows the work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

from .graph import Graph, Node, text, walk
from .ops import EVERY
from .sections import has_sections, levels_of, whole_nodes
from .shapes import NUMBER

# How tightly Python's operators bind; a function call or a name binds tightest.
COMPARE, OR, AND, SUM, PRODUCT, UNARY, POWER, ATOM = range(1, 9)
BINDS = {
    "lt": COMPARE, "le": COMPARE, "gt": COMPARE, "ge": COMPARE, "eq": COMPARE, "ne": COMPARE, "or": OR, "and": AND,
    "add": SUM, "sub": SUM, "mul": PRODUCT, "div": PRODUCT, "matmul": PRODUCT, "neg": UNARY, "not": UNARY, "pow": POWER,
}  # fmt: skip
# What each operand must bind at least, where it is not: left as tightly as the operator, right tighter.
OPERANDS = {op: (COMPARE + 1, COMPARE + 1) for op, binds in BINDS.items() if binds == COMPARE} | {
    "neg": (UNARY,), "not": (UNARY,), "pow": (ATOM, UNARY),
}  # fmt: skip


def listing(graph: Graph) -> str:
    """The graph as a Python function, one value a line.

    The header shows the states with their initial values and the settings with their defaults. A second value of the
    same name gets a number (`exp_avg_2`); values without a name get one where they are shared (`x1`) or leave the work
    of each element (`c1`). Tracing the listing of a traced formula gives the same graph again.
    """
    shapes, full = graph.shapes, graph.whole_shape
    element = {n for n, shape in shapes.items() if shape == full}
    names = _named(graph, element)
    lines = {node: f"    {name} = {_expression(node, names)}" for node, name in names.items()}
    place = _places(graph, element)
    parts: dict[tuple[int, int, int], list[str]] = {}
    for node, line in lines.items():
        parts.setdefault(place[node], []).append(line)
    body = []
    for (passes, _, kind), part in sorted(parts.items()):  # numbers first; after a pass those that its tensors gave
        title = ("once per tensor" if passes else "once per step", "on whole tensors", "for each element")[kind]
        body += [f"    # {title}", *part]
    results = ", ".join(names.get(n, text(n)) for n in graph.outputs.values())
    return "\n".join([_header(graph), *body, f"    return {results}"])


def _places(graph: Graph, element: set[Node]) -> dict[Node, tuple[int, int, int]]:
    """Where each node's line stands: by the passes before, by what it waits for among those of one pass, and by its
    kind: a number, whole tensors, or each element."""
    level, wholes = levels_of(graph), whole_nodes(graph) if has_sections(graph) else set[Node]()
    found: dict[Node, tuple[int, int, int]] = {}
    for n in graph.nodes:
        kind = 1 if n in wholes and graph.shapes[n] != NUMBER else 2 if n in element else 0
        before = [found[a] for a in n.args if found[a][0] == level[n]]
        found[n] = (level[n], max((turn + (last > kind) for _, turn, last in before), default=0), kind)
    return found


def uses(graph: Graph) -> Counter[Node]:
    """How often each node is an argument or a result."""
    return Counter([arg for n in graph.nodes for arg in n.args] + list(graph.outputs.values()))


def in_order(graph: Graph, chosen: Collection[Node]) -> list[Node]:
    """The chosen nodes in the author's order where that is known, arguments first; the new p last."""
    reached = set(graph.nodes)
    results = [*(value for name, value in graph.outputs.items() if name != "p"), graph.outputs["p"]]
    roots = [n for n in graph.names if n in reached and n in chosen] + results
    return [n for n in walk(roots) if n in chosen]


def _named(graph: Graph, element: set[Node]) -> dict[Node, str]:
    """A name of its own for each value that gets a line."""
    labels = {n: name for n, name in graph.names.items() if n.args or (n.op == "scalar" and "[" in str(n.value))}
    labels |= {n: name for name, n in reversed(graph.outputs.items()) if n.args}
    count = uses(graph)
    leaving = {arg for n in graph.nodes if n in element for arg in n.args if arg not in element}
    chosen = {n for n in graph.nodes if n in labels or (n.args and (count[n] > 1 or n in leaving))}
    leaves = (re.sub(r"\W.*", "", str(n.value)) for n in graph.nodes if not n.args)
    reserved = {"p", "g", "t", *graph.states, *graph.settings, *graph.options, *leaves, *EVERY}
    given, taken = set(reserved), reserved | set(labels.values())
    names: dict[Node, str] = {}
    for n in in_order(graph, chosen):
        name = labels.get(n, "")
        if not name or name in given:
            stem, number = (f"{name}_", 2) if name else ("x" if n in element else "c", 1)
            while (name := f"{stem}{number}") in taken:
                number += 1
        names[n] = name
        given.add(name)
        taken.add(name)
    return names


def _header(graph: Graph) -> str:
    settings = [f"{name}={_default(value)}" for name, value in graph.settings.items()]
    named = ["t"] * graph.counts + settings + list(graph.options)
    states = [f"{name}={_default(value)}" for name, value in graph.states.items()]
    return f"def {graph.name}({', '.join(['p', 'g', *states, *['*'] * bool(named), *named])}):"


def _default(value: float | str | tuple[float, ...]) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(map(_default, value))}{',' * (len(value) == 1)})"
    return repr(value) if isinstance(value, str) or float(f"{value:g}") != value else f"{value:g}"


def _expression(root: Node, names: dict[Node, str]) -> str:
    """The node as a Python expression with no more parentheses than its meaning needs."""

    def write(n: Node, least: int) -> str:
        if n in names and n is not root:
            return names[n]
        binds = BINDS.get(n.op, ATOM)
        if not n.args:
            written = text(n)
            binds = UNARY if written.startswith("-") else ATOM
        elif binds == ATOM:
            written = EVERY[n.op].text.format(*(write(arg, 0) for arg in n.args))
        else:
            operands = OPERANDS.get(n.op, (binds, binds + 1))
            written = EVERY[n.op].text[1:-1].format(*map(write, n.args, operands))
        return f"({written})" if binds < least else written

    return write(root, 0)
