"""What a formula may use: symbols with Python's operators, and functions that take symbols, tensors or numbers.

Because the functions also take tensors and numbers, a formula can be called directly, in a notebook or a test.
"""

from __future__ import annotations

import numbers
from typing import Any, NoReturn

import numpy as np
import torch

from ..errors import FormulaError
from .graph import Node, const, node, text
from .ops import COEFFICIENTS, CONDITIONS, EVERY, STEPS


class Symbol:
    """A value that is not known yet: what a formula is called with when it is traced."""

    __slots__ = ("node",)

    def __init__(self, node: Node):
        self.node = node

    def __repr__(self) -> str:
        return text(self.node)

    def _refuse(self, *_: Any) -> NoReturn:
        raise FormulaError(
            f"the value of `{self!r}` is not known while the formula is traced, so it cannot be used with `if`, "
            "`and`, `or`, `not`, `while`, min(), max(), float() or the math module; write where(condition, a, b), "
            "maximum(a, b), `&`, `|`, `~`, or a function from downslope such as downslope.sqrt"
        )

    __bool__ = __float__ = __int__ = __index__ = __iter__ = __len__ = _refuse

    def _refuse_library(self, function: Any, *_: Any, **__: Any) -> NoReturn:
        name = getattr(function, "__name__", str(function))
        hint = f"downslope.{name}" if name in FUNCTIONS else f"the functions from downslope: {', '.join(FUNCTIONS)}"
        raise FormulaError(f"`{name}` of another library cannot take a traced value; use {hint}")

    __array_ufunc__ = _refuse_library

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:
        cls._refuse_library(None, function)  # type: ignore[arg-type]

    @property
    def T(self) -> Any:
        """The matrix with rows and columns exchanged."""
        return transpose(self)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)
        raise FormulaError(
            f"`.{name}` on `{self!r}`: a formula is element-wise mathematics on values, without tensor methods or "
            f"attributes; write it with + - * / ** and the functions from downslope: {', '.join(FUNCTIONS)}"
        )

    def __getitem__(self, index: Any) -> NoReturn:
        raise FormulaError(f"`{self!r}[{index!r}]`: a formula is element-wise, a value has no parts to index")

    __hash__ = None  # type: ignore[assignment]


def _node(value: Any) -> Node:
    if isinstance(value, Symbol):
        return value.node
    if isinstance(value, numbers.Real | np.bool_):
        return const(float(value))
    raise FormulaError(
        f"a formula computes with numbers and the values it is given, not with {type(value).__name__} `{value!r}`"
    )


def apply(op: str, *args: Any) -> Any:
    """The operation on symbols (gives a symbol), tensors (a tensor) or numbers (a number)."""
    if any(isinstance(a, Symbol) for a in args):
        return Symbol(node(op, *map(_node, args)))
    if any(isinstance(a, torch.Tensor) for a in args):
        return EVERY[op].tensor(*args)
    return EVERY[op].number(*(np.float64(a) if isinstance(a, float) else a for a in args))


def _operators() -> None:
    reflected = {"add", "sub", "mul", "div", "pow", "and", "or", "matmul"}
    dunder = {"div": "truediv", "not": "invert"}
    binary = ("add", "sub", "mul", "div", "pow", "and", "or", "lt", "le", "gt", "ge", "eq", "ne", "matmul")
    for op in (*binary, "neg", "abs", "not"):
        name = dunder.get(op, op)
        setattr(Symbol, f"__{name}__", lambda *a, op=op: apply(op, *a))
        if op in reflected:
            setattr(Symbol, f"__r{name}__", lambda a, b, op=op: apply(op, b, a))
    setattr(Symbol, "__mod__", lambda a, b: apply("sub", a, floor(a / b) * b))  # noqa: B010
    setattr(Symbol, "__rmod__", lambda a, b: apply("sub", b, floor(b / a) * a))  # noqa: B010


_operators()


def sqrt(x: Any) -> Any:
    """The square root, element by element."""
    return apply("sqrt", x)


def exp(x: Any) -> Any:
    """e to the power of x, element by element."""
    return apply("exp", x)


def log(x: Any) -> Any:
    """The natural logarithm, element by element."""
    return apply("log", x)


def tanh(x: Any) -> Any:
    """The hyperbolic tangent, element by element."""
    return apply("tanh", x)


def sin(x: Any) -> Any:
    """The sine, element by element."""
    return apply("sin", x)


def cos(x: Any) -> Any:
    """The cosine, element by element."""
    return apply("cos", x)


def atan2(y: Any, x: Any) -> Any:
    """The angle of the point (x, y), in (-pi, pi]."""
    return apply("atan2", y, x)


def floor(x: Any) -> Any:
    """The largest whole number not above x."""
    return apply("floor", x)


def abs(x: Any) -> Any:
    """The absolute value; Python's own abs() works as well."""
    return apply("abs", x)


def sign(x: Any) -> Any:
    """-1, 0 or 1; the sign of nan is 0, as in torch."""
    return apply("sign", x)


