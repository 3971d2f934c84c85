"""Triton source -> kernels, and their launch over tables of addresses that lie on the device.

One launch updates all tensors of all param groups that have the same pass; nothing here waits for the device. Written
for CUDA; the same code is for ROCm and XPU, where it is untested. Without a GPU Triton's interpreter runs it, slowly,
for tests.
"""

from __future__ import annotations

import linecache
import os
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch

from ..compiler.plan import Plan
from . import gpu_source
from .storage import Kept

DEVICES = frozenset({"cuda", "xpu"})
KINDS = {
    torch.float32: "float32",
    torch.float64: "float64",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
}
BLOCK = 1024  # elements at a time: two vectors of 16 bytes for each thread of four warps
# A chunk is a 2,048th of the work within these bounds. It does not depend on the device, so that sums over chunks do
# not either.
CHUNK_ELEMENTS = (4 * 1024, 64 * 1024)
SIDE = 128  # parameters at a time in what is once per step


def covers(device: torch.device) -> bool:
    """Whether kernels run on a device: a GPU, and Triton is installed."""
    return device.type in DEVICES and _installed()


@cache
def _installed() -> bool:
    return find_spec("triton") is not None


@cache
def compiled(source: str, name: str) -> Any:
    """The kernel called `name` of a source text, which Triton compiles for the device of its first launch."""
    import triton
    import triton.language as tl

    math_of: Any
    if os.environ.get("TRITON_INTERPRET") == "1":
        from .gpu_interpreted import math_of
    else:
        from triton.language.extra import libdevice

        math_of = libdevice
    file = f"<downslope {name} {hash(source):x}>"  # where Triton, and tracebacks, look the source up
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    space: dict[str, Any] = {"tl": tl, "math_of": math_of, "__name__": __name__}
    exec(compile(source, file, "exec"), space)
    return triton.jit(space[name])


@lru_cache(maxsize=512)
def update(plan: Plan, kept: Kept, aligned: bool) -> Any:
    return compiled(gpu_source.update(plan, kept, aligned), "update")


@lru_cache(maxsize=512)
def once(plan: Plan, settings: tuple[str, ...], measured: tuple[str, ...], first: bool, last: bool) -> Any:
    return compiled(gpu_source.once(plan, settings, measured, first, last), "once")


class Upload:
    """Numbers and addresses that go to the device in one asynchronous copy, and only when one of them has changed.

    `slot` reserves a place before the first copy; writing into what it returns and then `send` brings it over."""

    def __init__(self, device: torch.device):
        self._device, self._size = device, 0
        self._sent: np.ndarray | None = None

    def slot(self, count: int) -> int:
        place = self._size
        self._size += count
        return place

    def build(self) -> None:
        self._device_words = torch.zeros(max(self._size, 1), dtype=torch.int64, device=self._device)
        self._words = np.zeros(max(self._size, 1), dtype=np.int64)

    def host(self, place: int, count: int, dtype: Any = np.int64) -> np.ndarray:
        return self._words[place : place + count].view(dtype)

    def device(self, place: int, count: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
        return self._device_words[place : place + count].view(dtype)

    def send(self) -> None:
        if self._sent is not None and np.array_equal(self._words, self._sent):
            return
        self._sent = self._words.copy()
        words = torch.from_numpy(self._sent)
        if self._device.type == "cuda":
            words = words.pin_memory()  # torch keeps it until the copy is done
        self._device_words.copy_(words, non_blocking=True)


class Launch:
    """The tensors of one pass: their addresses, cut into chunks.

    `columns` holds the addresses of each of the plan's tensors, a list for each with as many as there are rows (those
    of g stand apart, in `grads`, a tensor of addresses on the device); `sizes` the numbers of elements."""

    def __init__(
        self,
        columns: Sequence[Sequence[int]],
        sizes: Sequence[int],
        grads: torch.Tensor,
        device: torch.device,
    ):
        table = np.array(columns, dtype=np.int64).T
        self.count, self.width = table.shape
        self.rows = torch.from_numpy(np.ascontiguousarray(table)).to(device)
        self.grads = grads
        self.aligned = not (table % 16).any()
        size = np.array(sizes, dtype=np.int64)
        chunk = min(max(int(size.sum()) // 2048, CHUNK_ELEMENTS[0]), CHUNK_ELEMENTS[1]) // BLOCK * BLOCK
        counts = -(-size // chunk)
        row = np.repeat(np.arange(len(size)), counts)
        begin = (np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)) * chunk
        end = np.minimum(begin + chunk, size[row])
        self.chunks = torch.from_numpy(np.ascontiguousarray(np.stack([row, begin, end], axis=1))).to(device)
        self.first = torch.from_numpy(np.concatenate([[0], np.cumsum(counts)])).to(device)
        self._partial = torch.zeros(max(len(row), 1), dtype=torch.float64, device=device)

    def update(self, kernel: Any, slots: torch.Tensor, keys: torch.Tensor, skip: torch.Tensor) -> None:
        """Run the pass; `slots` has a line for each slot and a column for each row, `keys` what the random bits of each
        row begin with."""
        if len(self.chunks):
            kernel[(len(self.chunks),)](self.rows, self.grads, self.chunks, slots, keys, skip, self.count, BLOCK=BLOCK)

    def sums(self, word: int | None, kept: str, squares: bool, beside: int = 0) -> torch.Tensor:
        """The sum of the elements, or of their squares, of each row's tensor number `word` (None: its gradient), which
        is kept in a storage, with something in the column `beside`."""
        out = torch.zeros(self.count, dtype=torch.float64, device=self.rows.device)
        if len(self.chunks):
            addresses, stride, word = (self.grads, 1, 0) if word is None else (self.rows, self.width, word)
            reduce = compiled(gpu_source.reduction(kept, squares), "reduce")
            reduce[(len(self.chunks),)](addresses, stride, word, beside, self.chunks, self._partial, BLOCK=BLOCK)
            compiled(gpu_source.TOTAL, "total")[(self.count,)](self._partial, self.first, out, BLOCK=BLOCK)
        return out


def run_once(
    kernel: Any,
    *,
    slots: torch.Tensor,
    keys: torch.Tensor,
    seed: int,
    bank: torch.Tensor,
    places: torch.Tensor,
    settings: torch.Tensor,
    measured: torch.Tensor,
    group_of: torch.Tensor,
    skip: torch.Tensor,
) -> None:
    """Compute the slots, `[slot, row]`, of all rows of a pass, and their keys, where `seed` is a hash of the seed."""
    count, groups = len(places), settings.shape[1]
    kernel[(-(-count // SIDE),)](
        slots, keys, seed, bank, places, settings, measured, group_of, skip, count, bank.shape[1], groups, BLOCK=SIDE
    )
