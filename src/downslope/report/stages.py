"""The stages of a formula on the terminal: code with colours, its cost as a table, and the list of all optimizers."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ..backends import gpu_source, llvm
from ..backends.javascript import javascript
from ..backends.latex import latex
from ..backends.storage import STORAGES
from ..compiler.graph import Graph
from ..compiler.listing import listing
from ..compiler.plan import cost, plan
from ..optim.precision import planned

BYTES = {"float32": 4, "float64": 8}

STAGES: dict[str, Callable[[Graph, str, str], str]] = {
    "graph": lambda graph, dtype, states: listing(graph),
    "latex": lambda graph, dtype, states: latex(graph),
    "javascript": lambda graph, dtype, states: javascript(graph),
    "llvm": lambda graph, dtype, states: _kernels(graph, dtype, states),
    "triton": lambda graph, dtype, states: gpu_source.sources(plan(graph), dtype),
}
LANGUAGES = {
    "formula": "python",
    "graph": "python",
    "latex": "latex",
    "llvm": "llvm",
    "javascript": "javascript",
    "triton": "python",
}


def console() -> Console:
    """Standard output, its lines as long as they come where nobody said how wide they may be: in a file or a pipe."""
    found = Console()
    if not found.is_terminal and "COLUMNS" not in os.environ:
        found.width = 1000
    return found


def text(graph: Graph, stage: str, dtype: str, states: str) -> str:
    """A graph as `graph`, `latex`, `llvm`, `javascript` or `triton`, the kernels for parameters of a dtype and states
    kept in another."""
    return STAGES[stage](graph, dtype, states)


def print_code(console: Console, code: str, stage: str) -> None:
    """Print code line by line as it is, so that it can be copied or piped; in colours on a terminal that has them."""
    if not console.is_terminal or console.no_color or console.is_dumb_terminal:
        print(code, file=console.file)
        return
    from rich.syntax import Syntax

    coloured = Syntax(code, LANGUAGES[stage], theme="ansi_dark", background_color="default").highlight(code)
    coloured.rstrip()
    console.print(coloured, soft_wrap=True)


def _kernels(graph: Graph, dtype: str, states: str) -> str:
    """The kernel of each pass, in one module."""
    passes = [*plan(graph).passes]
    names = ["update", *(f"update_{i}" for i in range(2, len(passes) + 1))]
    kernels = (llvm.kernel(each, planned(each, dtype, states), name) for each, name in zip(passes, names))
    text = "\n\n".join(kernel.rstrip() for kernel in kernels)
    lines = text.splitlines()
    again = {i for i, line in enumerate(lines) if line.startswith("declare") and line in lines[:i]}
    return "\n".join(line for i, line in enumerate(lines) if i not in again)


# Cost


def bill(graph: Graph, dtype: str, states: str) -> dict[str, Any]:
    """What a step costs for each parameter, and what its states take."""
    first = plan(graph)
    kept = dict(zip(first.tensors, planned(first, dtype, states)))
    counted = cost(first, BYTES[dtype])
    moved = [*["g"] * counted.norm, *counted.loads, *counted.stores, *counted.whole]
    return {
        "storages": {name: kept[name] for name in first.states},
        "sizes": {name: _whole(STORAGES[kept[name]].bytes) for name in {*kept, *moved} if name in kept},
        "norm": ["g"] * counted.norm,
        "loads": list(counted.loads),
        "stores": list(counted.stores),
        "whole": list(counted.whole),
        "bytes": _whole(sum(STORAGES[kept[name]].bytes if name in kept else BYTES[dtype] for name in moved)),
        "operations": counted.operations,
        "states": list(first.states),
        "scalar_states": list(first.numbers),
        "state_bytes": _whole(sum(STORAGES[kept[name]].bytes for name in first.states)),
        "scratch": list(first.scratch),
        "scratch_bytes": BYTES[dtype] * len(first.scratch),
        "once": counted.once,
    }


def print_bill(console: Console, bill: dict[str, Any]) -> None:
    """The cost as a table of what is done to what, and how much that is."""
    size, sizes = BYTES[bill["dtype"]], bill["sizes"]

    def of(names: list[str]) -> float:
        return _whole(sum(sizes.get(name, size) for name in names))

    operations = sorted(bill["operations"].items(), key=lambda item: -item[1])
    rows = [(word, ", ".join(bill[key]), of(bill[key]), "bytes") for word, key in MOVES.items() if bill[key]]
    rows += [
        ("move", "in all", bill["bytes"], "bytes"),
        ("compute", ", ".join(f"{count} {op}" for op, count in operations), sum(bill["operations"].values()), "ops"),
        ("keep", ", ".join(bill["states"]) or "no state", bill["state_bytes"], "bytes"),
    ]
    if bill["scratch"]:
        rows.append(("and for the time of a step", ", ".join(bill["scratch"]), bill["scratch_bytes"], "bytes"))
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for justify, wraps in (("left", False), ("left", True), ("right", False), ("left", False)):
        table.add_column(justify=justify, no_wrap=not wraps)  # type: ignore[arg-type]
    for word, what, amount, unit in rows:
        table.add_row(Text(word, style="bold"), what, f"{amount:.2f}" if amount % 1 else str(amount), unit)
    around = f" with {', '.join(bill['with'])}" if bill["with"] else ""
    notes = [f"Once per step, whatever its size: {bill['once']} ops in float64."]
    if bill["scalar_states"]:
        notes.append(f"Kept once for each tensor: {', '.join(bill['scalar_states'])}.")
    states = "" if bill["states_in"] == bill["dtype"] else f", states in {bill['states_in']}"
    _put(console, f"{bill['name']}{around}, {bill['dtype']}{states}: for each parameter and step", table, *notes)


def _whole(value: float) -> float:
    """Without a fraction where it has none."""
    return int(value) if value == int(value) else value


MOVES = {"norm": "norm", "load": "loads", "store": "stores", "whole": "whole"}


# The list


def print_catalogue(console: Console, rows: list[dict[str, Any]]) -> None:
    """Every optimizer with its formulas: a table, or indented lines where the papers would stand in a narrow column."""
    width = [max(len(line[i]) for line in _lines(rows)) for i in range(3)]
    draw = _table if console.width >= sum(width) + 70 else _stack
    for title, torch in (("As in torch.optim: names, settings, results, checkpoints", True), ("More", False)):
        group = list(_lines([row for row in rows if row["torch"] is torch]))
        _put(console, Text(title, style="dim"), draw(group, width), "")
    _put(
        console,
        "downslope show NAME prints a formula; --as graph, latex, llvm, triton, javascript or cost its other stages.",
    )


Line = tuple[str, str, str, str]


def _lines(rows: list[dict[str, Any]]) -> Iterator[Line]:
    """Optimizer (where it is a new one), formula, states and paper."""
    for row in rows:
        for place, formula in enumerate(row["formulas"]):
            name = "" if place else row["optimizer"]
            yield name, formula["name"], ", ".join(formula["states"]) or "-", formula["paper"]


def _table(lines: list[Line], width: list[int]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for head, least in zip(("optimizer", "formula", "states"), width):  # as wide as in the other table
        table.add_column(head, no_wrap=True, min_width=least)
    table.add_column("paper")
    for name, *rest in lines:
        table.add_row(Text(name, style="bold"), *map(Text, rest))
    return table


def _stack(lines: list[Line], width: list[int]) -> Table:
    """One column, each line of it indented below what it belongs to."""
    table = Table.grid()
    for name, formula, states, paper in lines:
        if name:
            table.add_row(Text(name, style="bold"))
        table.add_row(Padding(Text(formula if states == "-" else f"{formula}: {states}"), (0, 0, 0, 2)))
        table.add_row(Padding(Text(paper), (0, 0, 0, 4)))
    return table


# Printing


def _put(console: Console, *parts: str | Text | Table) -> None:
    """Print parts below each other; without the spaces at the ends of a table's lines where they go to a file."""
    for part in parts:
        with console.capture() as captured:
            console.print(part, markup=False, highlight=False, emoji=False)
        lines = captured.get().split("\n")
        print("\n".join(lines if console.is_terminal else map(str.rstrip, lines)), end="", file=console.file)
