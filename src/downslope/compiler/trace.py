"""Formula -> graph: call the function once with symbols, and read back what its author called the values."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Any

from ..errors import DownslopeError, FormulaError, nearest
from .formula import Formula, read
from .functions import FUNCTIONS, Symbol, _node
from .graph import Graph, Node, scalar, tensor
from .ops import CONDITIONS


def trace(formula: Formula | Callable[..., Any]) -> Graph:
    """The graph of a formula. Raises FormulaError, with the line of the formula, for what cannot be traced."""
    formula = formula if isinstance(formula, Formula) else read(formula)
    states = {name: Symbol(tensor(name)) for name in formula.states}
    settings: dict[str, Any] = {
        name: tuple(Symbol(scalar(f"{name}[{i}]")) for i in range(len(default)))
        if isinstance(default, tuple)
        else Symbol(scalar(name))
        for name, default in formula.settings.items()
    }
    if formula.counts:
        settings["t"] = Symbol(scalar("t"))
    names: dict[Node, str] = {}
    result = _call(formula, [Symbol(tensor("p")), Symbol(tensor("g")), *states.values()], settings, names)
    outputs = dict(zip(["p", *states], _values(formula, result)))
    return Graph(formula.name, formula.states, formula.settings, formula.counts, outputs, names)


def _values(formula: Formula, result: Any) -> list[Node]:
    values = result if isinstance(result, tuple | list) else (result,)
    wanted = ["p", *formula.states]
    if len(values) != len(wanted):
        has = (
            f"p and the state{'s' * (len(formula.states) > 1)} ({', '.join(formula.states)})"
            if formula.states
            else "p and no state"
        )
        raise FormulaError(
            f"{formula.name}: returns {len(values)} value{'s' * (len(values) != 1)} but has {has}; "
            f"return {'(' + ', '.join(wanted) + ')' if formula.states else 'p alone'}"
        )
    for name, value in zip(wanted, values):
        if value is None or (isinstance(value, Symbol) and value.node.op in CONDITIONS):
            raise FormulaError(
                f"{formula.name}: returns {value!r} as the new {name}; it must be a number for each element"
            )
    try:
        return [_node(value) for value in values]
    except FormulaError as error:
        raise FormulaError(f"{formula.name}: in what it returns: {error}") from None


def _call(formula: Formula, places: list[Symbol], settings: dict[str, Any], names: dict[Node, str]) -> Any:
    """Call the formula while noting the first name that each value gets."""
    code = getattr(formula.function, "__code__", None)

    def note(frame: FrameType, event: str, arg: Any) -> Any:
        for name, value in frame.f_locals.items():
            if isinstance(value, Symbol) and str(value.node.value) != name:
                names.setdefault(value.node, name)
        return note

    def enter(frame: FrameType, event: str, arg: Any) -> Any:
        return None if frame.f_globals.get("__name__", "").startswith(__package__) else note

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        return formula.function(*places, **settings)
    except NameError as error:
        hint = nearest(error.name or "", FUNCTIONS)
        raise FormulaError(f"{formula.name}: {_line(error, code)}: {error}; of downslope's functions {hint}") from error
    except DownslopeError as error:
        raise FormulaError(f"{formula.name}: {_line(error, code)}: {error}") from None
    except Exception as error:
        raise FormulaError(f"{formula.name}: {_line(error, code)}: {type(error).__name__}: {error}") from error
    finally:
        sys.settrace(before)


def _line(error: BaseException, code: Any) -> str:
    """Where in the formula the error arose: its line number and text."""
    for frame, number in traceback.walk_tb(error.__traceback__):
        if frame.f_code is code:
            entry = traceback.extract_tb(error.__traceback__, limit=50)
            line = next((e.line for e in entry if e.lineno == number and e.name == code.co_name), "")
            return f"line {number}, `{line}`" if line else f"line {number}"
    return "when called"
