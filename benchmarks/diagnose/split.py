"""Which cases thresholds may be tuned on, and which are kept for the final figure alone: by a rule, not by hand.

Kept are settings of their own (`kept_settings.py`) with seeds of their own, 301 (healthy runs also 302):

1. A kind written for them (`sick/kept_*.py`, `healthy/kept.py`) runs in all the settings it names.
2. Of every other kind, the settings that are like one of its own are put in the order of the checksum (CRC-32) of
   "kind/setting", and the first quarter of them, rounded up, is kept; none where its network is its own.

All else is for tuning. A first kept part was split off it, published with 83.3 % and has been tuned on since; what was
in it has its names still. It was a kind whose name has a checksum that 5 divides as a whole, and of every other kind
the second half of its settings, rounded down, in the order of the checksum; the only setting of a kind where the
checksum is odd. Its runs have seed 101 (healthy ones also 102), all others for tuning seed 0 (healthy ones also 1).

While thresholds were tuned the kept kinds of rates five, thirty and fifty times the highest were run once by mistake,
with seed 201; one verdict of those was read. So the seeds are others now, and nothing was tuned on it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .healthy import HEALTHY
from .kept_settings import KEPT
from .kinds import Kind
from .sick import SICK

SEEDS = {"tuning": ((0,), (0, 1)), "first": ((101,), (101, 102)), "kept": ((301,), (301, 302))}
"""Of sick and of healthy kinds; `first` is what was kept first."""


@dataclass(frozen=True)
class Case:
    kind: Kind
    setting: str
    seed: int
    split: str

    @property
    def name(self) -> str:
        return f"{self.kind.name} / {self.setting} / {self.seed}"


def checksum(text: str) -> int:
    return zlib.crc32(text.encode())


def ordered(kind: Kind, settings: list[str]) -> list[str]:
    return sorted(settings, key=lambda setting: checksum(f"{kind.name}/{setting}"))


def kept(kind: Kind) -> list[str]:
    if set(kind.settings) <= set(KEPT):
        return list(kind.settings)
    alike = ordered(kind, [s.name for s in KEPT.values() if s.like in kind.settings and not kind.own])
    return alike[: (len(alike) + 3) // 4]


def first(kind: Kind) -> list[str]:
    """What of a kind was kept first."""
    order = ordered(kind, list(kind.settings))
    if checksum(kind.name) % 5 == 0:
        return order
    if len(order) == 1:
        return order if checksum(f"{kind.name}/{order[0]}") % 2 else []
    return order[(len(order) + 1) // 2 :]


def settings(kind: Kind) -> dict[str, str]:
    """tuning, first or kept, for each setting that a kind runs in."""
    old = [setting for setting in kind.settings if setting not in KEPT]
    before = set(first(kind))
    return {setting: "first" if setting in before else "tuning" for setting in old} | dict.fromkeys(kept(kind), "kept")


def cases(split: str = "all") -> list[Case]:
    """Of tuning, kept, or all; in the tables' order, first seeds first."""
    found = [
        (nth, Case(kind, setting, seed, "kept" if part == "kept" else "tuning"))
        for kind in (*SICK, *HEALTHY)
        for setting, part in settings(kind).items()
        for nth, seed in enumerate(SEEDS[part][kind.healthy])
        if split in ("all", "kept" if part == "kept" else "tuning")
    ]
    return [case for _, case in sorted(found, key=lambda pair: pair[0])]
