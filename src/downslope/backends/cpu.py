"""LLVM IR -> native code, and its launch on torch's own threads."""

from __future__ import annotations

import ctypes
import glob
import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch

from ..compiler.plan import Plan
from . import llvm
from .llvm import NORM, UPDATE
from .storage import BLOCK, STORAGES, Kept, name_of

# A chunk is a 64th of the work within these bounds: small enough to share out evenly, large enough for long prefetching
# (at 24.5 M elements chunks of 32 k took 10 % more time than those of 256 k). It does not depend on the number of
# threads, so that sums over chunks do not either.
CHUNK_ELEMENTS = (32 * 1024, 1024 * 1024)
ALONE = 16 * 1024  # below this many elements a second thread costs more than it brings


@cache
def _target() -> Any:
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_triple(binding.get_process_triple())
    features = binding.get_host_cpu_features().flatten()
    return target.create_target_machine(cpu=binding.get_host_cpu_name(), features=features, opt=3)


_ENGINES: list[Any] = []  # compiled code lives as long as the process


def _compile(ir: str, name: str) -> int:
    """The address of a function of a module."""
    import llvmlite.binding as binding

    machine = _target()
    module = binding.parse_assembly(ir)
    module.triple, module.data_layout = machine.triple, str(machine.target_data)
    module.verify()
    engine = binding.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    _ENGINES.append(engine)
    return engine.get_function_address(name)


def covers(param: torch.dtype, states: Sequence[torch.dtype]) -> bool:
    """Whether there are kernels for parameters of a dtype with states of some: all in double, or none."""
    if torch.float64 in (param, *states):
        return all(dtype is torch.float64 for dtype in (param, *states))
    known = all(name_of(dtype) in STORAGES for dtype in (param, *states))
    return param.is_floating_point and known and (torch.float16 not in (param, *states) or _halves())


@cache
def _halves() -> bool:
    """Whether this processor converts float16 itself."""
    import llvmlite.binding as binding

    return platform.machine() not in ("x86_64", "AMD64") or bool(binding.get_host_cpu_features().get("f16c"))


@lru_cache(maxsize=512)
def update(plan: Plan, kept: Kept) -> int:
    """The address of the compiled update of a plan for tensors that are kept so."""
    return _compile(llvm.kernel(plan, kept, "update"), "update")


@cache
def norm(kept: str) -> int:
    """The address of the compiled sum of squares of a chunk's gradients."""
    return _compile(llvm.norm(kept, "norm"), "norm")


@cache
def _worker() -> int:
    return _compile(llvm.WORKER, "work")


@cache
def _team() -> Callable[[int, int, int], None]:
    """How to run the worker on several threads: torch's own OpenMP pool where it is found, else our threads."""
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    for path in glob.glob(os.path.join(folder, "libgomp*.so*")) + glob.glob(
        os.path.join(os.path.dirname(folder), "..", "torch.libs", "libgomp*.so*")
    ):
        try:
            run = ctypes.CDLL(path).GOMP_parallel
        except (OSError, AttributeError):
            continue
        run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
        return lambda worker, job, threads: run(worker, job, threads, 0)
    return _with_threads


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="downslope")


def _with_threads(worker: int, job: int, threads: int) -> None:
    work = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(worker)  # releases the GIL while it runs
    waiting = [_pool(threads - 1).submit(work, job) for _ in range(threads - 1)]
    work(job)
    for future in waiting:
        future.result()


class Launch:
    """A table of chunks over rows of addresses, run by all threads in one native call.

    `rows` is an int64 array, one line per tensor; `sizes` holds each tensor's number of elements. The arrays are shared
    with native code: write new addresses into `rows` in place. `copies` says that the rows are those of so many equal
    sets, one after the other: each is cut into the chunks that it would have alone.
    """

    def __init__(self, rows: np.ndarray, sizes: np.ndarray, copies: int = 1):
        assert rows.flags.c_contiguous and rows.dtype == np.int64
        self.rows, self.elements = rows, int(sizes.sum())
        chunk = min(max(self.elements // copies // 64, CHUNK_ELEMENTS[0]), CHUNK_ELEMENTS[1])
        counts = -(-sizes // chunk)
        row = np.repeat(np.arange(len(sizes)), counts)
        first = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        share = -(-sizes // np.maximum(counts, 1))
        share = -(-share // BLOCK) * BLOCK  # chunks begin at whole blocks, and cache lines where their tensor does
        begin = np.minimum(first * share[row], sizes[row])
        end = np.minimum(begin + share[row], sizes[row])
        address = rows.ctypes.data + row * rows.strides[0]
        self.chunks = np.ascontiguousarray(np.stack([address, begin, end, np.zeros_like(row)], axis=1), dtype=np.int64)
        self.partial = self.chunks.view(np.float64)[:, 3]
        self.job = np.array([0, len(self.chunks), self.chunks.ctypes.data, UPDATE], dtype=np.int64)
        self._job, self._work = self.job.ctypes.data, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(_worker())

    def update(self) -> None:
        """Run every row's update."""
        self._run(UPDATE)

    def sum_of_squares(self) -> float:
        """The sum of the squares of all gradients, in double, the same whatever the number of threads."""
        self._run(NORM)
        return float(self.partial.sum())

    def _run(self, word: int) -> None:
        self.job[0], self.job[3] = 0, word
        threads = 1 if self.elements < ALONE else min(torch.get_num_threads(), len(self.chunks))
        if threads == 1:
            self._work(self._job)
        else:
            _team()(_worker(), self._job, threads)
