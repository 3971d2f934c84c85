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
    tensor: Callable[..., torch.Tensor]
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
