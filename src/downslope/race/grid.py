"""Which learning rates an optimizer is tried at."""

from __future__ import annotations

import inspect
import math

from ..errors import SettingError

HALF_WIDTH = 2.5
"""Decades to both sides of the centre: enough that on digits both ends are clearly bad for every optimizer."""

# The middle of the grid, as a power of ten. Measured on digits with 16 rates from 1e-5 to 300 where no source is named.
CENTRES: dict[str, float] = {
    "sgd": -0.5,  # best at 0.3; 1e-3 is too slow, from 3 on it diverges
    "qhm": -0.5,  # its step is an average of gradients, as long as that of plain descent
    "asgd": -0.5,  # plain descent with an average beside it
    "momentum": -1.5,  # the velocity sums about 10 gradients (momentum 0.9), so a tenth of plain descent
    "nag": -1.5,  # as momentum
    "adagrad": -1.5,  # best at 0.03; the steps shrink with the root of their number, so above Adam
    "rootmeansquare": -1.5,  # divides by the root mean square of all gradients so far
    "adadelta": 0.5,  # the rate multiplies a step that has the right units by itself: best between 1 and 10
    "adam": -2.5,  # best between 3e-3 and 3e-2
    "amsgrad": -2.5,  # as Adam, as are the next ones: a step of about the rate in each coordinate
    "adamw": -2.5,
    "adamax": -2.5,
    "nadam": -2.5,
    "radam": -2.5,
    "adabelief": -2.5,
    "adan": -2.5,
    "adopt": -2.5,
    "ademamix": -2.5,
    "qhadam": -2.5,
    "yogi": -2.0,  # Zaheer et al. 2018 recommend 1e-2, ten times their Adam
    "rmsprop": -2.5,  # best at 3e-3
    "lion": -3.5,  # Chen et al. 2023: 3 to 10 times below AdamW
    "signum": -3.5,  # every coordinate moves by the whole rate, as in Lion
    "rprop": -2.5,  # the rate is only the first step; full-batch rule, expected to do badly on mini-batches
}


def centre(name: str, optimizer: type) -> float:
    """The middle of the grid for an optimizer: from the table, or else its own default learning rate."""
    if name in CENTRES:
        return CENTRES[name]
    default = inspect.signature(optimizer).parameters.get("lr")
    rate = default.default if default is not None else None
    if not isinstance(rate, int | float) or not rate > 0:
        raise SettingError(f"{name}: has no default learning rate to build a grid around; give its `lr` one")
    return math.log10(rate)


def learning_rates(name: str, optimizer: type, count: int) -> list[float]:
    """`count` rates, evenly spaced in the logarithm from HALF_WIDTH decades below the centre to as many above."""
    middle = centre(name, optimizer)
    if count == 1:
        return [_round(10**middle)]
    return [_round(10 ** (middle + HALF_WIDTH * (2 * i / (count - 1) - 1))) for i in range(count)]


def _round(rate: float) -> float:
    return float(f"{rate:.4g}")
