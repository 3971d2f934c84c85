"""Figures in the words of the tables, on the page and on the terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any


def number(value: float) -> str:
    """A score with three decimals, or four digits where that would hide it."""
    return f"{value:.3f}" if value == 0 or 0.01 <= math.fabs(value) < 1000 else f"{value:.3e}"


def rate(value: float | None) -> str:
    """A learning rate with two digits: 0.01, 3.2e-05."""
    return "-" if value is None else f"{value:.2g}"


def score(found: Mapping[str, Any]) -> str:
    """The mean and half of its 95 % interval: `0.974 ± 0.0041`; no interval where all seeds have the same by chance."""
    if found["mean"] is None:
        return "-"
    if found["high"] is None and len(found["by_seed"]) > 1:
        return f"{number(found['mean'])} on each seed"
    around = "" if found["high"] is None else f" ± {abs(found['high'] - found['low']) / 2:.2g}"
    return f"{number(found['mean'])}{around}"


def tolerance(row: Mapping[str, Any]) -> str:
    """Decades of learning rates; > where an end of what was tried is still within."""
    found = row["lr_tolerance"]
    return "-" if found is None else f"{'> ' if is_open(row) else ''}{found['decades']:.1f}"


def is_open(row: Mapping[str, Any]) -> bool:
    found = row["lr_tolerance"]
    return found is not None and bool(found["open_below"] or found["open_above"])


def share(row: Mapping[str, Any]) -> str:
    """How many of all runs diverged."""
    return f"{100 * row['diverged_share']:.0f} %"


def seconds(value: float | None) -> str:
    """`0.27 s`, `3.1 min`, `2.5 h`."""
    if value is None:
        return "-"
    if value < 120:
        return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"
    return f"{value / 60:.3g} min" if value < 7200 else f"{value / 3600:.3g} h"


def steps(row: Mapping[str, Any]) -> str:
    """Steps until the target."""
    found = row["time_to_target"]
    return "-" if found is None else f"{found['steps']:.0f}"


def trials(count: int) -> str:
    return f"{count} trial{'s' * (count != 1)}"


def memory(count: float | None) -> str:
    """Bytes with three digits: `48.7 kB`; 0 where there are none."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
