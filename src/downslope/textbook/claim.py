"""A claim: a sentence that courses say, what would have to be seen for it to hold, and what an experiment saw."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import RunError
from .checks import Check
from .panels import Panel


@dataclass(frozen=True)
class Claim:
    """What is said, by whom, and the rule that decides, stated before anything is run.

    `core` are the checks without which the claim does not show; `reach` are further ones that say how far it goes:
    where all of the core and not all of the reach are met, it holds with limits. `task` names what it is tried on,
    `seeds` is over how many seeds. `how` says in a few sentences what the experiment does and what to make of it.
    """

    title: str
    says: str
    source: str
    task: str
    core: tuple[Check, ...]
    reach: tuple[Check, ...] = ()
    seeds: int = 10
    how: str = ""

    def __post_init__(self) -> None:
        if not self.core:
            raise RunError(f"{self.title}: a claim needs at least one check that decides it")


@dataclass(frozen=True)
class Evidence:
    """What an experiment saw: `measures`, each a value for every seed, and the panels of its picture, side by side.

    Values are True and False for yes and no; one value alone stands for what draws nothing at random. Raises RunError
    for a measure without values or that is not finite: an experiment says itself what a run that diverged counts as.
    """

    measures: Mapping[str, Sequence[float]]
    panels: Sequence[Panel] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        for name, values in self.measures.items():
            if not values:
                raise RunError(f"textbook: the measure {name!r} has no values; give one for every seed")
            for value in values:
                if not math.isfinite(value):
                    raise RunError(f"textbook: the measure {name!r} has the value {value}; a figure must be finite")