def maximum(a: Any, b: Any) -> Any:
    """The larger of two values; nan if either is nan."""
    return apply("maximum", a, b)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of two values; nan if either is nan."""
    return apply("minimum", a, b)


def clip(x: Any, low: Any, high: Any) -> Any:
    """x, or the bound that it is beyond."""
    return minimum(maximum(x, low), high)


def isfinite(x: Any) -> Any:
    """True where x is neither infinite nor nan."""
    return apply("isfinite", x)


def where(condition: Any, yes: Any, no: Any) -> Any:
    """`yes` where the condition holds, `no` elsewhere: what a formula writes instead of `if`."""
    if isinstance(condition, Symbol) and condition.node.op not in CONDITIONS:
        raise FormulaError(
            f"where({condition!r}, ...): the first argument must be a comparison, such as `t == 1` or `x > 0`"
        )
    return apply("where", condition, yes, no)


def norm(x: Any) -> Any:
    """The Euclidean norm of the whole tensor: one number. Costs another read of x."""
    return apply("norm", x)


def mean(x: Any, dim: int | None = None) -> Any:
    """The mean over the whole tensor: one number. Costs another read of x.

    With dim=-1 or dim=-2 along that dimension alone, which stays with a size of 1, as torch's with keepdim=True; a
    vector is a matrix of one column. A formula that has such means sees the last two dimensions as the matrix."""
    return apply("mean", x) if dim is None else apply("mean_along", x, dim)


def sum(x: Any) -> Any:
    """The sum over the whole tensor: one number. Costs another read of x."""
    return apply("sum", x)


def overall(x: Any) -> Any:
    """The sum of a number over all tensors of the optimizer that follow the formula and have a gradient."""
    return apply("overall", x)


def row_mean(x: Any) -> Any:
    """The mean of each row: one column. All dimensions but the first are the columns; a vector has one."""
    return apply("row_mean", x)


def column_mean(x: Any) -> Any:
    """The mean of each column: one row. All dimensions but the first are the columns; a vector has one."""
    return apply("column_mean", x)


def row_max(x: Any) -> Any:
    """The largest value of each row: one column."""
    return apply("row_max", x)


def column_max(x: Any) -> Any:
    """The largest value of each column: one row."""
    return apply("column_max", x)


def rows(x: Any) -> Any:
    """How many rows the tensor has as a matrix: the length of its first dimension."""
    return apply("rows", x)


def columns(x: Any) -> Any:
    """How many columns the tensor has as a matrix: the product of all dimensions but the first."""
    return apply("columns", x)


def newton_schulz(x: Any, coefficients: Any = COEFFICIENTS, steps: Any = STEPS, eps: Any = 1e-7) -> Any:
    """The matrix with its singular values pulled towards one (Jordan et al. 2024): UVᵀ, roughly, where x is USVᵀ.

    `steps` times X <- aX + (bA + cA²)X with A = XXᵀ, from x over its norm (at least eps); the defaults are theirs. All
    dimensions but the first are the columns. Costs 4 rows² columns + 2 rows³ operations a step, rows the shorter side.
    """
    return apply("newton_schulz", x, *coefficients, steps, eps)


def transpose(x: Any) -> Any:
    """The matrix with rows and columns exchanged; a formula may write x.T. Products are written a @ b."""
    return apply("transpose", x)


def identity(x: Any) -> Any:
    """The identity matrix as large as the square matrix x."""
    return apply("identity", x)


def upper_triangle(x: Any) -> Any:
    """The square matrix with zeros beneath its diagonal."""
    return apply("upper_triangle", x)


def diagonal(x: Any) -> Any:
    """The diagonal of a square matrix, as one column."""
    return apply("diagonal", x)


def permutation(x: Any) -> Any:
    """The matrix P that sorts: y @ P has the columns of y in falling order of x, which is one number for each."""
    return apply("permutation", x)


def qr(x: Any) -> Any:
    """The orthogonal factor of a square matrix (torch.linalg.qr)."""
    return apply("qr", x)


def eigenvectors(x: Any) -> Any:
    """The eigenvectors of a symmetric matrix as columns, that of the largest eigenvalue first (torch.linalg.eigh)."""
    return apply("eigenvectors", x)


def inverse_root(x: Any, power: Any) -> Any:
    """A symmetric matrix to the power -1/power. Eigenvalues beneath the rounding of the largest count as that."""
    return apply("inverse_root", x, power)


def solve(a: Any, b: Any) -> Any:
    """The matrix x for which a @ x is b."""
    return apply("solve", a, b)


def spectral_bound(x: Any) -> Any:
    """A lower bound, near it, of the largest singular value of a square matrix, at the cost of two products with a
    vector (Li's psgd_torch)."""
    return apply("spectral_bound", x)


def noise(x: Any, t: Any) -> Any:
    """Standard normal numbers of the shape of x, the same ones whenever the count t is the same."""
    return apply("noise", x, t)


FUNCTIONS = {
    f.__name__: f
    for f in (
        sqrt,
        exp,
        log,
        tanh,
        sin,
        cos,
        atan2,
        floor,
        abs,
        sign,
        maximum,
        minimum,
        clip,
        isfinite,
        where,
        norm,
        mean,
        rows,
        columns,
        newton_schulz,
        sum,
        overall,
        row_mean,
        column_mean,
        row_max,
        column_max,
        transpose,
        identity,
        upper_triangle,
        diagonal,
        permutation,
        qr,
        eigenvectors,
        inverse_root,
        solve,
        spectral_bound,
        noise,
    )
}
