"""Sections: what runs on whole tensors between two passes, as far as it is needed, one call for all tensors of a size.

A section is evaluated for all of its parameters together, node by node, from its results down. A `where` on a number
goes down one branch alone, so that what is to happen in every tenth step costs nothing in the others. Products,
decompositions and Newton-Schulz iterations of equal sizes run as one stacked call; parameters that processes share are
gathered first, so that every process has the same rows, columns and factors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..compiler.graph import Node, walk
from ..compiler.ops import EVERY, STACKED, flat
from ..compiler.plan import Plan
from ..compiler.shapes import STACK
from . import sharding

STACK_VALUES = 1 << 24  # of a stacked call: beyond that a copy costs more than calls do


NEW = "new."  # before the names of states whose new values wait: until the end of the step the old ones are read


@dataclass
class Job:
    """The section of one parameter: the tensors and the numbers that it may read by name, and where its results go."""

    plan: Plan  # the pass after which it runs
    param: torch.Tensor
    tensors: Mapping[str, torch.Tensor]
    scalars: Mapping[str, float]
    numbers: dict[str, float]
    parts: dict[str, torch.Tensor]  # what is smaller than the parameter, and the new values of states
    scratch: Mapping[str, torch.Tensor]


def run(jobs: Sequence[Job]) -> None:
    """Evaluate the sections after a pass. Numbers go to `numbers`; the new values of states wait among the parts."""
    evaluation = _Evaluation(jobs)
    with np.errstate(all="ignore"):
        for plan in dict.fromkeys(job.plan for job in jobs):
            who = [i for i, job in enumerate(jobs) if job.plan is plan]
            for name, n in plan.section.items():
                for i, value in zip(who, evaluation.values(n, who)):
                    _put(jobs[i], name, value)


def _put(job: Job, name: str, value: Any) -> None:
    if name.startswith("number."):
        job.numbers[name] = float(value)
    elif name in job.scratch:
        job.scratch[name].copy_(sharding.share(_sized(value, job), job.param))
    else:
        job.parts[NEW + name if name in job.plan.kept else name] = value


def _sized(value: Any, job: Job) -> torch.Tensor:
    """A value as large as the parameter."""
    shape = job.param.shape
    if not isinstance(value, torch.Tensor):
        return torch.full(shape, float(value), device=job.param.device)
    if job.plan.graph.whole_shape is STACK:
        return value.expand(shape)
    rows = shape[0] if shape else 1
    return value.expand(rows, job.param.numel() // max(rows, 1)).reshape(shape)


def commit(state: Mapping[str, Any], parts: dict[str, Any], kept: Iterable[str]) -> None:
    """The states of other shapes get their new values, at the end of a step."""
    for name in kept:
        new = parts[NEW + name]
        if isinstance(new, torch.Tensor):
            state[name].copy_(new.reshape(state[name].shape))
        else:
            state[name].fill_(new)
    parts.clear()


class _Evaluation:
    """The values of nodes for parameters, each computed once."""

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = jobs
        self.known: dict[Node, dict[int, Any]] = {}
        self.totals: dict[tuple[str, int], float] = {}

    def values(self, n: Node, who: Sequence[int]) -> list[Any]:
        """A node's value for each of some parameters."""
        if n.op == "const":
            return [n.value] * len(who)
        known = self.known.setdefault(n, {})
        missing = [i for i in who if i not in known]
        if missing:
            known.update(zip(missing, self._compute(n, missing)))
        return [known[i] for i in who]

    def _compute(self, n: Node, who: list[int]) -> list[Any]:
        if n.op == "scalar":
            return [self.jobs[i].scalars[n.value] for i in who]  # type: ignore[index]
        if n.op == "tensor":
            return [self._leaf(self.jobs[i], str(n.value)) for i in who]
        if n.op == "overall":
            return [self._total(n, i) for i in who]
        if n.op == "where":
            conditions = self.values(n.args[0], who)
            if not any(isinstance(c, torch.Tensor) for c in conditions):
                yes = [i for i, c in zip(who, conditions) if c]
                no = [i for i, c in zip(who, conditions) if not c]
                chosen = dict(zip(yes, self.values(n.args[1], yes))) | dict(zip(no, self.values(n.args[2], no)))
                return [chosen[i] for i in who]
        columns = [self.values(a, who) for a in n.args]
        if n.op in STACKED:
            return stacked(n.op, [*zip(*columns)])
        return [_apply(n.op, args) for args in zip(*columns)]

    def _leaf(self, job: Job, name: str) -> torch.Tensor:
        """A tensor as the section sees it: whole, and a matrix, but where the formula speaks of dimensions."""
        if name in job.parts:
            return job.parts[name]
        tensor = job.tensors[name]
        if name not in job.plan.kept:
            tensor = sharding.gathered(tensor, job.param)
        return tensor if job.plan.graph.whole_shape is STACK else flat(tensor)

    def _total(self, n: Node, i: int) -> float:
        """The sum of a number over all parameters that follow a formula: that of its place in the formula, as the
        formula may stand in several plans, with and without weight decay."""
        key = (self.jobs[i].plan.graph.name, _place(self.jobs[i].plan, n))
        if key not in self.totals:
            total = 0.0
            for plan in dict.fromkeys(job.plan for job in self.jobs if job.plan.graph.name == key[0]):
                who = [k for k, job in enumerate(self.jobs) if job.plan is plan]
                total += sum(map(float, self.values(_sums(plan)[key[1]].args[0], who)))
            self.totals[key] = total
        return self.totals[key]


