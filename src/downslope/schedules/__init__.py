"""Schedules: functions of the step for any hyper-parameter.

`Adam(params, lr=cosine(1e-3, steps=10_000, warmup=500), betas=(linear(0.5, 0.99, steps=1000), 0.999))`

Steps count from 0: `schedule(0)` is the value in the first optimizer step. A schedule keeps no state, so resuming at
step n is calling it with n. Past its end it holds its last value. Only `plateau` has state: it is fed with a metric.
"""

from .compose import as_lambda, by, chain, warmup
from .curves import (
    constant,
    cosine,
    cosine_restarts,
    exponential,
    inverse_sqrt,
    linear,
    multistep,
    polynomial,
    step,
    wsd,
)
from .cycle import one_cycle, one_cycle_momentum
from .plateau import Plateau, plateau
from .schedule import Schedule

__all__ = [
    "Plateau",
    "Schedule",
    "as_lambda",
    "by",
    "chain",
    "constant",
    "cosine",
    "cosine_restarts",
    "exponential",
    "inverse_sqrt",
    "linear",
    "multistep",
    "one_cycle",
    "one_cycle_momentum",
    "plateau",
    "polynomial",
    "step",
    "warmup",
    "wsd",
]
