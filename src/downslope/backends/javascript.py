"""Graph -> JavaScript: one step of a formula as a function on Float64Arrays, for the playground and for other pages.

JavaScript's numbers are float64 and follow IEEE 754, so the meaning is eager's in float64; `HELPERS` are the few
operations where the language's own differ from it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable

from ..compiler.cut import Call
from ..compiler.graph import Graph, Node, tensor, walk
from ..compiler.ops import MATRICES, OF_SHAPE
from ..compiler.ops import WHOLE as WHOLE_TENSORS
from ..compiler.plan import Plan, plan
from ..compiler.sections import has_sections
from ..errors import SettingError

# Operation -> JavaScript, on names and numbers alone, so that nothing needs brackets.
TABLE: dict[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "pow": "power({}, {})",
    "neg": "-{}",
    "abs": "Math.abs({})",
    "sign": "sign({})",
    "sqrt": "Math.sqrt({})",
    "exp": "Math.exp({})",
    "log": "Math.log({})",
    "tanh": "Math.tanh({})",
    "sin": "Math.sin({})",
    "cos": "Math.cos({})",
    "floor": "Math.floor({})",
    "atan2": "Math.atan2({}, {})",
    "maximum": "Math.max({}, {})",  # nan where one of them is, as torch's
    "minimum": "Math.min({}, {})",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} === {}",
    "ne": "{} !== {}",
    "and": "{} && {}",
    "or": "{} || {}",
    "not": "!{}",
    "isfinite": "Number.isFinite({})",
    "where": "{} ? {} : {}",
}
WHOLE: dict[str, str] = {"norm": "norm({})", "mean": "mean({})", "sum": "total({})"}

# What a source needs beside the language: each under the name that it is called by.
HELPERS: dict[str, str] = {
    "sign": "function sign(x) { return (x > 0) - (x < 0); } // of nan and of -0 it is 0",
    "power": (
        "function power(x, y) { // IEEE: 1 to any power is 1, and so is -1 to an infinite one\n"
        "  return x === 1 || (x === -1 && (y === Infinity || y === -Infinity)) ? 1 : Math.pow(x, y);\n}"
    ),
    "norm": "function norm(x) { let sum = 0; for (const each of x) sum += each * each; return Math.sqrt(sum); }",
    "mean": "function mean(x) { let sum = 0; for (const each of x) sum += each; return sum / x.length; }",
    "total": "function total(x) { let sum = 0; for (const each of x) sum += each; return sum; }",
}

# Words that JavaScript keeps for itself, and names that the function uses.
RESERVED = """
await break case catch class const continue debugger default delete do else enum export extends false finally for
function if implements import in instanceof interface let new null package private protected public return static super
switch this throw true try typeof var void while with yield arguments eval undefined NaN Infinity Math Number
Float64Array tensors numbers i
"""
TAKEN = frozenset(RESERVED.split()) | set(HELPERS)


def javascript(graph: Graph) -> str:
    """The graph as a function `NAME(tensors, numbers)` that takes one step in place, with the helpers it calls.

    `tensors` has p, g and the states as Float64Arrays of one length, and gets an array of that length for each value
    that is kept on the way; `numbers` has the settings (`lr`, `betas[0]`), t, and the states that are one number. A
    tensor counts as a vector: `rows` is its length, `columns` 1. Raises SettingError for what needs matrices, such as
    Newton-Schulz.
    """
    body = function(graph)
    return "\n".join([*helpers(body), body])


def helpers(body: str) -> list[str]:
    """The helpers that a source calls."""
    return [text for name, text in HELPERS.items() if re.search(rf"(?<![\w.]){name}\(", body)]


def function(graph: Graph) -> str:
    """The graph's function alone, for a file that has the helpers already."""
    graph = _alone(graph)
    if not covers(graph):
        op = next(n.op for n in graph.nodes if n.op in (MATRICES | WHOLE_TENSORS.keys()) - WHOLE.keys() - OF_SHAPE)
        raise SettingError(
            f"{graph.name}: {op} works on matrices, and the JavaScript back end has vectors; choose another formula, "
            "or `--as graph` to read this one"
        )
    first = plan(graph)
    lines = [line for each in first.passes for line in _Pass(each).lines()]
    return "\n".join([f"function {identifier(graph.name)}(tensors, numbers) {{", *(f"  {x}" for x in lines), "}"])


