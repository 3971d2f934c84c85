"""Stacked parameters, gradients and states -> rows of addresses for one native call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..backends import cpu
from ..backends.llvm import HEAD, NORM, SLOTS, UPDATE
from ..backends.storage import as_they_are, name_of
from ..compiler.plan import Plan


class Rows:
    """A row for each trial and parameter, the trials' one after the other; addresses are a base and the trial's stride.

    `groups` has the trials of each formula, `lines` each parameter's place along the first dimension of `slots`, which
    holds the once-per-step values [lines, trials, values]."""

    def __init__(
        self,
        params: Sequence[torch.Tensor],
        states: Sequence[Mapping[str, torch.Tensor]],
        groups: Mapping[Plan, np.ndarray],
        lines: np.ndarray,
        slots: np.ndarray,
    ):
        self.params, self.count = params, slots.shape[1]
        width = max(len(plan.tensors) for plan in groups)
        rows = np.zeros((self.count, len(params), HEAD + width), dtype=np.int64)
        self._trial = np.arange(self.count)[:, None]
        self._strides = np.array([p.stride(0) * p.element_size() for p in params], dtype=np.int64)
        rows[:, :, NORM] = [cpu.norm(name_of(p.dtype)) for p in params]
        rows[:, :, SLOTS] = slots.ctypes.data + lines * slots.strides[0] + self._trial * slots.strides[1]
        rows[:, :, HEAD] = self._along([p.data_ptr() for p in params])
        for plan, trials in groups.items():
            rows[trials, :, UPDATE] = [cpu.update(plan, as_they_are(plan.tensors, name_of(p.dtype))) for p in params]
            for word, name in enumerate(plan.tensors[2:], HEAD + 2):
                rows[trials, :, word] = self._along([own[name].data_ptr() for own in states])[trials]
        self._rows, self._last = rows, [0]
        sizes = np.array([p.numel() // self.count for p in params], dtype=np.int64)
        flat = rows.reshape(self.count * len(params), HEAD + width)
        self._launch = cpu.Launch(flat, np.tile(sizes, self.count), copies=self.count)
        self._chunks = self._launch.chunks.reshape(self.count, -1, 4)  # of each trial: row, begin, end, partial sum

    def _along(self, addresses: list[int]) -> np.ndarray:
        return np.array(addresses, dtype=np.int64) + self._trial * self._strides

    def take(self, grads: Sequence[torch.Tensor]) -> None:
        """Write the addresses of this step's gradients, which must stay alive until it is done."""
        addresses = [g.data_ptr() for g in grads]
        if addresses != self._last:
            self._rows[:, :, HEAD + 1] = self._along(addresses)
            self._last = addresses

    def sums_of_squares(self) -> np.ndarray:
        """Of each trial's gradients, in double: chunk by chunk as that trial would be summed alone."""
        self._launch.sum_of_squares()
        parts = self._launch.partial.reshape(self.count, -1)
        return np.array([part.sum() for part in parts])

    def update(self, skipped: np.ndarray | None) -> None:
        """Run the updates of all trials but those skipped."""
        if skipped is None:
            return self._launch.update()
        kept = self._chunks[skipped, :, 2]
        self._chunks[skipped, :, 2] = self._chunks[skipped, :, 1]
        self._launch.update()
        self._chunks[skipped, :, 2] = kept
