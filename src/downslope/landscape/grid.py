"""Losses over a plane, point by point, kept as they are found: what was stopped goes on where it was."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import RunError
from ..training.files import append, guard, open_journal, pretty, write_atomic
from .directions import Plane
from .network import TOGETHER, Network

Tell = Callable[[str, int, int], None]
"""Told the name of what is evaluated, how many points are done and how many there are."""


class Keeper:
    """A folder in which the points that are done are kept: points.jsonl, and planes as they were first made.

    `settings` are what the points depend on. Raises RunError for a folder that was begun with others."""

    def __init__(self, folder: Path, settings: dict[str, Any]):
        self.folder, self.file = folder, folder / "points.jsonl"
        guard(folder, lambda p: os.makedirs(p, exist_ok=True))
        self.known: dict[tuple[str, int], list[float]] = {}
        head = folder / "landscape.json"
        if head.exists():
            self._check(json.loads(head.read_text()), settings)
            self._read()
        elif taken := sorted(p.name for p in folder.iterdir() if p.suffix in (".jsonl", ".pt")):
            raise RunError(f"{folder}: holds something else ({taken[0]}); name another folder with --out FOLDER")
        else:
            write_atomic(head, pretty(settings))
        self.journal = open_journal(self.file)

    def _check(self, before: dict[str, Any], now: dict[str, Any]) -> None:
        now = json.loads(json.dumps(now))
        differ = [
            f"{k} was {before.get(k)!r}, now {now.get(k)!r}" for k in {**before, **now} if before.get(k) != now.get(k)
        ]
        if differ:
            raise RunError(
                f"{self.folder}: was started with other settings ({'; '.join(differ)}); name another folder with --out"
            )

    def _read(self) -> None:
        """The whole lines; what a crash left of the last is cut off."""
        content = self.file.read_bytes() if self.file.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        for line in whole.splitlines():
            try:
                one = json.loads(line)
                self.known[one["of"], one["from"]] = [math.nan if v is None else v for v in one["losses"]]
            except (ValueError, KeyError, TypeError) as error:
                raise RunError(f"{self.file}: has a line that is no record ({error}); delete the file") from error
        if len(whole) < len(content):
            guard(self.file, os.truncate, len(whole))

    def add(self, name: str, place: int, losses: list[float]) -> None:
        self.known[name, place] = losses
        kept = [v if math.isfinite(v) else None for v in losses]
        append(self.file, self.journal, {"of": name, "from": place, "losses": kept})

    def made(self, name: str, make: Callable[[], Any]) -> Any:
        """What `make` gives (tensors, numbers, words, in tuples and dictionaries), kept the first time it is made."""
        path = self.folder / f"{name}.pt"
        if path.exists():
            return torch.load(path, weights_only=True)
        found = make()
        write_atomic(path, lambda file: torch.save(found, file))
        return found

    def close(self) -> None:
        os.close(self.journal)


def digest(tensor: Tensor) -> str:
    """A few letters that stand for a tensor's values."""
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()[:16]


def coordinates(plane: Plane, size: int) -> tuple[Tensor, Tensor]:
    """a (size) and b (size) of the grid, in float64."""
    a, b = (torch.linspace(low, high, size, dtype=torch.float64) for low, high in plane.box)
    return a, b


def over_plane(
    network: Network, plane: Plane, size: int, keeper: Keeper | None = None, tell: Tell | None = None
) -> Tensor:
    """Losses (size, size), b by row and a by column, in float64. Cut into the same runs of points whether stopped in
    between or not, so the numbers are the same. Costs size² evaluations."""
    a, b = coordinates(plane, size)
    across, along = torch.meshgrid(a, b, indexing="xy")
    at = torch.stack([across.reshape(-1), along.reshape(-1)], 1).to(plane.center)
    axes = torch.stack([plane.across, plane.along])
    return over_points(network, lambda i, j: plane.center + at[i:j] @ axes, len(at), plane.name, keeper, tell).reshape(
        size, size
    )


def over_points(
    network: Network,
    points: Callable[[int, int], Tensor],
    count: int,
    name: str,
    keeper: Keeper | None = None,
    tell: Tell | None = None,
) -> Tensor:
    """Losses at `count` points, of which `points(i, j)` gives some as (j - i, P)."""
    found: list[float] = []
    for i in range(0, count, TOGETHER):
        j = min(i + TOGETHER, count)
        losses = keeper.known.get((name, i)) if keeper is not None else None
        if losses is None:
            losses = network.losses(points(i, j)).tolist()
            losses = [v if math.isfinite(v) else math.nan for v in losses]
            if keeper is not None:
                keeper.add(name, i, losses)
        found += losses
        if tell is not None:
            tell(name, j, count)
    return torch.tensor(found, dtype=torch.float64)
