"""A surface from a text: a name, one of a family with its settings, an expression of x and y, a function in a file.

Neither name nor text is run blindly."""

from __future__ import annotations

import ast
import inspect
import math
import operator
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from .. import user_code
from ..compiler import functions as f
from ..errors import DownslopeError, RunError, SettingError, nearest
from ..user_code import where
from .surface import Box, Point, Surface
from .surfaces import FAMILIES, SURFACES, by_name

FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(f, name)
    for name in ("sin", "cos", "exp", "log", "sqrt", "tanh", "abs", "sign", "floor", "maximum", "minimum", "where")
}
NAMES = {"pi": math.pi, "e": math.e}
BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}  # fmt: skip
COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
LONGEST = 2000  # letters
Value = Callable[[Any, Any], Any]


def read(text: str, *, domain: Box | None = None, start: Point | None = None) -> Surface:
    """A surface by its name, by a file and function, `my_surfaces.py:bowl`, or by an expression of x and y.

    Families take their settings in brackets: `quadratic(condition=1000, angle=20)`, `noisy-quadratic(0.5)`.
    A function in a file takes x and y and is written with torch's or downslope's functions; the file is run, as any
    Python file. An expression is never run as Python: it is parsed and made of + - * / **, comparisons inside where(),
    pi, e and the functions of FUNCTIONS. The domain of an own surface is [-5, 5] twice, its start at 0.7 and 0.6 of the
    way from the middle to a corner, unless given. Raises SettingError or RunError that quotes what does not fit."""
    if ".py:" in text:
        path, _, name = text.rpartition(":")
        function = _from_file(Path(path), name)
        formula, source = text, path
    elif family := re.fullmatch(rf"\s*({'|'.join(FAMILIES)})\s*\((.*)\)\s*", text.replace("_", "-")):
        return _changed(_of_family(text, *family.groups()), domain, start)
    elif text.strip().replace("-", "").replace("_", "").isalnum() and text.strip() not in ("x", "y"):
        return _changed(by_name(text), domain, start)
    else:
        function, formula, source = parse(text), text, "an expression"
    box = domain or ((-5.0, 5.0), (-5.0, 5.0))
    found = Surface(formula if len(formula) < 60 else "own", function, formula, box, (), start or _corner(box), source)
    _check(found)
    return _with_minimum(found)


def _of_family(text: str, name: str, inside: str) -> Surface:
    """The surface that a call such as `quadratic(1000, angle=20)` names."""
    make = FAMILIES[name]
    known = list(inspect.signature(make).parameters)
    given: dict[str, float] = {}
    for place, part in enumerate(word for word in inside.split(",") if word.strip()):
        key, equals, value = (each.strip() for each in part.rpartition("="))
        key = key if equals else known[place] if place < len(known) else ""
        try:
            given[key] = float(value)
        except ValueError:
            key = ""
        if key not in known:
            usual = ", ".join(f"{k}={p.default:g}" for k, p in inspect.signature(make).parameters.items())
            raise SettingError(f"{text!r}: {part.strip()!r} is no setting of {name}; it takes {name}({usual})")
    return make(**given)


def _corner(box: Box) -> Point:
    (left, right), (low, high) = box
    return ((left + right) / 2 - 0.35 * (right - left), (low + high) / 2 + 0.3 * (high - low))


def _changed(surface: Surface, domain: Box | None, start: Point | None) -> Surface:
    from dataclasses import replace

    changed = replace(surface, domain=domain or surface.domain, start=start or surface.start)
    if not changed.holds(torch.tensor(changed.start, dtype=torch.float64)):
        raise SettingError(f"{surface.name}: the start {changed.start} is outside the domain {changed.domain}")
    return changed


def _check(surface: Surface) -> None:
    at = torch.tensor(surface.start, dtype=torch.float64)
    if not surface.holds(at):
        raise SettingError(f"{surface.name}: the start {surface.start} is outside the domain {surface.domain}")
    try:
        value = surface.values(torch.stack([at, at]))
        gradient = surface.gradient(torch.stack([at, at]))
    except DownslopeError:
        raise
    except Exception as error:
        raise RunError(f"{surface.name}: cannot be computed: {where(error)}") from error
    if value.shape != (2,):
        raise RunError(f"{surface.name}: gives shape {tuple(value.shape)} for 2 points; work element by element")
    if not bool(torch.isfinite(value).all() and torch.isfinite(gradient).all()):
        raise SettingError(
            f"{surface.name}: is {float(value[0]):g} with gradient {gradient[0].tolist()} at the start "
            f"{surface.start}; give another --start"
        )


