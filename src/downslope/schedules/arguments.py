"""What the arguments of schedules must be: one rule for each name, the same in every schedule."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any

from ..errors import SettingError, nearest

Rule = Callable[[str, str, Any], Any]


def number(kind: str, name: str, found: Any) -> float:
    if not isinstance(found, numbers.Real) or isinstance(found, bool):
        raise SettingError(f"{kind}: {name}={found!r} is not a number; give a plain number such as 0.001")
    try:
        value = float(found)
    except OverflowError:
        value = math.inf
    if not math.isfinite(value):
        raise SettingError(f"{kind}: {name}={value} is not finite; give a finite number such as 0.001")
    return value


def within(above: float = -math.inf, least: float = -math.inf, most: float = math.inf, below: float = math.inf) -> Rule:
    """A rule for a number in a range: `above` and `below` are themselves outside of it, `least` and `most` inside."""
    bounds = {"above": above, "at least": least, "at most": most, "below": below}
    text = " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if math.isfinite(bound))

    def rule(kind: str, name: str, found: Any) -> float:
        value = number(kind, name, found)
        if not (above < value < below and least <= value <= most):
            raise SettingError(f"{kind}: {name}={found!r} is out of range; give a number {text}")
        return value

    return rule


def count(least: int) -> Rule:
    """A rule for a whole number of at least `least`; a float without fraction, such as 1e4, is one too."""

    def rule(kind: str, name: str, found: Any) -> int:
        whole = int(found) if isinstance(found, float) and found.is_integer() else found
        try:
            value = operator.index(whole)
        except TypeError:
            value = None
        if value is None or value < least or isinstance(found, bool):
            raise SettingError(f"{kind}: {name}={found!r} is no count; give a whole number of at least {least}")
        return value

    return rule


def choice(*known: str) -> Rule:
    def rule(kind: str, name: str, found: Any) -> str:
        if found not in known:
            raise SettingError(f"{kind}: {name}={found!r} is unknown; {nearest(str(found), known)}")
        return str(found)

    return rule


def flag(kind: str, name: str, found: Any) -> bool:
    if not isinstance(found, bool):
        raise SettingError(f"{kind}: {name}={found!r} is neither True nor False; give one of them")
    return found


def increasing(kind: str, name: str, found: Any) -> tuple[int, ...]:
    if not isinstance(found, Iterable) or isinstance(found, str):
        raise SettingError(f"{kind}: {name}={found!r} is no list of steps; give one such as [30, 60, 80]")
    steps = tuple(count(1)(kind, f"{name}[{i}]", step) for i, step in enumerate(found))
    if any(later <= earlier for earlier, later in pairwise(steps)):
        raise SettingError(f"{kind}: {name}={found!r} does not increase; give each step once, the earliest first")
    return steps


def function(kind: str, name: str, found: Any) -> Callable[[int], float]:
    if not callable(found):
        raise SettingError(f"{kind}: {name}={found!r} cannot be called; give a function of the step")
    return found


RULES: dict[str, Rule] = {
    "anneal_strategy": choice("cos", "linear"),
    "base": number,
    "cooldown": count(0),
    "decay": count(1),
    "div_factor": within(above=0),
    "eps": within(least=0),
    "factor": within(above=0, below=1),
    "final": number,
    "final_div_factor": within(above=0),
    "function": function,
    "gamma": within(above=0),
    "max": number,
    "milestones": increasing,
    "min": number,
    "mode": choice("min", "max"),
    "multiply": count(1),
    "patience": count(0),
    "pct_start": within(least=0, most=1),
    "period": count(1),
    "power": within(above=0),
    "shape": choice("linear", "cosine", "sqrt", "exponential"),
    "start": number,
    "start_factor": within(least=0, most=1),
    "step_size": count(1),
    "steps": count(1),
    "three_phase": flag,
    "threshold": within(least=0),
    "threshold_mode": choice("rel", "abs"),
    "value": number,
    "warmup": count(0),
}


def checked(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments after their rules. Raises SettingError naming the schedule, the argument, and what to give."""
    good = {name: RULES[name](kind, name, found) for name, found in arguments.items()}
    warmup, steps = good.get("warmup", 0), good.get("steps")
    if warmup and steps is not None and warmup >= steps:
        raise SettingError(
            f"{kind}: warmup={warmup} leaves nothing of steps={steps}, which count the warm-up too; "
            f"give fewer steps of warm-up or more steps in all"
        )
    return good


def falling(kind: str, value: float, final: float, name: str = "final") -> None:
    """Raises SettingError where a schedule that only falls would have to rise."""
    if final > value:
        raise SettingError(
            f"{kind}: {name}={final!r} is above the value {value!r} that it falls from; "
            f"give a smaller {name}, or a schedule that may rise: linear({value!r}, {final!r}, steps=...)"
        )
