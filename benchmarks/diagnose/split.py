"""Which cases thresholds may be tuned on, and which are kept for the final figure alone: by a rule, not by hand.

1. A kind whose name has a checksum (CRC-32) that 5 divides is kept as a whole: nothing like it is tuned on.
2. Of every other kind the settings are put in the order of the checksum of "kind/setting". The first half of them,
   rounded up, is for tuning and the rest is kept; the only setting of a kind goes where its checksum is odd or even.
3. Tuning runs have seed 0 (healthy ones also 1), kept runs have seeds of their own: 101 (healthy ones also 102)."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .healthy import HEALTHY
from .kinds import Kind
from .sick import SICK

SEEDS = {"tuning": ((0,), (0, 1)), "kept": ((101,), (101, 102))}  # of sick and of healthy kinds


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


def settings(kind: Kind) -> dict[str, str]:
    """tuning or kept, for each setting of a kind."""
    if checksum(kind.name) % 5 == 0:
        return dict.fromkeys(kind.settings, "kept")
    order = sorted(kind.settings, key=lambda setting: checksum(f"{kind.name}/{setting}"))
    if len(order) == 1:
        return {order[0]: ("tuning", "kept")[checksum(f"{kind.name}/{order[0]}") % 2]}
    half = (len(order) + 1) // 2
    return {setting: "tuning" if i < half else "kept" for i, setting in enumerate(order)}


def cases(split: str = "all") -> list[Case]:
    """Of tuning, kept, or all; in the tables' order, first seeds first."""
    found = [
        Case(kind, setting, seed, part)
        for kind in (*SICK, *HEALTHY)
        for setting, part in settings(kind).items()
        if split in ("all", part)
        for seed in SEEDS[part][kind.healthy]
    ]
    return sorted(found, key=lambda case: SEEDS[case.split][case.kind.healthy].index(case.seed))
