"""How good a trial was, and which settings of an optimizer are chosen by that."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import Any, NamedTuple

from .plan import Plan
from .trial import Record, Setting, Trial, settings


class Choice(NamedTuple):
    """The chosen settings, and their mean goodness on the validation data over the search seeds."""

    settings: tuple[tuple[str, Setting], ...]
    goodness: float


def goodness(plan: Plan, record: Record, part: str = "validation") -> float:
    """A score where more is better: the metric, or minus the loss; the untrained model's for a trial that diverged."""
    scores: Any = plan.untrained if record["diverged"] else record
    value = scores.get(f"{part}_{plan.monitor}")
    if value is None or not math.isfinite(value):
        return -math.inf
    return float(value) if plan.monitor == "metric" else -float(value)


def scored(plan: Plan, records: Iterable[Record], optimizer: str) -> dict[Any, list[Record]]:
    """An optimizer's full search trials by their settings, those of which every search seed is finished."""
    groups: dict[Any, dict[int, Record]] = {}
    for record in records:
        trial = record["trial"]
        if trial["optimizer"] == optimizer and trial["epochs"] == plan.epochs and trial["seed"] in plan.search_seeds:
            groups.setdefault(settings(trial["settings"]), {})[trial["seed"]] = record
    whole = {key: found for key, found in groups.items() if len(found) == len(plan.search_seeds)}
    return {key: [found[seed] for seed in plan.search_seeds] for key, found in sorted(whole.items(), key=str)}


def choose(plan: Plan, records: Iterable[Record], optimizer: str) -> Choice | None:
    """The settings of an optimizer that are best on the validation data, whatever the order of the records.

    Equally good ones are decided by the lower validation loss. None where every trial diverged.
    """
    best: tuple[Any, ...] | None = None
    for key, group in scored(plan, records, optimizer).items():
        if all(record["diverged"] for record in group):
            continue
        mean = fmean(goodness(plan, record) for record in group)
        loss = fmean(math.inf if record["diverged"] else record["validation_loss"] for record in group)
        if best is None or (mean, -loss) > best[:2]:
            best = (mean, -loss, key)
    return None if best is None else Choice(best[2], best[0])


def better_first(plan: Plan, journal: dict[Trial, Record], points: list[list[Trial]]) -> list[int]:
    """The places of points (each the trials of its seeds) from the best to the worst; equals in their own order."""

    def rank(place: int) -> tuple[float, float]:
        group = [journal[trial] for trial in points[place]]
        loss = fmean(math.inf if r["diverged"] else r["validation_loss"] for r in group)
        return -fmean(goodness(plan, r) for r in group), loss

    return sorted(range(len(points)), key=rank)
