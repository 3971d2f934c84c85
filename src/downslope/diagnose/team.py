"""Several processes that train one model: each tells what it has seen, the first one reports.

Through the store that the process group met by, not by collectives: a process that says nothing, is late or has ended
keeps nobody waiting. Each tells at steps 1, 2, 4, 8 ..., every 256 from there, when a number is not finite, and when
its watch closes or reports. Costs a message of some kB at these."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import fields, replace
from itertools import count
from typing import Any

import torch

from .parts import Parts
from .signals import LossSeen, Signals

EVERY, TOLD = 256, 20
_number = count()  # watches are made in the same order everywhere


def joined() -> Team | None:
    """The team of this process; None if it is alone."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return None
    size = torch.distributed.get_world_size()
    return Team(torch.distributed.get_rank(), size, next(_number)) if size > 1 else None


class Team:
    """One process of several, and how the others are asked."""

    def __init__(self, rank: int, size: int, number: int):
        from torch.distributed.distributed_c10d import _get_default_store

        self.rank, self.size, self.key = rank, size, f"downslope-watch-{number}"
        self.store: Any = _get_default_store()
        self.batches: dict[int, str] = {}  # fingerprints, by step

    def due(self, step: int) -> bool:
        """Is this one of the steps at which every process tells?"""
        return step > 0 and (step & (step - 1) == 0 if step < EVERY else step % EVERY == 0)

    def tell(self, s: Signals, parts: Parts | None = None) -> None:
        """What the first process is to know of this one."""
        if self.rank == 0:
            return
        found = {
            "rank": self.rank,
            "steps": s.steps,
            "loss": s.end(),
            "not_finite": s.not_finite,
            "losses": [_plain(vars(seen)) for seen in s.losses[-TOLD:]],
            "batches": self.batches,
            "parts": None if parts is None else parts.told(s.samples, self.due),
        }
        self.store.set(f"{self.key}-{self.rank}", json.dumps(found, default=str))

    def told(self) -> list[dict[str, Any]]:
        """What the others have told so far; nobody is waited for."""
        found = []
        for rank in range(1, self.size):
            key = f"{self.key}-{rank}"
            if self.store.check([key]):
                found.append(json.loads(self.store.get(key)))
        return found

    def pooled(
        self, s: Signals, mates: list[dict[str, Any]]
    ) -> tuple[list[LossSeen], dict[str, Any] | None, dict[str, Any]]:
        """(losses of all processes, the first number that was not finite in any, what else they tell)."""
        losses = [*s.losses, *(_loss(each) for mate in mates for each in mate["losses"])]
        first = s.not_finite
        for mate in mates:
            theirs = mate["not_finite"]
            if theirs is not None and (first is None or _rank(theirs) < _rank(first)):
                first = {**theirs, "process": mate["rank"]}
        facts: dict[str, Any] = {"mates": {mate["rank"]: (mate["steps"], mate["loss"]) for mate in mates}}
        same = [self.batches.get(int(at)) == mark for mate in mates for at, mark in mate["batches"].items() if mark]
        facts["same_batches"] = (sum(same), len(same))
        return losses, first, facts


def _rank(found: dict[str, Any]) -> tuple[int, bool]:
    """Earlier first; of one step the one that knows where it began, as the others have it from its gradient."""
    explained = any(found.get(key) for key in ("operation", "inputs", "weights"))
    return found["step"], not explained or found["where"] != "loss"


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    return {k: list(v.items()) if isinstance(v, Counter) else v for k, v in found.items()}


def _loss(found: dict[str, Any]) -> LossSeen:
    seen = LossSeen(**{f.name: found[f.name] for f in fields(LossSeen)})
    return replace(
        seen,
        predicted=Counter(dict(found["predicted"])),
        wanted=Counter(dict(found["wanted"])),
        before=tuple(found["before"]),
    )
