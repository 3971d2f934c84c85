"""The operations: what each means on tensors and on numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch


class Op(NamedTuple):
    """What an operation means on tensors and on numbers, and how it is written."""

    arity: int
    text: str  # as Python writes it
    tensor: Callable[..., Any]
    number: Callable[..., Any]  # on numpy's float64, with IEEE results where Python's float would raise


def _as_tensors(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    """torch functions that take no Python numbers beside a tensor get them as tensors of its kind."""

    def call(*args: Any) -> torch.Tensor:
        like = next(a for a in args if isinstance(a, torch.Tensor))
        return function(*(a if isinstance(a, torch.Tensor) else like.new_tensor(a) for a in args))

    return call


def _where_tensor(condition: Any, yes: Any, no: Any) -> Any:
    if not isinstance(condition, torch.Tensor):
        return yes if condition else no
    if not isinstance(yes, torch.Tensor) and not isinstance(no, torch.Tensor):
        yes = torch.tensor(yes, dtype=torch.float64, device=condition.device)  # no other tensor says how precise to be
    return torch.where(condition, yes, no)


OPS: dict[str, Op] = {
    "add": Op(2, "({} + {})", operator.add, operator.add),
    "sub": Op(2, "({} - {})", operator.sub, operator.sub),
    "mul": Op(2, "({} * {})", operator.mul, operator.mul),
    "div": Op(2, "({} / {})", operator.truediv, operator.truediv),
    "pow": Op(2, "({} ** {})", operator.pow, operator.pow),
    "neg": Op(1, "(-{})", operator.neg, operator.neg),
    "abs": Op(1, "abs({})", torch.abs, np.abs),
    "sign": Op(1, "sign({})", torch.sign, lambda x: float(x > 0) - float(x < 0)),  # torch: the sign of nan is 0
    "sqrt": Op(1, "sqrt({})", torch.sqrt, np.sqrt),
    "exp": Op(1, "exp({})", torch.exp, np.exp),
    "log": Op(1, "log({})", torch.log, np.log),
    "tanh": Op(1, "tanh({})", torch.tanh, np.tanh),
    "sin": Op(1, "sin({})", torch.sin, np.sin),
    "cos": Op(1, "cos({})", torch.cos, np.cos),
    "floor": Op(1, "floor({})", torch.floor, np.floor),
    "atan2": Op(2, "atan2({}, {})", _as_tensors(torch.atan2), np.arctan2),
    "maximum": Op(2, "maximum({}, {})", _as_tensors(torch.maximum), np.maximum),
    "minimum": Op(2, "minimum({}, {})", _as_tensors(torch.minimum), np.minimum),
    "lt": Op(2, "({} < {})", operator.lt, operator.lt),
    "le": Op(2, "({} <= {})", operator.le, operator.le),
    "gt": Op(2, "({} > {})", operator.gt, operator.gt),
    "ge": Op(2, "({} >= {})", operator.ge, operator.ge),
    "eq": Op(2, "({} == {})", operator.eq, operator.eq),
    "ne": Op(2, "({} != {})", operator.ne, operator.ne),
    "and": Op(2, "({} & {})", operator.and_, operator.and_),
    "or": Op(2, "({} | {})", operator.or_, operator.or_),
    "not": Op(1, "(~{})", torch.logical_not, operator.not_),
    "isfinite": Op(1, "isfinite({})", torch.isfinite, np.isfinite),
    "where": Op(3, "where({}, {}, {})", _where_tensor, lambda condition, yes, no: yes if condition else no),
}

# Operations whose value is true or false.
CONDITIONS = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "isfinite"})

# Whole tensors

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonal(x: torch.Tensor, a: Any, b: Any, c: Any, steps: Any, eps: Any) -> torch.Tensor:
    """Jordan et al. 2024, of a matrix or a stack of them: `steps` times X <- aX + (bA + cA²)X with A = XXᵀ, from the
    matrix x over its Frobenius norm."""
    tall = x.shape[-2] > x.shape[-1]
    wide = x.mT if tall else x
    wide = wide / torch.linalg.matrix_norm(wide, keepdim=True).clamp(min=eps)
    multiply = torch.addmm if x.ndim == 2 else torch.baddbmm
    for _ in range(int(steps)):
        gram = wide @ wide.mT
        wide = multiply(wide, multiply(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide.mT if tall else wide


def _of_one(x: Any, *numbers: Any) -> float:
    return float(orthogonal(torch.tensor([[x]], dtype=torch.float64), *numbers))


def inverse_root(x: torch.Tensor, power: Any) -> torch.Tensor:
    """A symmetric matrix, or a stack of them, to the power -1/power; what is beneath the rounding of its largest
    eigenvalue counts as that."""
    values, vectors = torch.linalg.eigh(x)
    least = values.amax(-1, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny) * torch.finfo(x.dtype).eps
    return (vectors * torch.maximum(values, least).unsqueeze(-2) ** (-1 / power)) @ vectors.mT


def permutation(x: torch.Tensor) -> torch.Tensor:
    """The matrix, or the stack of them, whose product with others puts their columns into falling order of x."""
    order = x.squeeze(-1).argsort(dim=-1, descending=True, stable=True)
    return torch.nn.functional.one_hot(order, x.shape[-2]).to(x.dtype).mT


def spectral_bound(x: torch.Tensor) -> torch.Tensor:
    """A lower bound of a matrix's largest singular value, near it: one step of the power method from its longest
    column, as in Li's psgd_torch. Of a stack: one number, on two dimensions, for each."""
    size = x.abs().amax((-2, -1), keepdim=True)
    scaled = x / torch.where(size > 0, size, 1)
    longest = scaled.square().sum(-2, keepdim=True).argmax(-1, keepdim=True)
    column = scaled.gather(-1, longest.expand(*scaled.shape[:-1], 1))
    row = column.mT @ scaled
    length = torch.linalg.vector_norm(row, dim=(-2, -1), keepdim=True)
    row = row / torch.where(length > 0, length, 1)
    return size * torch.linalg.vector_norm(row @ scaled.mT, dim=(-2, -1), keepdim=True)