def _with_minimum(surface: Surface) -> Surface:
    """Log heights where the values span more than three decades above the lowest."""
    from dataclasses import replace

    heights = surface.grid(101)[2]
    heights = heights[torch.isfinite(heights)] - heights[torch.isfinite(heights)].min()
    return replace(
        surface, log=bool(heights.max() > 1e2 * heights.median().clamp(min=1e-12)) or bool(heights.max() > 1e3)
    )


# ---- an expression


def parse(text: str) -> Value:
    """The function that an expression means. Raises SettingError that shows where it stops making sense."""
    if len(text) > LONGEST:
        raise SettingError(
            f"an expression of {len(text)} letters; at most {LONGEST}, or put it into a file as a function"
        )
    try:
        tree = ast.parse(text.strip().replace("^", "**"), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = getattr(error, "offset", None)
        mark = f"\n  {text.strip()}\n  {' ' * (at - 1)}^" if at else ""
        raise SettingError(f"{text!r}: is no expression ({getattr(error, 'msg', error)}){mark}") from None
    try:
        return _build(tree.body, text)
    except RecursionError:
        raise SettingError(f"{text[:60]!r}...: is nested too deeply") from None


def _build(part: ast.expr, text: str) -> Value:
    match part:
        case ast.Constant(value=bool()):
            raise _refused(part, text)
        case ast.Constant(value=int() | float() as number):
            try:
                number = float(number)
            except OverflowError:
                raise SettingError(f"{text!r}: a number too large for float64") from None
            return lambda x, y: number
        case ast.Name(id="x"):
            return lambda x, y: x
        case ast.Name(id="y"):
            return lambda x, y: y
        case ast.Name(id=name) if name in NAMES:
            return lambda x, y: NAMES[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            inner = _build(operand, text)
            return lambda x, y: -inner(x, y)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _build(operand, text)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in BINARY:
            a, b, act = _build(left, text), _build(right, text), BINARY[type(op)]
            return lambda x, y: act(a(x, y), b(x, y))
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in COMPARE:
            a, b, act = _build(left, text), _build(right, text), COMPARE[type(op)]
            return lambda x, y: act(a(x, y), b(x, y))
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]) if name in FUNCTIONS:
            return _call(name, [_build(arg, text) for arg in args], text)
    raise _refused(part, text)


def _call(name: str, args: list[Value], text: str) -> Value:
    wanted = {"where": 3, "maximum": 2, "minimum": 2}.get(name, 1)
    if len(args) != wanted:
        raise SettingError(f"{text!r}: {name}() takes {wanted} value{'s' * (wanted > 1)}, given {len(args)}")
    function = FUNCTIONS[name]
    return lambda x, y: function(*(arg(x, y) for arg in args))


def _refused(part: ast.expr, text: str) -> SettingError:
    found = ast.unparse(part)
    if isinstance(part, ast.Name):
        return SettingError(f"{text!r}: knows no name {found!r}; {nearest(found, ['x', 'y', *NAMES, *FUNCTIONS])}")
    if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and not part.keywords:
        return SettingError(f"{text!r}: knows no function {part.func.id!r}; {nearest(part.func.id, FUNCTIONS)}")
    allowed = f"numbers, x, y, pi, e, + - * / **, and {', '.join(FUNCTIONS)}"
    return SettingError(f"{text!r}: `{found}` is not allowed in a surface; it is made of {allowed}")


# ---- a function in a file


def _from_file(path: Path, name: str) -> Value:
    if not path.is_file():
        raise RunError(f"{path}: there is no such file; name a function in one as my_surfaces.py:bowl")
    module = user_code.run(path, f"surface_{path.stem}")
    own = [name for name in user_code.own(module) if callable(getattr(module, name))]
    if name not in own:
        raise RunError(f"{path}: has no function {name!r}; {nearest(name, own) if own else 'found no function at all'}")
    return getattr(module, name)  # type: ignore[no-any-return]


__all__ = ["FUNCTIONS", "SURFACES", "parse", "read"]
