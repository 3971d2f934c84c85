"""Schedules made of others: chains, warm-ups, a user's own function; and their use with torch's LambdaLR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import Any, overload

from ..errors import SettingError
from .arguments import RULES, count, number
from .curves import linear, ramp
from .plateau import Plateau
from .schedule import Schedule, kind, make, name_of


def _chain(n: int, *, parts: tuple[Any, ...]) -> float:
    begin = 0
    for part, end in zip(parts[0:-1:2], parts[1::2]):
        if n < end:
            return part(n - begin)
        begin = end
    return parts[-1](n - begin)


@kind(_chain)
def chain(*parts: Any) -> Any:
    """`chain(a, 500, b, 2000, c)`: a before step 500, b before step 2000, then c; each begins at its own step 0.

    Any number of schedules, with the increasing steps of the joints between them; equals torch's SequentialLR. Past the
    last joint the last part goes on as it does alone. A plateau may be the last: the chain is then a plateau too, with
    a copy of its state, to be updated instead of it. Raises SettingError for anything else.
    """
    form = "give schedules with a step between each two: chain(a, 500, b)"
    if len(parts) < 3 or len(parts) % 2 == 0:
        raise SettingError(f"chain: got {len(parts)} arguments; {form}")
    for part in parts[::2]:
        if not isinstance(part, Schedule | Plateau):
            hint = f"; write constant({part!r})" if isinstance(part, int | float) else ""
            raise SettingError(f"chain: {part!r} is no schedule{hint}; {form}")
    joints = [count(0)("chain", "a joint", joint) for joint in parts[1::2]]
    if any(later <= earlier for earlier, later in pairwise(joints)):
        raise SettingError(f"chain: the joints {joints} do not increase; each is a step of the whole, not a length")
    for part in parts[:-1:2]:
        if isinstance(part, Plateau):
            raise SettingError(f"chain: nothing can follow {part!r}, whose course is unknown; put it last")
    schedules, last = list(parts[:-1:2]), parts[-1]
    if isinstance(last, Plateau):
        return _before_plateau(schedules, joints, last)
    return Schedule("chain", (("parts", (*_woven(schedules, joints), last)),))


def _woven(schedules: list[Schedule], joints: list[int]) -> list[Any]:
    return [item for pair in zip(schedules, joints) for item in pair]


def _before_plateau(schedules: list[Schedule], joints: list[int], last: Plateau) -> Plateau:
    if last.lead is not None:  # it waits already, from its own step 0: put that in front
        schedules, joints = [*schedules, last.lead], [*joints, joints[-1] + last.at]
    lead = chain(*_woven(schedules, joints)[:-1]) if len(schedules) > 1 else schedules[0]
    return replace(last, lead=lead, at=joints[-1], state=last.state)


def _warmup(n: int, *, schedule: Schedule, steps: int, start_factor: float | None) -> float:
    return ramp(n, steps, start_factor) * schedule(0) if n < steps else schedule(n - steps)


@overload
def warmup(schedule: Schedule, steps: int, *, start_factor: float | None = None) -> Schedule: ...
@overload
def warmup(schedule: Plateau, steps: int, *, start_factor: float | None = None) -> Plateau: ...
@kind(_warmup)
def warmup(schedule: Any, steps: int, *, start_factor: float | None = None) -> Any:
    """A linear rise to the first value of a schedule, which then begins, at its own step 0, in step `steps`.

    The rise is from start_factor * schedule(0), as torch's LinearLR; by default 1 / (steps + 1) of it, so that no step
    is lost on 0. The keyword `warmup=` of the other schedules does the same within their `steps`. Past its end the
    schedule goes on as it does alone. Warms up a plateau too (as `chain` does). Raises SettingError for anything but a
    schedule, negative steps, or a factor that is not between 0 and 1.
    """
    if not isinstance(schedule, Schedule | Plateau):
        raise SettingError(f"warmup: {schedule!r} is no schedule; give one, such as warmup(constant(0.1), 500)")
    steps = count(0)("warmup", "steps", steps)
    if start_factor is not None:
        start_factor = RULES["start_factor"]("warmup", "start_factor", start_factor)
    if isinstance(schedule, Plateau):
        first = schedule(0)
        low = first * ramp(0, max(steps, 1), start_factor)
        return chain(linear(low, first, steps=max(steps, 1)), steps, schedule)
    return Schedule("warmup", (("schedule", schedule), ("steps", steps), ("start_factor", start_factor)))


def _by(n: int, *, function: Callable[[int], float]) -> float:
    return number("by", f"{name_of(function)}({n})", function(n))


@kind(_by)
def by(function: Callable[[int], float]) -> Schedule:
    """A function of the step, counted from 0: `by(lambda n: 1e-3 * 0.9 ** (n // 100))`.

    It gives the value itself, where torch's LambdaLR takes a factor. It must depend on nothing but the step. For
    checkpoints and other processes it must be defined with `def` at the top of a module: pickle finds no lambda. Raises
    SettingError for what cannot be called, and when the function returns anything but a finite number.
    """
    return make("by", function=function)


def _factor(schedule: Schedule | Plateau, lr: float, step: int) -> float:
    return schedule(step) / lr


def as_lambda(schedule: Schedule | Plateau, lr: float) -> Callable[[int], float]:
    """The schedule as the factor that torch wants: `LambdaLR(optimizer, as_lambda(schedule, lr=0.1))`.

    `lr` is the learning rate that the optimizer was made with; it cancels out. Can be pickled. Raises SettingError for
    lr = 0, and for anything but a schedule.
    """
    if not isinstance(schedule, Schedule | Plateau):
        raise SettingError(f"as_lambda: {schedule!r} is no schedule; give one, such as cosine(0.1, steps=1000)")
    if not number("as_lambda", "lr", lr):
        raise SettingError(
            "as_lambda: lr=0 cannot be scaled; make the optimizer with lr=1.0 and give as_lambda the same"
        )
    return partial(_factor, schedule, float(lr))