def noise(x: torch.Tensor, t: Any) -> torch.Tensor:
    """Standard normal numbers, the same for the same count t and shape, in every process and after a resume."""
    generator = torch.Generator().manual_seed(int(t))
    return torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x)


def _identity(x: torch.Tensor) -> torch.Tensor:
    return torch.eye(x.shape[-1], dtype=x.dtype, device=x.device).expand(x.shape)


def flat(x: torch.Tensor) -> torch.Tensor:
    """A tensor as a matrix: all dimensions but the first are its columns."""
    return x if x.ndim == 2 else x.flatten(1) if x.ndim > 2 else x.reshape(-1, 1)


def _like_matrix(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda x, *rest: function(flat(x), *rest).reshape(x.shape)


def matmul(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """The product of two tensors as matrices, with the dimensions of the one that has more than two."""
    product = flat(a) @ flat(b)
    if b.ndim != 2:
        return product.reshape(len(product), *b.shape[1:])
    return product.reshape(a.shape) if a.ndim != 2 and product.numel() == a.numel() else product


def _like_second(function: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    return lambda a, b: function(a, flat(b)).reshape(b.shape)


def _over(function: Callable[..., torch.Tensor], rows: bool) -> Callable[[torch.Tensor], torch.Tensor]:
    """A reduction over the columns, which leaves the rows, or over the rows; the dimensions stay."""

    def call(x: torch.Tensor) -> torch.Tensor:
        dims = tuple(range(1, x.ndim)) if rows else (0,) * (x.ndim > 0)
        return function(x, dim=dims, keepdim=True) if dims else x

    return call


def mean_along(x: torch.Tensor, dim: Any) -> torch.Tensor:
    """The mean along the last dimension, -1, or the one before; a vector has one column."""
    dim = int(dim)
    if x.ndim + dim < 0 or x.ndim < 2:
        return x if dim == -1 or x.ndim == 0 else x.mean(0, keepdim=True)
    return x.mean(dim, keepdim=True)


# What needs all elements of a tensor before it has one of its result. The first argument is the tensor; others are
# numbers, but for products and solutions.
WHOLE: dict[str, Op] = {
    "norm": Op(1, "norm({})", torch.linalg.vector_norm, np.abs),
    "mean": Op(1, "mean({})", torch.mean, lambda x: x),
    "sum": Op(1, "sum({})", torch.sum, lambda x: x),
    "rows": Op(1, "rows({})", lambda x: float(x.shape[0]) if x.ndim else 1.0, lambda x: 1.0),
    "columns": Op(1, "columns({})", lambda x: x.numel() / x.shape[0] if x.ndim else 1.0, lambda x: 1.0),
    "newton_schulz": Op(6, "newton_schulz({}, ({}, {}, {}), {}, {})", _like_matrix(orthogonal), _of_one),
    "mean_along": Op(2, "mean({}, {})", mean_along, lambda x, dim: x),
    "row_mean": Op(1, "row_mean({})", _over(torch.mean, rows=True), lambda x: x),
    "column_mean": Op(1, "column_mean({})", _over(torch.mean, rows=False), lambda x: x),
    "row_max": Op(1, "row_max({})", _over(torch.amax, rows=True), lambda x: x),
    "column_max": Op(1, "column_max({})", _over(torch.amax, rows=False), lambda x: x),
    "overall": Op(1, "overall({})", lambda x: x, lambda x: x),  # of one tensor
    "spread": Op(1, "{}", lambda x: x, lambda x: x),  # as large as the parameter, which torch makes of it by itself
    "matmul": Op(2, "({} @ {})", matmul, operator.mul),
    "transpose": Op(1, "transpose({})", lambda x: flat(x).mT, lambda x: x),
    "identity": Op(1, "identity({})", _identity, lambda x: 1.0),
    "upper_triangle": Op(1, "upper_triangle({})", torch.triu, lambda x: x),
    "diagonal": Op(1, "diagonal({})", lambda x: x.diagonal(dim1=-2, dim2=-1).unsqueeze(-1), lambda x: x),
    "permutation": Op(1, "permutation({})", permutation, lambda x: 1.0),
    "qr": Op(1, "qr({})", lambda x: torch.linalg.qr(x)[0], lambda x: 1.0),
    "eigenvectors": Op(1, "eigenvectors({})", lambda x: torch.linalg.eigh(x)[1].flip(-1), lambda x: 1.0),
    "inverse_root": Op(2, "inverse_root({}, {})", inverse_root, lambda x, power: x ** (-1 / power)),
    "solve": Op(2, "solve({}, {})", _like_second(torch.linalg.solve), lambda a, b: b / a),
    "spectral_bound": Op(1, "spectral_bound({})", lambda x: spectral_bound(x).squeeze(), np.abs),
    "noise": Op(2, "noise({}, {})", noise, lambda x, t: float(noise(torch.tensor(x), t))),
}
ONE_NUMBER = frozenset({"norm", "mean", "sum", "rows", "columns", "overall", "spectral_bound"})  # one for a tensor
OF_SHAPE = frozenset({"rows", "columns"})  # known before the first element is read
# Those that run alone between two passes, from one stored tensor.
ALONE = frozenset({"norm", "mean", "sum", "newton_schulz"})
# Those with a meaning for matrices alone, and the costly ones of them, as functions of stacks: one call for all
# parameters of one size.
STACKED: dict[str, Callable[..., torch.Tensor]] = {
    "newton_schulz": orthogonal,
    "matmul": torch.matmul,
    "qr": WHOLE["qr"].tensor,
    "eigenvectors": WHOLE["eigenvectors"].tensor,
    "inverse_root": inverse_root,
    "solve": torch.linalg.solve,
}
MATRICES = STACKED.keys() | {"transpose", "identity", "upper_triangle", "diagonal", "permutation", "spectral_bound"}

EVERY = OPS | WHOLE
