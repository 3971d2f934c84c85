"""Parameters, gradients and states -> rows of addresses for one native call."""

from __future__ import annotations

from collections.abc import Collection
from operator import attrgetter, is_, itemgetter
from typing import Any

import numpy as np
import torch

from ..backends import cpu
from ..backends.llvm import HEAD, KEY, NORM, SLOTS, UPDATE
from ..backends.storage import STORAGES, Kept, beside_of, name_of, row_keys
from ..compiler.plan import Plan
from .sharding import address, is_shared, local, local_gradient

DATA_PTR = torch.Tensor.data_ptr
NBYTES = attrgetter("nbytes")
PLAIN = (torch.Tensor, torch.nn.Parameter)


class Table:
    """The rows of the parameters that compiled kernels update: fixed addresses of parameters and states, and in every
    step the new addresses of the gradients."""

    def __init__(
        self,
        params: list[torch.Tensor],
        states: list[dict[str, Any]],
        plans: list[Plan],
        kepts: list[Kept],
        lines: np.ndarray,
        places: np.ndarray,
    ):
        """`kepts[i]` is how the tensors of row i are kept, `lines[i]` the address of the slots' values, `places[i]` the
        parameter's place in the optimizer."""
        self.params, self.states = params, states
        self._address = address if any(map(is_shared, params)) else DATA_PTR
        self._locals = [*map(local, params)]
        self.changed = params if self._address is DATA_PTR else [*params, *self._locals]  # what autograd hears of
        tensors = [[*plan.tensors, *beside_of(plan.tensors, kept)] for plan, kept in zip(plans, kepts)]
        width = max(map(len, tensors), default=2)
        self.rows = np.zeros((len(params), HEAD + width), dtype=np.int64)
        for row, param, plan, kept in zip(self.rows, params, plans, kepts):
            row[UPDATE], row[NORM] = cpu.update(plan, kept), cpu.norm(name_of(param.dtype))
        self._places, self._random = places, any(STORAGES[name].random for kept in {*kepts} for name in kept)
        self.rows[:, SLOTS] = lines
        self.rows[:, HEAD] = self._params = [*map(self._address, params)]
        self._columns = []  # each state's name, the dictionaries that hold it, and its addresses
        for word in range(2, width):
            names: dict[str, list[int]] = {}
            for i, of_row in enumerate(tensors):
                if word < len(of_row):
                    names.setdefault(of_row[word], []).append(i)
            for name, having in names.items():
                holders, get = [states[i] for i in having], itemgetter(name)
                addresses = [*map(self._address, map(get, holders))]
                self.rows[having, HEAD + word] = addresses
                self._columns.append((get, holders, addresses))
        self._bytes = [*map(NBYTES, params)]
        self._sure = False
        self._contiguous = all(p.is_contiguous() for p in self._locals)
        self._grads: list[int] = []
        sizes = [p.numel() for p in self._locals]
        self.launch = cpu.Launch(self.rows, np.array(sizes, dtype=np.int64))
        # A contiguous tensor of several elements never holds its values negated (the imaginary part of a conjugate is
        # strided); one of a single element may.
        self._single = [i for i, size in enumerate(sizes) if size == 1]

    def update(self, key: int) -> None:
        """Run every row's update; `key` is that of the step's random bits."""
        if self._random:
            self.rows[:, KEY] = row_keys(key, self._places)
        self.launch.update()

    def sums_of_squares(self, kinds: np.ndarray, count: int) -> np.ndarray:
        """The sum of the squares of the gradients of each of several kinds of rows, in double."""
        self.launch.sum_of_squares()
        row = (self.launch.chunks[:, 0] - self.rows.ctypes.data) // self.rows.strides[0]
        return np.bincount(kinds[row], self.launch.partial, count)

    def fits(self, grads: list[torch.Tensor]) -> bool:
        """Whether parameters and states are still where the rows say, and the gradients as large."""
        try:
            return (
                [*map(self._address, self.params)] == self._params
                and self._as_large(grads)
                and all(
                    [*map(self._address, map(get, holders))] == addresses for get, holders, addresses in self._columns
                )
            )
        except KeyError:  # a state is gone
            return False

    def _as_large(self, grads: list[torch.Tensor]) -> bool:
        """Whether every gradient has its parameter's bytes: one look tells another dtype, and another shape, too."""
        self._sure = [*map(NBYTES, grads)] == self._bytes
        return self._sure

    def take(self, grads: list[torch.Tensor]) -> list[torch.Tensor]:
        """Write the addresses of this step's gradients, of which the local parts are given. Returns what must stay
        alive while the kernels run: the gradients, copied where their memory is laid out differently from their
        parameter's."""
        quick = self._contiguous and all(map(torch.Tensor.is_contiguous, grads))
        quick = quick and (self._sure or self._as_large(grads))
        self._sure = False
        if not quick or any(map(torch.Tensor.is_neg, map(grads.__getitem__, self._single))):
            grads = [g if alike(g, p) else laid_out_like(p, g) for g, p in zip(grads, self._locals)]
        addresses = [*map(DATA_PTR, grads)]
        if addresses != self._grads:
            if 0 in addresses:  # no element, or a DTensor, which has no memory of its own
                for grad, param in zip(grads, self._locals):
                    local_gradient(grad, param)
            self.rows[:, HEAD + 1] = self._grads = addresses
        return grads


def laid_out_like(param: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
    """A copy of a gradient whose memory is laid out as its parameter's."""
    return torch.empty_like(param, requires_grad=False).copy_(grad.detach())


def same(a: Collection[Any], b: Collection[Any]) -> bool:
    """Whether two sequences hold the same objects."""
    return len(a) == len(b) and all(map(is_, a, b))


def dense(t: torch.Tensor) -> bool:
    """Whether the tensor's elements fill one stretch of memory, each once, in whatever order of dimensions."""
    if t.is_contiguous():
        return True
    expected = 1
    for stride, size in sorted((s, n) for s, n in zip(t.stride(), t.shape) if n != 1):
        if stride != expected:
            return False
        expected *= size
    return True


def native(param: torch.Tensor, state: dict[str, Any], plan: Plan) -> bool:
    """Whether the compiled kernels cover a parameter and its states; the eager back end covers the rest."""
    param, states = local(param), [local(state[name]) for name in plan.states]
    return (
        param.device.type == "cpu"
        and cpu.covers(param.dtype, [t.dtype for t in states])
        and type(param) in PLAIN
        and param.layout is torch.strided
        and dense(param)
        and not param.is_neg()
        and all(_laid_out_as(t, param) and t.shape == param.shape for t in states)
    )


def alike(t: torch.Tensor, param: torch.Tensor) -> bool:
    """Whether a tensor's memory matches its parameter's element by element."""
    return t.dtype is param.dtype and _laid_out_as(t, param)


def _laid_out_as(t: torch.Tensor, param: torch.Tensor) -> bool:
    return t.stride() == param.stride() and not t.is_neg() and type(t) in PLAIN


def overlapping(tensors: list[torch.Tensor]) -> set[int]:
    """Which of the tensors share memory with another: those are updated one after the other."""
    first = np.array([t.data_ptr() for t in tensors], dtype=np.int64)
    last = first + np.array([t.numel() * t.element_size() for t in tensors], dtype=np.int64)
    order = np.argsort(first, kind="stable")
    reach = np.maximum.accumulate(last[order])
    meets = np.flatnonzero((first[order][1:] < reach[:-1]) & (last[order][1:] > first[order][1:]))
    return {int(order[i]) for i in meets} | {int(order[i + 1]) for i in meets}