def covers(graph: Graph) -> bool:
    """Whether a formula has a meaning for a vector alone."""
    return not has_sections(_alone(graph)) and not any(n.op in MATRICES for n in graph.nodes)


def _alone(graph: Graph) -> Graph:
    """The graph for an optimizer of one tensor, of which a sum over all tensors is the tensor's own."""
    return graph.map(lambda n: n.args[0] if n.op == "overall" else n)


def identifier(name: str, taken: Iterable[str] = TAKEN) -> str:
    """A name that JavaScript takes, as close to this one as can be."""
    plain = re.sub(r"\W", "_", re.sub(r"\[(\d+)\]", r"\1", name)) or "x"
    plain = f"_{plain}" if plain[0].isdigit() else plain
    chosen, count, taken = plain, 2, set(taken)
    while chosen in taken:
        chosen, count = f"{plain}_{count}", count + 1
    return chosen


def literal(value: float) -> str:
    """A number as JavaScript writes it, exactly."""
    if not math.isfinite(value):
        return "NaN" if value != value else "Infinity" if value > 0 else "(-Infinity)"
    written = repr(value).removesuffix(".0")
    return f"({written})" if math.copysign(1.0, value) < 0 else written


class _Pass:
    """Writes one pass: what is computed once, the loop over the elements, and the operations on whole tensors."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.written: dict[Node, str] = {}
        self.used = set(TAKEN)

    def lines(self) -> list[str]:
        plan = self.plan
        numbers = [*plan.slots, *plan.updates.values(), *(n for call in plan.calls for n in call.numbers)]
        once = [self.define(n) for n in walk(numbers) if n.op != "const"]
        arrays = {name: self.take(f"{name}_array") for name in dict.fromkeys((*plan.reads, *plan.writes))}
        head = [f"const {name} = tensors[{json.dumps(key)}];" for key, name in arrays.items()]
        stored = [name for name in plan.writes if name not in plan.reads]
        head = [
            line.replace(";", " ??= new Float64Array(tensors.p.length);") if key in stored else line
            for (key, _), line in zip(arrays.items(), head)
        ]
        loads = []
        for key in plan.reads:
            self.written[tensor(key)] = self.take(key)
            loads.append(f"const {self.written[tensor(key)]} = {arrays[key]}[i];")
        body = [self.define(n) for n in plan.body]
        stores = [f"{arrays[name]}[i] = {self.write(value)};" for name, value in plan.writes.items()]
        loop = ["for (let i = 0; i < tensors.p.length; i++) {", *(f"  {x}" for x in (*loads, *body, *stores)), "}"]
        updates = [f"numbers[{json.dumps(key)}] = {self.write(value)};" for key, value in plan.updates.items()]
        calls = [self.call(call) for call in plan.calls]
        return ["{", *(f"  {x}" for x in (*once, *head, *(loop if plan.writes else []), *updates, *calls)), "}"]

    def take(self, name: str) -> str:
        chosen = identifier(name, self.used)
        self.used.add(chosen)
        return chosen

    def write(self, n: Node) -> str:
        return literal(n.number) if n.op == "const" else self.written[n]

    def define(self, n: Node) -> str:
        """A line that gives a node its name: the author's where there is one."""
        if n.op == "scalar":
            shape = {"rows": "tensors.p.length", "columns": "1"}.get(str(n.value))
            text = shape or f"numbers[{json.dumps(n.value)}]"
        else:
            text = TABLE[n.op].format(*map(self.write, n.args))
        default = str(n.value) if n.op == "scalar" else "x"
        self.written[n] = self.take(self.plan.graph.names.get(n, default))
        return f"const {self.written[n]} = {text};"

    def call(self, call: Call) -> str:
        return f"numbers[{json.dumps(call.result)}] = {WHOLE[call.op].format(f'tensors[{json.dumps(call.source)}]')};"
