r"""Graph -> LaTeX: the formula as a paper writes it, one line for each value that its author named.

    m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t

Inputs carry the index of the step before, computed values that of this step. What KaTeX and MathJax know is used.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

from ..compiler.graph import Graph, Node, const, node, tensor, walk
from ..compiler.listing import in_order, uses
from ..compiler.ops import CONDITIONS
from .notation import NOTATION, SPARE, Symbol, choices, script, spelled


def latex(graph: Graph) -> str:
    """The graph as an `aligned` environment, without the dollar signs around it."""
    body = " \\\\[6pt]\n".join(f"{symbol} &= {value}" for symbol, value, _ in rows(graph))
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"


def rows(graph: Graph) -> list[tuple[str, str, Node]]:
    """The lines apart: what each defines, as what, and the node that has its value."""
    chosen, labels, symbols = _named(graph)
    seen, writer = _gradient(graph), _Writer(symbols)
    lines = [(str(symbols[n]), writer.line(n), n) for n in chosen]
    for name, new in graph.outputs.items():
        if labels.get(new) != name and new is not seen:  # another value, or none, taken over as it is
            lines.append((str(symbols[tensor(name)].at("t")), writer.write(new)[0], new))
    return lines


def legend(graph: Graph) -> dict[str, str]:
    """The symbol of p, g, t and each state and setting that the lines speak of, by its name."""
    symbols = _named(graph)[2]
    leaves = [n for n in symbols if n.op in ("tensor", "scalar")]
    return {str(n.value): str(symbols[n].at("") if n.value in graph.outputs else symbols[n]) for n in leaves}


def _named(graph: Graph) -> tuple[list[Node], dict[Node, str], dict[Node, Symbol]]:
    """The values that have a line, the names there are, and the symbols."""
    seen = _gradient(graph)
    labels = _labels(graph, seen)
    chosen = _lines(graph, labels)
    return chosen, labels, _symbols(graph, chosen, labels, seen)


def _gradient(graph: Graph) -> Node:
    """The gradient as the formula sees it: g, or the unnamed value g' that transforms have made of it.

    That is the first value of more than one use on the one way from g, made of g, p and settings alone. A state that
    is this gradient of the step before is written as that, and its update goes unsaid.
    """
    g, count = tensor("g"), uses(graph)
    changes = {n for n in graph.nodes if n.op in ("neg", "add", "maximum", "minimum")}
    changes |= {n for n in graph.nodes if n.op == "mul" and any(arg.value in graph.options for arg in n.args)}
    user = {arg: n for n in graph.nodes for arg in n.args}
    seen = g
    while count[seen] == 1 and user.get(seen) in changes:
        seen = user[seen]
    foreign = any(leaf.op == "tensor" and leaf.value not in ("p", "g") for leaf in walk([seen]))
    named = seen in graph.names or seen is graph.outputs["p"]
    return g if foreign or named or count[seen] < 2 else seen


# Symbols


def _symbols(graph: Graph, chosen: list[Node], labels: dict[Node, str], gradient: Node) -> dict[Node, Symbol]:
    """A symbol for each leaf and each line, no two alike."""
    leaves = [n for n in graph.nodes if n.op in ("tensor", "scalar")]
    leaves += [tensor(name) for name in graph.outputs if tensor(name) not in leaves]
    names = list(dict.fromkeys([*(str(n.value) for n in leaves), *(labels[n] for n in chosen if n in labels)]))
    own = [n for n in names if n not in NOTATION and "mathrm" not in spelled(n).base + spelled(n).above]
    of: dict[str, Symbol] = {}
    taken: set[Symbol] = set()

    def take(options: tuple[Symbol, ...]) -> Symbol:
        best = next((s for s in options if s not in taken), options[-1])
        while best in taken:
            best = replace(best, primes=best.primes + 1)
        taken.add(best)
        return best

    for name in own:  # who is named like a letter gets it, before those who only usually have it
        of[name] = take(choices(name))
    taken |= {Symbol(of[name].base) for name in own}
    for name in names:
        if name not in of:
            of[name] = take(choices(name))

    found: dict[Node, Symbol] = {}
    for n in leaves:
        time = "t-1" if n.value in graph.outputs else "t" if n.value == "g" else ""
        found[n] = of[str(n.value)].at(time)
    seen = {"p", "g", *graph.states}
    written = set(map(str, found.values()))
    for n in chosen:
        label = labels.get(n)
        if label is None:
            symbol = take(tuple(map(Symbol, SPARE)))
        elif label in seen and graph.outputs.get(label) is not n:
            symbol = take((of[label],))
        else:
            symbol = of[label]
            seen.add(label)
        moves = any(leaf.op == "tensor" or leaf.value == "t" for leaf in walk([n]))
        symbol = symbol.at("t" if moves or label in graph.outputs else "")
        while str(symbol) in written:
            symbol = replace(symbol, primes=symbol.primes + 1)
        written.add(str(symbol))
        found[n] = symbol
    before = found[gradient].at("t-1") if gradient in found else None
    return found | {tensor(name): before for name, new in graph.outputs.items() if before and new is gradient}


# Lines


def _labels(graph: Graph, gradient: Node) -> dict[Node, str]:
    """The names of values: the author's, and of results that of their state."""
    labels = {n: name for n, name in graph.names.items() if n.args and n.op not in CONDITIONS}
    if gradient.args:
        labels[gradient] = "g"
    results = [(name, n) for name, n in reversed(graph.outputs.items()) if n.args and n is not gradient]
    results.sort(key=lambda pair: labels.get(pair[1]) == pair[0])  # of two for one value, the one the author wrote
    return labels | {n: name for name, n in results}


