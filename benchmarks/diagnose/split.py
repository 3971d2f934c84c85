"""Which cases thresholds may be tuned on, and which are kept for the final figure alone: by a rule, not by hand.

Three times a part was kept. Each was run once, published, and has been tuned on since, but for the last:

- The first, split off the settings of the beginning: 83.3 %, and 1.9 % of healthy runs.
- The second, of kinds and settings that nobody had run: 86.4 % (197 of 228), and 2.0 % (7 of 351). A kind that was
  written for it (`sick/kept_*.py`, `healthy/kept.py`) ran in all the settings it names (`kept_settings.py`). Of every
  other kind, the settings that are like one of its own are put in the order of the checksum (CRC-32) of
  "kind/setting", and the first quarter of them, rounded up, was kept; none where its network is its own.
- The one that is kept now, of pairs of kind and setting that nobody has run, with seeds of their own, 401 (healthy runs
  also 402): of the kinds of the beginning the next quarter of the settings in that order; a kind of the second part
  runs in the settings of the beginning that those it names are like. The kinds have been seen in other settings.

All else is for tuning. What was in the first part has its names still: a kind whose name has a checksum that 5
divides as a whole, and of every other kind the second half of its settings, rounded down, in the order of the checksum;
the only setting of a kind where the checksum is odd. Its runs have seed 101 (healthy ones also 102), those of the
second part 301 (302), all others for tuning seed 0 (healthy ones also 1).

Before the second part was published its kinds of rates five, thirty and fifty times the highest were run once by
mistake, with seed 201; one verdict of those was read, and nothing was tuned on it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from .healthy import HEALTHY
from .kept_settings import KEPT
from .kinds import Kind
from .sick import SICK

SEEDS = {
    "tuning": ((0,), (0, 1)),
    "first": ((101,), (101, 102)),
    "second": ((301,), (301, 302)),
    "kept": ((401,), (401, 402)),
}
"""Of sick and of healthy kinds; `first` and `second` are what was kept before."""


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


def second(kind: Kind) -> list[str]:
    """What of a kind was kept next."""
    if set(kind.settings) <= set(KEPT):
        return list(kind.settings)
    return _alike(kind)[0]


def kept(kind: Kind) -> list[str]:
    if set(kind.settings) <= set(KEPT):
        return list(dict.fromkeys(KEPT[setting].like for setting in kind.settings))
    return _alike(kind)[1]


def _alike(kind: Kind) -> tuple[list[str], list[str]]:
    """The first and the next quarter of the settings that are like a kind's own."""
    found = ordered(kind, [s.name for s in KEPT.values() if s.like in kind.settings and not kind.own])
    quarter = (len(found) + 3) // 4
    return found[:quarter], found[quarter : 2 * quarter]


def first(kind: Kind) -> list[str]:
    """What of a kind was kept first."""
    order = ordered(kind, list(kind.settings))
    if checksum(kind.name) % 5 == 0:
        return order
    if len(order) == 1:
        return order if checksum(f"{kind.name}/{order[0]}") % 2 else []
    return order[(len(order) + 1) // 2 :]


def settings(kind: Kind) -> dict[str, str]:
    """tuning, first, second or kept, for each setting that a kind runs in."""
    old = [setting for setting in kind.settings if setting not in KEPT]
    before = set(first(kind))
    found = {setting: "first" if setting in before else "tuning" for setting in old}
    return found | dict.fromkeys(second(kind), "second") | dict.fromkeys(kept(kind), "kept")


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
