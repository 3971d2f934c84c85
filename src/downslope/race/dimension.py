"""One setting of an optimizer or a task, and where it is looked for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from .trial import Setting, rounded


@dataclass(frozen=True)
class Dimension:
    """One setting and the range it is looked for in.

    `low` and `high` are values. `scale` says what is spread evenly: "log" the logarithm of the value, "one minus" the
    logarithm of 1 - value, as for momentum, "linear" the value itself; "choices" takes one of a list. With `whole`
    values are rounded. `rank` says from which number of trials on it is looked for: 1 always, 2 from 10 trials, 3 from
    25; 0 is what the user asked for.
    """

    name: str
    low: float = 0.0
    high: float = 0.0
    scale: str = "log"
    rank: int = 1
    whole: bool = False
    choices: tuple[Setting, ...] = ()
    source: str = ""

    def at(self, u: float) -> Setting:
        """The value at a place from 0 to 1."""
        if self.scale == "choices":
            return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]
        low, high = (TO[self.scale](bound) for bound in (self.low, self.high))
        value = BACK[self.scale](low + (high - low) * u)
        return int(min(max(round(value), self.low), self.high)) if self.whole else rounded(value)

    def place(self, value: float) -> float:
        """Where a value lies, 0 at `low` and 1 at `high`, on the dimension's own scale."""
        low, high, here = (TO[self.scale](x) for x in (self.low, self.high, value))
        return (here - low) / (high - low) if high != low else 0.5

    def beyond(self, side: str, decades: float = 1.0) -> Dimension:
        """The stretch that follows an edge, "low" or "high", on a log scale."""
        if side == "low":
            return replace(self, low=rounded(self.low / 10**decades), high=self.low)
        return replace(self, low=self.high, high=rounded(self.high * 10**decades))

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "choices": list(self.choices)}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Dimension:
        return cls(**{**saved, "choices": tuple(saved["choices"])})


TO = {"log": math.log, "one minus": lambda x: -math.log1p(-x), "linear": lambda x: x}
BACK = {"log": math.exp, "one minus": lambda y: -math.expm1(-y), "linear": lambda y: y}

Space = tuple[Dimension, ...]


def momentum(name: str, low: float, high: float, source: str, rank: int = 2) -> Dimension:
    """A setting of which 1 - value is searched on a log scale; `low` and `high` are values."""
    return Dimension(name, low, high, "one minus", rank, source=source)
