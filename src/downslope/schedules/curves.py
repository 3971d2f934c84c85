"""The schedules with a formula: each a curve, and below it the function that a user calls.

A curve takes the step n and the arguments of the call. Steps are counted from 0; `steps` includes the warm-up.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import wraps

from ..errors import SettingError
from .arguments import falling
from .schedule import Schedule, kind, make

# from a (x = 0) to b (x = 1); each gives a and b exactly
WAYS: dict[str, Callable[[float, float, float], float]] = {
    "linear": lambda a, b, x: a + (b - a) * x if x < 1 else b,
    "cosine": lambda a, b, x: b + (a - b) * ((1 + math.cos(math.pi * x)) / 2) if x else a,
    "sqrt": lambda a, b, x: b + (a - b) * (1 - math.sqrt(x)) if x else a,
    "exponential": lambda a, b, x: a ** (1 - x) * b**x,
}


def ramp(n: int, steps: int, start_factor: float | None = None) -> float:
    """The factor in step n of a linear warm-up: `start_factor` at step 0, 1 at step `steps`, no step wasted on 0."""
    low = 1 / (steps + 1) if start_factor is None else start_factor
    return WAYS["linear"](low, 1.0, n / steps)


def warmed(curve: Callable[..., float]) -> Callable[..., float]:
    """The curve from step `warmup` on, and before it a linear rise to the value that it has there."""

    @wraps(curve)
    def whole(n: int, *, warmup: int, **arguments: object) -> float:
        if n < warmup:
            return ramp(n, warmup) * curve(warmup, warmup=warmup, **arguments)
        return curve(n, warmup=warmup, **arguments)

    return whole


def progress(n: int, warmup: int, steps: int) -> float:
    return min(1.0, (n - warmup) / (steps - warmup))


@warmed
def _constant(n: int, *, value: float, warmup: int) -> float:
    return value


@kind(_constant)
def constant(value: float, *, warmup: int = 0) -> Schedule:
    """The same value in every step.

    `warmup` steps rise to it linearly from value / (warmup + 1). torch's ConstantLR is
    `constant(lr * factor).then(constant(lr), at=total_iters)`. Raises SettingError for arguments that are no numbers.
    """
    return make("constant", value=value, warmup=warmup)


@warmed
def _step(n: int, *, value: float, step_size: int, gamma: float, warmup: int) -> float:
    return value * gamma ** (n // step_size)


@kind(_step)
def step(value: float, *, step_size: int, gamma: float = 0.1, warmup: int = 0) -> Schedule:
    """Multiplied by gamma every `step_size` steps; equals torch's StepLR, and has its defaults.

    The drops are at the multiples of `step_size`, with or without `warmup` (linear, from value / (warmup + 1)), which
    must end before the first. It has no end: it drops on and on. Raises SettingError for bad arguments.
    """
    made = make("step", value=value, step_size=step_size, gamma=gamma, warmup=warmup)
    _before_drops("step", warmup, step_size)
    return made


@warmed
def _multistep(n: int, *, value: float, milestones: tuple[int, ...], gamma: float, warmup: int) -> float:
    return value * gamma ** bisect_right(milestones, n)


@kind(_multistep)
def multistep(value: float, *, milestones: Sequence[int], gamma: float = 0.1, warmup: int = 0) -> Schedule:
    """Multiplied by gamma at each milestone; equals torch's MultiStepLR, and has its defaults.

    The milestones are steps of the training, with or without `warmup` (linear, from value / (warmup + 1)), which must
    end before the first. Holds its value after the last. Raises SettingError for milestones that do not increase.
    """
    made = make("multistep", value=value, milestones=milestones, gamma=gamma, warmup=warmup)
    for first in dict(made.arguments)["milestones"][:1]:
        _before_drops("multistep", warmup, first)
    return made


def _before_drops(name: str, warmup: int, first: int) -> None:
    if warmup > first:
        raise SettingError(
            f"{name}: warmup={warmup} goes beyond the first drop at step {first}; end it there or before"
        )


@warmed
def _exponential(n: int, *, value: float, gamma: float, warmup: int) -> float:
    return value * gamma ** (n - warmup)


@kind(_exponential)
def exponential(value: float, *, gamma: float, warmup: int = 0) -> Schedule:
    """Multiplied by gamma in every step; equals torch's ExponentialLR.

    It begins after `warmup` steps (linear, from value / (warmup + 1)) and has no end; gamma above 1 rises, as for a
    learning-rate range test. Raises SettingError for bad arguments, and at the step where it overflows.
    """
    return make("exponential", value=value, gamma=gamma, warmup=warmup)


@warmed
def _linear(n: int, *, start: float, final: float, steps: int, warmup: int) -> float:
    return WAYS["linear"](start, final, progress(n, warmup, steps))


@kind(_linear)
def linear(start: float, final: float, *, steps: int, warmup: int = 0) -> Schedule:
    """A straight line from `start` to `final`, up or down, reached at step `steps`.

    Equals torch's LinearLR with start = lr * start_factor, final = lr * end_factor, steps = total_iters. `steps` count
    the `warmup` too (linear, from start / (warmup + 1)). Holds `final` afterwards. Raises SettingError for bad
    arguments.
    """
    return make("linear", start=start, final=final, steps=steps, warmup=warmup)


@warmed
def _polynomial(n: int, *, value: float, steps: int, power: float, final: float, warmup: int) -> float:
    return WAYS["linear"](final, value, (1 - progress(n, warmup, steps)) ** power)


@kind(_polynomial)
def polynomial(value: float, *, steps: int, power: float = 1.0, final: float = 0.0, warmup: int = 0) -> Schedule:
    """final + (value - final) * (1 - n / steps) ** power; equals torch's PolynomialLR, and has its power.

    `steps` count the `warmup` too (linear, from value / (warmup + 1)). Holds `final` afterwards. Raises SettingError
    for bad arguments.
    """
    return make("polynomial", value=value, steps=steps, power=power, final=final, warmup=warmup)


@warmed
def _cosine(n: int, *, value: float, steps: int, final: float, warmup: int) -> float:
    return WAYS["cosine"](value, final, progress(n, warmup, steps))


@kind(_cosine)
def cosine(value: float, *, steps: int, final: float = 0.0, warmup: int = 0) -> Schedule:
    """Half a cosine wave from `value` to `final`, reached at step `steps`.

    Equals torch's CosineAnnealingLR with T_max = steps, eta_min = final, until T_max; afterwards it holds `final`,
    where torch's rises again. `steps` count the `warmup` too (linear, from value / (warmup + 1)). Raises SettingError
    for bad arguments. Source: SGDR, arXiv:1608.03983, equation 5, without restarts.
    """
    return make("cosine", value=value, steps=steps, final=final, warmup=warmup)


@warmed
def _cosine_restarts(n: int, *, value: float, period: int, multiply: int, final: float, warmup: int) -> float:
    n -= warmup
    if multiply == 1:
        n %= period
    while n >= period:  # the cycles grow, so there are few
        n -= period
        period *= multiply
    return WAYS["cosine"](value, final, n / period)


@kind(_cosine_restarts)
def cosine_restarts(value: float, *, period: int, multiply: int = 1, final: float = 0.0, warmup: int = 0) -> Schedule:
    """Cosine annealing that starts anew after `period` steps, each cycle `multiply` times as long as the last.

    Equals torch's CosineAnnealingWarmRestarts with T_0 = period, T_mult = multiply, eta_min = final, and has its
    defaults. The first cycle begins after the `warmup` (linear, from value / (warmup + 1)); there is no end. Raises
    SettingError for bad arguments. Source: SGDR, arXiv:1608.03983, equation 5.
    """
    made = make("cosine_restarts", value=value, period=period, multiply=multiply, final=final, warmup=warmup)
    falling("cosine_restarts", value, final)
    return made


def _inverse_sqrt(n: int, *, value: float, warmup: int) -> float:
    return value * min((n + 1) / warmup, math.sqrt(warmup / (n + 1)))


@kind(_inverse_sqrt)
def inverse_sqrt(value: float, *, warmup: int) -> Schedule:
    """value * min(t / warmup, sqrt(warmup / t)), with t = n + 1: the schedule of the first transformer.

    `value` is the peak, in the optimizer step number `warmup` (n = warmup - 1); the paper's is
    (d_model * warmup) ** -0.5 with warmup = 4000. There is no end. Raises SettingError for bad arguments, also for a
    warm-up of 0. Source: Vaswani et al. 2017, arXiv:1706.03762, equation 3.
    """
    made = make("inverse_sqrt", value=value, warmup=warmup)
    if warmup < 1:
        raise SettingError(
            "inverse_sqrt: warmup=0 leaves its decay without a scale; give at least 1, as in warmup=4000"
        )
    return made


@warmed
def _wsd(n: int, *, value: float, steps: int, decay: int, shape: str, final: float, warmup: int) -> float:
    return WAYS[shape](value, final, min(1.0, max(0.0, (n - (steps - decay)) / decay)))


@kind(_wsd)
def wsd(
    value: float, *, steps: int, decay: int, warmup: int = 0, final: float = 0.0, shape: str = "linear"
) -> Schedule:
    """Warm-up, stable, decay: a linear rise for `warmup` steps, then `value`, then the last `decay` of all `steps`.

    The decay goes to `final` as `shape` says: "linear", "cosine", "sqrt" (1 - sqrt), or "exponential" (the paper's;
    needs `final` above 0), and `final` is held afterwards. The rise is from value / (warmup + 1). Raises SettingError
    for bad arguments, and where warm-up and decay exceed `steps`. Source: MiniCPM, arXiv:2404.06395, section 4;
    "sqrt" from arXiv:2405.18392.
    """
    made = make("wsd", value=value, steps=steps, decay=decay, warmup=warmup, final=final, shape=shape)
    falling("wsd", value, final)
    if warmup + decay > steps:
        raise SettingError(
            f"wsd: warmup={warmup} and decay={decay} exceed steps={steps}; shorten one, or give more steps"
        )
    if shape == "exponential" and final <= 0:
        raise SettingError(f"wsd: shape='exponential' never gets to final={final!r}; give a final above 0")
    return made
