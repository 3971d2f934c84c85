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


def newton_schulz(x: torch.Tensor, a: Any, b: Any, c: Any, steps: Any, eps: Any) -> torch.Tensor:
    """Jordan et al. 2024: `steps` times X <- aX + (bA + cA²)X with A = XXᵀ, from the matrix x over its Frobenius norm.

    The first dimension gives the rows, all others together the columns; leading batches go through `torch.vmap`."""
    matrix = x.flatten(1)
    wide = matrix.mT if matrix.shape[0] > matrix.shape[1] else matrix
    wide = wide / torch.linalg.matrix_norm(wide).clamp(min=eps)
    for _ in range(int(steps)):
        gram = wide @ wide.mT
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return (wide.mT if matrix.shape[0] > matrix.shape[1] else wide).reshape(x.shape)


def _of_one(x: Any, *numbers: Any) -> float:
    return float(newton_schulz(torch.tensor([[x]], dtype=torch.float64), *numbers))


# What needs all elements of a tensor before it has one of its result. The first argument is the tensor; others are
# numbers.
WHOLE: dict[str, Op] = {
    "norm": Op(1, "norm({})", torch.linalg.vector_norm, np.abs),
    "mean": Op(1, "mean({})", torch.mean, lambda x: x),
    "rows": Op(1, "rows({})", lambda x: float(x.shape[0]) if x.ndim else 1.0, lambda x: 1.0),
    "columns": Op(1, "columns({})", lambda x: x.numel() / x.shape[0] if x.ndim else 1.0, lambda x: 1.0),
    "newton_schulz": Op(6, "newton_schulz({}, ({}, {}, {}), {}, {})", newton_schulz, _of_one),
}
ONE_NUMBER = frozenset({"norm", "mean", "rows", "columns"})  # whose result is one number for a tensor
OF_SHAPE = frozenset({"rows", "columns"})  # known before the first element is read

EVERY = OPS | WHOLE
