"""Operations on whole tensors, between the passes over elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..compiler.cut import Call
from ..compiler.ops import WHOLE, flat
from . import sharding
from .sections import stacked
from .sharding import local


class Job(NamedTuple):
    """A call for one parameter: the tensor it is about, or the part of it that lies here; the values of its numbers;
    and where to put its result, a tensor or the dictionary of the parameter's numbers."""

    call: Call
    param: torch.Tensor
    source: torch.Tensor
    numbers: tuple[float, ...]
    into: dict[str, Any]


def run(jobs: Sequence[Job]) -> None:
    """Run the calls after a pass."""
    reduced = [job for job in jobs if job.call.op in SUMS]
    for key in dict.fromkeys(sharding.key(job.param) for job in reduced):  # one collective for all of a kind
        of_key = [job for job in reduced if sharding.key(job.param) == key]
        sums = sharding.reduce_by_key([SUMS[job.call.op](job.source) for job in of_key], key)
        for job, total in zip(of_key, sums):
            job.into[job.call.result] = FINISH[job.call.op](total, job.param)
    matrices = [job for job in jobs if job.call.op not in SUMS]
    for op in dict.fromkeys(job.call.op for job in matrices):  # one call for all matrices of a size
        of_op = [job for job in matrices if job.call.op == op]
        full = [sharding.gathered(job.source, job.param) for job in of_op]
        results = stacked(op, [(flat(whole), *job.numbers) for whole, job in zip(full, of_op)])
        for job, whole, result in zip(of_op, full, results):
            job.into[job.call.result].copy_(sharding.share(result.reshape(whole.shape), job.param))


def _squares(t: torch.Tensor) -> float:
    return float(torch.linalg.vector_norm(t, dtype=torch.float64)) ** 2


# A number for a tensor: what the parts of it add up to, and what becomes of the sum. In double.
SUMS = dict.fromkeys(("mean", "sum"), lambda t: float(t.sum(dtype=torch.float64))) | {"norm": _squares}
FINISH = {
    "sum": lambda total, param: total,
    "norm": lambda total, param: total**0.5,
    "mean": lambda total, param: total / param.numel() if param.numel() else float("nan"),
}


def shape_numbers(param: torch.Tensor) -> dict[str, float]:
    """What is known of a parameter before its first element is read; of one that is shared, of all of it."""
    return {name: WHOLE[name].tensor(param) for name in ("rows", "columns")}  # type: ignore[misc]


def scratch(param: torch.Tensor, names: Sequence[str], low: Sequence[torch.dtype]) -> dict[str, torch.Tensor]:
    """Memory that one pass fills for the next, laid out as the parameter, at least in float32."""
    here = local(param).detach()
    dtype = torch.float32 if here.dtype in low else here.dtype
    return {name: torch.empty_like(here, dtype=dtype) for name in names}