def _lines(graph: Graph, labels: dict[Node, str]) -> list[Node]:
    """The values with a line: named ones, results, and those without a name that would be long to repeat."""
    count = uses(graph)
    tails = {n.args[2] for n in graph.nodes if n.op == "where"}
    chosen: set[Node] = set()
    size: dict[Node, int] = {}
    for n in graph.nodes:
        size[n] = sum(1 if a in chosen else size[a] for a in n.args) + 1
        nested = n.op == "where" and (n not in tails or count[n] > 1)
        repeated = n.args and n.op not in CONDITIONS and count[n] > 1 and size[n] > 6
        if n in labels or nested or repeated:
            chosen.add(n)
    return in_order(graph, chosen)


# Expressions

CASES, OR, AND, COMPARE, SUM, QUOTIENT, PRODUCT, POWER, ATOM = range(9)

# Operation -> LaTeX, how tightly it binds, and how tightly each operand must.
TABLE: dict[str, tuple[str, int, tuple[int, ...]]] = {
    "add": ("{} + {}", SUM, (SUM, SUM)),
    "sub": ("{} - {}", SUM, (SUM, QUOTIENT)),
    "neg": ("-{}", SUM, (QUOTIENT,)),
    "div": ("{} / {}", QUOTIENT, (PRODUCT, POWER)),  # where there is no room for a fraction
    "abs": (r"\lvert {} \rvert", ATOM, (SUM,)),
    "sqrt": (r"\sqrt{{{}}}", POWER, (SUM,)),
    "floor": (r"\lfloor {} \rfloor", ATOM, (SUM,)),
    "sign": (r"\operatorname{{sign}}({})", ATOM, (SUM,)),
    "exp": (r"\exp({})", ATOM, (SUM,)),
    "log": (r"\log({})", ATOM, (SUM,)),
    "tanh": (r"\tanh({})", ATOM, (SUM,)),
    "sin": (r"\sin({})", ATOM, (SUM,)),
    "cos": (r"\cos({})", ATOM, (SUM,)),
    "atan2": (r"\operatorname{{atan2}}({}, {})", ATOM, (SUM, SUM)),
    "maximum": (r"\max({}, {})", ATOM, (SUM, SUM)),
    "minimum": (r"\min({}, {})", ATOM, (SUM, SUM)),
    "clip": (r"\operatorname{{clip}}({}, {}, {})", ATOM, (SUM, SUM, SUM)),
    "lt": ("{} < {}", COMPARE, (SUM, SUM)),
    "le": (r"{} \le {}", COMPARE, (SUM, SUM)),
    "gt": ("{} > {}", COMPARE, (SUM, SUM)),
    "ge": (r"{} \ge {}", COMPARE, (SUM, SUM)),
    "eq": ("{} = {}", COMPARE, (SUM, SUM)),
    "ne": (r"{} \ne {}", COMPARE, (SUM, SUM)),
    "and": (r"{} \land {}", AND, (AND, AND)),
    "or": (r"{} \lor {}", OR, (OR, OR)),
    "not": (r"\neg ({})", ATOM, (OR,)),
    "isfinite": (r"\lvert {} \rvert < \infty", COMPARE, (SUM,)),
    "norm": (r"\lVert {} \rVert", ATOM, (SUM,)),
    "mean": (r"\operatorname{{mean}}({})", ATOM, (SUM,)),
    "rows": (r"\operatorname{{rows}}({})", ATOM, (SUM,)),
    "columns": (r"\operatorname{{columns}}({})", ATOM, (SUM,)),
    "newton_schulz": (r"\operatorname{{NS}}_{{{4}}}({0})", ATOM, (SUM,) * 6),
    "sum": (r"\operatorname{{sum}}({})", ATOM, (SUM,)),
    "overall": (r"\operatorname{{overall}}({})", ATOM, (SUM,)),
    "mean_along": (r"\operatorname{{mean}}_{{{1}}}({0})", ATOM, (SUM, SUM)),
    "row_mean": (r"\operatorname{{mean}}_{{\mathrm{{row}}}}({})", ATOM, (SUM,)),
    "column_mean": (r"\operatorname{{mean}}_{{\mathrm{{column}}}}({})", ATOM, (SUM,)),
    "row_max": (r"\max_{{\mathrm{{row}}}}({})", ATOM, (SUM,)),
    "column_max": (r"\max_{{\mathrm{{column}}}}({})", ATOM, (SUM,)),
    "matmul": (r"{} \, {}", PRODUCT, (PRODUCT, POWER)),
    "transpose": (r"{}^\top", POWER, (ATOM,)),
    "identity": ("I", ATOM, (SUM,)),
    "upper_triangle": (r"\operatorname{{triu}}({})", ATOM, (SUM,)),
    "diagonal": (r"\operatorname{{diag}}({})", ATOM, (SUM,)),
    "permutation": (r"\operatorname{{order}}({})", ATOM, (SUM,)),
    "qr": (r"\operatorname{{qr}}({})", ATOM, (SUM,)),
    "eigenvectors": (r"\operatorname{{eigenvectors}}({})", ATOM, (SUM,)),
    "inverse_root": (r"{0}^{{-1/{1}}}", POWER, (ATOM, ATOM)),
    "solve": (r"{}^{{-1}} \, {}", PRODUCT, (ATOM, POWER)),
    "spectral_bound": (r"\lVert {} \rVert_2", ATOM, (SUM,)),
    "noise": (r"\operatorname{{noise}}_{{{1}}}", ATOM, (SUM, SUM)),
}