def _sums(plan: Plan) -> list[Node]:
    return [n for n in walk(plan.section.values()) if n.op == "overall"]


def _place(plan: Plan, n: Node) -> int:
    return _sums(plan).index(n)


def _apply(op: str, args: Sequence[Any]) -> Any:
    if any(isinstance(a, torch.Tensor) for a in args):
        if op == "where":
            like = next(a for a in args[1:] if isinstance(a, torch.Tensor))
            args = [args[0], *(a if isinstance(a, torch.Tensor) else like.new_tensor(a) for a in args[1:])]
        result = EVERY[op].tensor(*args)
        if op in REDUCED:  # in double, as in the passes
            return float(REDUCED[op](args[0]))
        return result
    result = EVERY[op].number(*(np.float64(a) if type(a) is float else a for a in args))
    return bool(result) if isinstance(result, bool | np.bool_) else float(result)


REDUCED = {
    "norm": lambda x: torch.linalg.vector_norm(x, dtype=torch.float64),
    "mean": lambda x: x.mean(dtype=torch.float64),
    "sum": lambda x: x.sum(dtype=torch.float64),
    "spectral_bound": EVERY["spectral_bound"].tensor,
    "rows": EVERY["rows"].tensor,
    "columns": EVERY["columns"].tensor,
}


def stacked(op: str, rows: list[tuple[Any, ...]]) -> list[Any]:
    """An operation on matrices for several parameters: one call for those of equal sizes and numbers."""
    results: list[Any] = [None] * len(rows)
    groups: dict[Any, list[int]] = {}
    for i, args in enumerate(rows):
        if not any(isinstance(a, torch.Tensor) for a in args):
            results[i] = EVERY[op].number(*args)
        else:
            key = tuple((a.shape, a.dtype, a.device) if isinstance(a, torch.Tensor) else a for a in args)
            groups.setdefault(key, []).append(i)
    for places in groups.values():
        size = max(a.numel() for a in rows[places[0]] if isinstance(a, torch.Tensor))
        at_once = max(1, STACK_VALUES // max(size, 1))
        for start in range(0, len(places), at_once):
            part = places[start : start + at_once]
            columns = [*zip(*(rows[i] for i in part))]
            many = len(part) > 1
            given = [torch.stack(c) if many and isinstance(c[0], torch.Tensor) else c[0] for c in columns]
            result = STACKED[op](*given)
            for i, one in zip(part, result.unbind() if many else [result]):
                results[i] = one
    return results
