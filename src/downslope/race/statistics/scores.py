"""From records to numbers: one number for a run, larger is better, and the runs of one optimizer by their purpose."""

from __future__ import annotations

import math
import statistics as plain
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Record = Mapping[str, Any]
Settings = tuple[tuple[str, Any], ...]


class Plan(Protocol):
    """What the statistics of a race need to know of its plan.

    `monitor` is "metric" (larger is better) or "loss"; `untrained` has the initial model's score of that kind on the
    "validation" and on the "test" part, None where there is no test part; `spaces` has, by optimizer and setting, the
    range that was searched before any widening: (low, high, scale); `schedule` is the learning rate's, after a linear
    warm-up over the share `warmup` of the steps; `origins` says where optimizers are from that are a user's own.
    """

    @property
    def task(self) -> str: ...
    @property
    def monitor(self) -> str: ...
    @property
    def optimizers(self) -> tuple[str, ...]: ...
    @property
    def untrained(self) -> Mapping[str, float | None]: ...
    @property
    def schedule(self) -> str: ...
    @property
    def warmup(self) -> float: ...
    @property
    def epochs(self) -> int: ...
    @property
    def spaces(self) -> Mapping[str, Mapping[str, tuple[Any, Any, str]]]: ...
    @property
    def origins(self) -> Mapping[str, str]: ...


def sign(plan: Plan) -> int:
    """What turns a score into goodness, and goodness into a score."""
    return 1 if plan.monitor == "metric" else -1


def scored_part(plan: Plan) -> str:
    """Which part of the data scores the chosen settings: the test part where there is one."""
    return "validation" if plan.untrained.get("test") is None else "test"


def goodness(plan: Plan, record: Record, part: str) -> float:
    """A run's score, larger being better.

    A run that diverged, and one that ended worse than it began, counts as the untrained model: that one costs nothing,
    and a loss of 1e9 would else be all that a mean tells of.
    """
    floor = untrained(plan, part)
    found = None if record["diverged"] else record.get(f"{part}_{plan.monitor}")
    if found is None or not math.isfinite(found):
        return floor
    return max(floor, sign(plan) * found)


def untrained(plan: Plan, part: str) -> float:
    """The goodness of the model before its first step."""
    found = plan.untrained.get(part)
    return sign(plan) * (found if found is not None else plan.untrained.get("validation") or 0.0)


def settings_of(record: Record) -> Settings:
    return tuple(sorted(record["trial"]["settings"].items()))


@dataclass(frozen=True)
class Tried:
    """One choice of settings in the search, over its seeds: mean goodness on both parts, at the length it got to."""

    settings: Settings
    epochs: int
    stage: str
    seeds: int
    validation: float
    score: float
    loss: float  # mean validation loss, infinite where a run diverged: it breaks ties
    diverged: bool


def of(records: Iterable[Record], optimizer: str) -> list[Record]:
    """An optimizer's records, in an order that does not depend on when they ended."""
    return sorted(
        (r for r in records if r["trial"]["optimizer"] == optimizer),
        key=lambda r: (repr(settings_of(r)), r["trial"]["epochs"], r["trial"]["seed"]),
    )


def confirmed(records: Iterable[Record], settings: Settings | None) -> list[Record]:
    """The runs on fresh seeds of the chosen settings, by seed."""
    found = [r for r in records if r["trial"]["stage"] == "confirm" and settings_of(r) == settings]
    return sorted(found, key=lambda r: r["trial"]["seed"])


def tried(plan: Plan, records: Iterable[Record], epochs: int | None = None) -> list[Tried]:
    """The settings that an optimizer's search has tried at a length, by default each at the longest it got to.

    A short run that was only a probe of the time tells of no setting by default."""
    groups: dict[Settings, dict[int, list[Record]]] = {}
    for record in records:
        if record["trial"]["stage"] != "confirm":
            by_length = groups.setdefault(settings_of(record), {})
            by_length.setdefault(record["trial"]["epochs"], []).append(record)
    found = []
    for settings, by_length in groups.items():
        length = max(by_length) if epochs is None else epochs
        if epochs is None and length < plan.epochs and all(r["trial"]["stage"] == "probe" for r in by_length[length]):
            continue
        if length in by_length:
            found.append(_tried(plan, settings, length, by_length[length]))
    return found


def _tried(plan: Plan, settings: Settings, epochs: int, runs: Sequence[Record]) -> Tried:
    part = scored_part(plan)
    losses = [r.get("validation_loss") for r in runs]
    return Tried(
        settings,
        epochs,
        min(r["trial"]["stage"] for r in runs),
        len(runs),
        plain.fmean(goodness(plan, r, "validation") for r in runs),
        plain.fmean(goodness(plan, r, part) for r in runs),
        math.inf if any(x is None or not math.isfinite(x) for x in losses) else plain.fmean(losses),  # type: ignore[type-var,arg-type]
        all(r["diverged"] for r in runs),
    )


def chosen(plan: Plan, records: Iterable[Record]) -> Tried | None:
    """The settings that an optimizer's search chooses: the best mean on the validation part, at full length.

    Of equals the one with the smaller validation loss. Settings that fewer seeds have tried than others are out: they
    have had less chance to fail. None where nothing has finished at full length, or all of it diverged.
    """
    full = [t for t in tried(plan, records, plan.epochs) if not t.diverged]
    if not full:
        return None
    most = max(t.seeds for t in full)
    return min((t for t in full if t.seeds == most), key=lambda t: (-t.validation, t.loss, repr(t.settings)))


def picked(plan: Plan, records: Sequence[Record]) -> Tried | None:
    """The settings that were confirmed, if any were, else those that the search chooses so far."""
    best = chosen(plan, records)
    counts: dict[Settings, int] = {}
    for record in records:
        if record["trial"]["stage"] == "confirm":
            counts[settings_of(record)] = counts.get(settings_of(record), 0) + 1
    if not counts or (best is not None and best.settings in counts):
        return best
    most = max(sorted(counts, key=repr), key=lambda settings: counts[settings])
    return next((t for t in tried(plan, records, plan.epochs) if t.settings == most), best)


def fixed(records: Sequence[Record]) -> bool:
    """Whether seeds change nothing: every run ended at the same losses, to the last digit, or every run diverged."""
    ends = {(r["diverged"], r.get("validation_loss"), r.get("test_loss")) for r in records}
    return len(records) > 1 and len(ends) == 1