OPENING, CLOSING = re.compile(r"\((?={)|\\l[vV]ert|\\lfloor"), re.compile(r"(?<=})\)|\\r[vV]ert|\\rfloor")

Written = tuple[str, int]


class _Writer:
    """Writes nodes; those with a symbol are written as that, except where a line says what it stands for."""

    def __init__(self, symbols: dict[Node, Symbol]):
        self.symbols = symbols

    def line(self, n: Node) -> str:
        return self.write(n, root=True)[0]

    def write(self, n: Node, small: bool = False, root: bool = False) -> Written:
        if n in self.symbols and not (root and n.args):
            symbol = self.symbols[n]
            return str(symbol), POWER if symbol.above or symbol.primes else ATOM
        if n.op == "const":
            return _number(n.number, small)
        special = SPECIAL.get(n.op)
        written = special(self, n, small) if special else None
        return written or self.fill(n.op, n.args, small)

    def fill(self, op: str, args: tuple[Node, ...], small: bool) -> Written:
        pattern, binds, least = TABLE[op]
        parts = [self.operand(arg, need, small)[0] for arg, need in zip(args, least)]
        if op == "add" and parts[1].startswith("-"):
            return f"{parts[0]} - {parts[1][1:]}", SUM
        return _grown(pattern, *parts).format(*parts), binds

    def operand(self, n: Node, least: int, small: bool) -> Written:
        written, binds = self.write(n, small)
        if binds >= least:
            return written, binds
        if n.op in CONDITIONS and least > COMPARE:
            return f"[{written}]", ATOM  # Iverson's bracket: 1 where it holds
        return _grown("({})", written).format(written), ATOM


def _grown(pattern: str, *parts: str) -> str:
    """The pattern with brackets as large as what they hold asks for."""
    if any("frac" in part or r"\begin" in part for part in parts):
        left, right = r"\left", r"\right"
    elif any("(" in part for part in parts):
        left, right = r"\bigl", r"\bigr"
    else:
        return pattern
    return CLOSING.sub(lambda m: right + m[0], OPENING.sub(lambda m: left + m[0], pattern))


