"""A part of the data read once, in the order it has: targets, and a hash of every row's inputs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import torch

from ..training.data import Part
from .tree import Tensor, dense, leaves

ROWS = 50_000
SECONDS = 2.0
CHUNK = 512
VALUES = 20_000_000
"""Limits of one reading: rows, time where reading is slow, and numbers."""


@dataclass(frozen=True)
class Scan:
    """`targets` are the target tensors of the batches, of `rows` rows, all there are where it is `complete`;
    `hashes`, of as many or of the first of them, is None where rows cannot be told apart."""

    targets: list[Tensor]
    hashes: list[bytes] | None
    rows: int
    complete: bool
    in_order: bool
    """Whether the rows stand in the order in which training gets them: a DataLoader's."""

    @property
    def hashed(self) -> bool:
        """Whether every row has its hash."""
        return self.complete and self.hashes is not None and len(self.hashes) == self.rows

    @property
    def reach(self) -> str:
        """How many rows have one, in words."""
        return f"all {self.rows}" if self.hashed else f"the first {len(self.hashes or [])}"

    def one_per_row(self) -> Tensor | None:
        """The targets as one vector, where every row has one number."""
        flat = [t.reshape(len(t), -1) if t.ndim else t.reshape(1, 1) for t in self.targets]
        if not flat or any(t.shape[1] != 1 for t in flat):
            return None
        return torch.cat(flat)[:, 0]

    def all_values(self) -> Tensor:
        return torch.cat([t.reshape(-1) for t in self.targets])


def scan(part: Part) -> Scan:
    """Read a part up to the limits."""
    targets: list[Tensor] = []
    hashes: list[bytes] | None = []
    rows = values = 0
    complete, started = True, time.monotonic()
    for inputs, target in part.batches(CHUNK):
        found = leaves(target)
        if len(found) != 1:
            return Scan([], None, rows, False, part.loader is not None)
        size = len(found[0]) if found[0].ndim else 1
        targets.append(found[0].detach().cpu())
        hashed = _hashes(inputs, size) if hashes is not None else None
        hashes = None if hashes is None or hashed is None else hashes + hashed
        rows += size
        values += sum(leaf.numel() for leaf in leaves(inputs))
        if rows >= ROWS or values >= VALUES or (part.tensors is None and time.monotonic() - started > SECONDS):
            complete = part.size is not None and rows >= part.size
            break
    if part.tensors is not None:  # targets at hand need no limit
        targets, rows, complete = [part.tensors[1].detach().cpu()], len(part.tensors[1]), True
    return Scan(targets, hashes, rows, complete, part.loader is not None)


def _hashes(inputs: Any, size: int) -> list[bytes] | None:
    found = [dense(leaf.detach()).cpu() for leaf in leaves(inputs)]
    if not found or any(not leaf.ndim or len(leaf) != size for leaf in found):
        return None
    views = [leaf.reshape(size, -1).contiguous().view(torch.uint8).numpy() for leaf in found if leaf.numel()]
    return [blake2b(b"".join(view[i].tobytes() for view in views), digest_size=16).digest() for i in range(size)]
