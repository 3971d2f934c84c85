"""The one-cycle policy: for the learning rate, and its mirror image for the momentum."""

from __future__ import annotations

from itertools import pairwise

from ..errors import SettingError
from .curves import WAYS
from .schedule import Schedule, kind, make


def _cycle(n: int, points: tuple[float, ...], ends: tuple[float, ...], strategy: str) -> float:
    """The value at step n on the way through the points, the phase i ending at the (fractional) step ends[i]."""
    way = WAYS["cosine" if strategy == "cos" else "linear"]
    n, begin = min(n, round(ends[-1])), 0.0
    for (a, b), end in zip(pairwise(points), ends):
        if n <= end:
            return way(a, b, (n - begin) / (end - begin) if end > begin else 1.0)
        begin = end
    return points[-1]


def _ends(steps: int, pct_start: float, three_phase: bool) -> tuple[float, ...]:
    first = pct_start * steps - 1
    return (first, 2 * first, steps - 1.0) if three_phase else (first, steps - 1.0)


def _one_cycle(
    n: int,
    *,
    value: float,
    steps: int,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
    anneal_strategy: str,
    three_phase: bool,
) -> float:
    start = value / div_factor
    points = (
        (start, value, start, start / final_div_factor) if three_phase else (start, value, start / final_div_factor)
    )
    return _cycle(n, points, _ends(steps, pct_start, three_phase), anneal_strategy)


@kind(_one_cycle)
def one_cycle(
    value: float,
    *,
    steps: int,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    anneal_strategy: str = "cos",
    three_phase: bool = False,
) -> Schedule:
    """Up from value / div_factor to `value`, then far down, the last value being that of step `steps` - 1.

    Equals torch's OneCycleLR with max_lr = value, total_steps = steps, and has its defaults; `anneal_strategy` is
    "cos" or "linear". The rise takes the share `pct_start` of the steps; with `three_phase` as many fall back to the
    start, before the rest goes to start / final_div_factor. That value is held afterwards. Raises SettingError for bad
    arguments. Source: Smith & Topin, arXiv:1708.07120.
    """
    made = make(
        "one_cycle",
        value=value,
        steps=steps,
        pct_start=pct_start,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        anneal_strategy=anneal_strategy,
        three_phase=three_phase,
    )
    _room("one_cycle", pct_start, three_phase)
    return made


def _one_cycle_momentum(
    n: int, *, base: float, max: float, steps: int, pct_start: float, anneal_strategy: str, three_phase: bool
) -> float:
    points = (max, base, max, max) if three_phase else (max, base, max)
    return _cycle(n, points, _ends(steps, pct_start, three_phase), anneal_strategy)


@kind(_one_cycle_momentum)
def one_cycle_momentum(
    base: float = 0.85,
    max: float = 0.95,
    *,
    steps: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    three_phase: bool = False,
) -> Schedule:
    """The momentum (or beta1) beside `one_cycle`: from `max` down to `base` while the learning rate rises, and back.

    Give it the same steps, pct_start, anneal_strategy and three_phase. Equals the momentum of torch's OneCycleLR
    (base_momentum, max_momentum), and has its defaults. Holds `max` afterwards. Raises SettingError for bad arguments.
    Source: Smith & Topin, arXiv:1708.07120.
    """
    made = make(
        "one_cycle_momentum",
        base=base,
        max=max,
        steps=steps,
        pct_start=pct_start,
        anneal_strategy=anneal_strategy,
        three_phase=three_phase,
    )
    _room("one_cycle_momentum", pct_start, three_phase)
    if base > max:
        raise SettingError(f"one_cycle_momentum: base={base!r} is above max={max!r}; give the smaller one first")
    return made


def _room(name: str, pct_start: float, three_phase: bool) -> None:
    if three_phase and pct_start > 0.5:
        raise SettingError(
            f"{name}: pct_start={pct_start!r} leaves no third phase; give at most 0.5, or three_phase=False"
        )