def _number(value: float, small: bool) -> Written:
    if math.copysign(1.0, value) < 0 and value == value:
        return f"-{_number(-value, small)[0]}", SUM
    if value != value or value == float("inf"):
        return (r"\mathrm{NaN}" if value != value else r"\infty"), ATOM
    digits = f"{value:g}" if float(f"{value:g}") == value else repr(value)
    near = Fraction(value).limit_denominator(64)
    if len(digits) > 8 and "e" not in digits and float(near) == value:
        above, below = near.as_integer_ratio()
        return (f"{above}/{below}", QUOTIENT) if small else (rf"\frac{{{above}}}{{{below}}}", PRODUCT)
    mantissa, _, exponent = digits.partition("e")
    if not exponent:
        return digits, ATOM
    power = f"10^{{{int(exponent)}}}"
    return (power, POWER) if mantissa == "1" else (rf"{mantissa} \cdot {power}", PRODUCT)


def _mul(writer: _Writer, n: Node, small: bool) -> Written:
    a, b = n.args
    if a is b:
        return _pow(writer, node("pow", a, const(2.0)), small)
    if b.op == "const" and a.op != "const":
        a, b = b, a  # a coefficient stands first
    elif b.op == "scalar" and any(leaf.op == "tensor" for leaf in walk([a])):
        a, b = b, a  # and so does a setting
    minus = ""
    if a.op == "neg" and a not in writer.symbols:
        minus, a = "-", a.args[0]
    elif a.op == "const" and a.number < 0:
        minus, a = "-", const(-a.number)
    right, binds = writer.operand(b, QUOTIENT, small)
    if not (minus and a is const(1.0)):
        left = writer.operand(a, PRODUCT, small)[0]
        right, binds = f"{left}{_between(left, right)}{right}", min(binds, PRODUCT)
    return f"{minus}{right}", SUM if minus else binds


WORD_AT_THE_END = re.compile(r"\\mathrm\{\w+\}([_^']\S*)?$")


def _between(left: str, right: str) -> str:
    """What stands between two factors: nothing to see, but where digits or words would run together."""
    if right[0].isdigit() or (left[-1].isdigit() and right.startswith(r"\frac{1}")):
        return r" \cdot "
    return r" \, " if right.startswith(r"\mathrm") or WORD_AT_THE_END.search(left) else " "


def _div(writer: _Writer, n: Node, small: bool) -> Written | None:
    above, below = n.args
    if small:
        return None
    first = ""
    if above.op == "mul" and above not in writer.symbols:
        factor, rest = above.args
        if factor.op == "div" and factor not in writer.symbols:  # a fraction beside this one, not on top of it
            first, above = f"{writer.write(factor)[0]} ", rest
    return rf"{first}\frac{{{writer.operand(above, SUM, True)[0]}}}{{{writer.operand(below, SUM, True)[0]}}}", PRODUCT


def _pow(writer: _Writer, n: Node, small: bool) -> Written:
    base, exponent = n.args
    value = exponent.number if exponent.op == "const" else None
    if value == 0.5:
        return writer.fill("sqrt", (base,), small)
    if value in (-0.5, -1.0) and not small:
        below = writer.fill("sqrt", (base,), True) if value == -0.5 else writer.operand(base, SUM, True)
        return rf"\frac{{1}}{{{below[0]}}}", PRODUCT
    written = writer.operand(exponent, SUM, True)[0]
    if value is not None and value % 0.125 == 0.0:
        written = str(Fraction(value))  # 1/4 rather than 0.25
    return writer.operand(base, ATOM, small)[0] + script("^", written), POWER


def _minimum(writer: _Writer, n: Node, small: bool) -> Written | None:
    inner, high = n.args
    if inner.op != "maximum" or inner in writer.symbols:
        return None
    return writer.fill("clip", (*inner.args, high), small)


def _where(writer: _Writer, n: Node, small: bool) -> Written:
    rows, tail = [], n
    while tail.op == "where" and (tail is n or tail not in writer.symbols):
        condition, yes, tail = tail.args
        rows.append(rf"{writer.write(yes)[0]} & \text{{if }} {writer.write(condition)[0]}")
    rows.append(rf"{writer.write(tail)[0]} & \text{{otherwise}}")
    body = r" \\ ".join(rows).replace(r"\frac", r"\dfrac")  # which would be small print here
    return rf"\begin{{cases}} {body} \end{{cases}}", CASES


SPECIAL: dict[str, Callable[[_Writer, Node, bool], Written | None]] = {
    "mul": _mul,
    "div": _div,
    "pow": _pow,
    "minimum": _minimum,
    "where": _where,
}
