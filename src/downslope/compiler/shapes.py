"""What shape each value has: its rows and columns by name, and what the operations make of them.

A parameter is a matrix: its first dimension the rows, all others the columns; a vector has one column. Its gradient and
most states are as large; a mean over the columns has one column, a product with the transpose rows and rows. Where a
formula takes means along a dimension, as in `mean(x, -1)`, the last two dimensions are the rows and columns, and those
before them make a stack of matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

from ..errors import FormulaError

Shape = tuple[str, str, str]
"""The stack, the rows and the columns: each `1` or the name of a size."""

NUMBER: Shape = ("1", "1", "1")
MATRIX: Shape = ("1", "rows", "columns")
STACK: Shape = ("stack", "rows", "columns")

Known = Shape | None  # None: of a state of which nothing is known yet


def together(*shapes: Known) -> Known:
    """The shape of values combined element by element; a size of 1 fits every other."""
    known = [s for s in shapes if s is not None]
    if len(known) < len(shapes) and all(s == NUMBER for s in known):
        return None  # a number takes any shape
    sizes = [sorted({s[i] for s in known} - {"1"}) for i in range(3)]
    if any(len(size) > 1 for size in sizes):
        raise FormulaError(f"{' and '.join(map(words, dict.fromkeys(known)))} do not fit together element by element")
    stack, rows, columns = (size[0] if size else "1" for size in sizes)
    return stack, rows, columns


def words(shape: Shape) -> str:
    """A shape for messages."""
    return "a number" if shape == NUMBER else " x ".join(["[" + shape[1], shape[2] + "]"])


def _same(x: Known, *_: Known) -> Known:
    return x


def _square(x: Known, *_: Known) -> Known:
    if x is not None and x[1] != x[2]:
        raise FormulaError(f"needs a square matrix, and was given {words(x)}")
    return x


def _product(a: Known, b: Known) -> Known:
    if a is None or b is None:
        return None if a == b else a if b is None else b  # a factor that nothing is known of is taken for square
    if a[2] != b[1]:
        raise FormulaError(f"the matrix product of {words(a)} and {words(b)}: columns and rows differ")
    return "1", a[1], b[2]


def _turned(x: Known) -> Known:
    return x and ("1", x[2], x[1])


def _diagonal(x: Known) -> Known:
    found = _square(x)
    return found and ("1", found[1], "1")


def _permutation(x: Known) -> Known:
    if x is not None and x[2] != "1":
        raise FormulaError(f"needs one number for each row, and was given {words(x)}")
    return x and ("1", x[1], x[1])


def _solution(a: Known, b: Known) -> Known:
    _square(a)
    return b


def _overall(x: Known) -> Known:
    if x is not None and x != NUMBER:
        raise FormulaError(f"overall() adds up one number of each tensor, and was given {words(x)}")
    return NUMBER


def _number(*_: Known) -> Known:
    return NUMBER


# Operations whose result is not as large as their arguments together.
RULES: dict[str, Callable[..., Known]] = {
    **dict.fromkeys(("norm", "mean", "sum", "rows", "columns", "spectral_bound"), _number),
    **dict.fromkeys(("row_mean", "row_max"), lambda x: x and (x[0], x[1], "1")),
    **dict.fromkeys(("column_mean", "column_max"), lambda x: x and (x[0], "1", x[2])),
    **dict.fromkeys(("newton_schulz", "noise"), _same),
    **dict.fromkeys(("identity", "qr", "eigenvectors", "inverse_root", "upper_triangle"), _square),
    "overall": _overall,
    "matmul": _product,
    "transpose": _turned,
    "diagonal": _diagonal,
    "permutation": _permutation,
    "solve": _solution,
}


def along(x: Known, dim: float) -> Known:
    """The shape of a mean along the last dimension, -1, or the one before, -2."""
    if dim not in (-1, -2):
        raise FormulaError(f"mean(x, {dim:g}): means along a dimension are along -1, the last one, or -2")
    return x and ((x[0], x[1], "1") if dim == -1 else (x[0], "1", x[2]))


def result(op: str, shapes: Sequence[Known], text: Callable[[], str]) -> Known:
    """The shape of an operation's result. Raises FormulaError, with the expression, for shapes that do not fit."""
    try:
        return RULES.get(op, together)(*shapes)
    except FormulaError as error:
        raise FormulaError(f"`{text()}`: {error}") from None


def sizes(shape: Shape, of: Sequence[int]) -> tuple[int, ...]:
    """The size in memory of a value of a parameter of a size: what is as large in one direction keeps the parameter's
    dimensions, so that the two can be combined."""
    of = tuple(of)
    if shape == NUMBER:
        return ()
    if shape[0] != "1" or shape in (MATRIX, STACK):
        matrix = [n if size != "1" else 1 for n, size in zip((of[-2:] if len(of) > 1 else (*of, 1)), shape[1:])]
        return of if shape[1:] == MATRIX[1:] else (*of[:-2], *(matrix if len(of) > 1 else matrix[: len(of)]))
    if shape == ("1", "rows", "1"):
        return tuple(n if i == 0 else 1 for i, n in enumerate(of))
    if shape == ("1", "1", "columns"):
        return tuple(1 if i == 0 else n for i, n in enumerate(of))
    names = {"1": 1, "rows": of[0] if of else 1, "columns": prod(of[1:])}
    return names[shape[1]], names[shape[2]]
