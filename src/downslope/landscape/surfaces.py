"""The table of test surfaces. Values, gradients, minima and saddles are verified in tests/test_surfaces.py.

Formulas as in Jamil & Yang 2013, arXiv:1308.4008 (J&Y), and Surjanovic & Bingham, Virtual Library of Simulation
Experiments (VLSE), which do not always agree with the first papers; the first papers are named where they are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from ..compiler.functions import cos, exp, sin, sqrt
from ..errors import SettingError, nearest
from .surface import Box, Surface

PI, E = math.pi, math.e


def _square(half: float) -> Box:
    return ((-half, half), (-half, half))


def quadratic(condition: float = 100.0, angle: float = 30.0) -> Surface:
    """A bowl of curvatures 1 and 1 / condition, the flat direction turned by `angle` degrees from the x axis.

    Raises SettingError for a condition below 1 or not finite."""
    if not (1 <= condition < math.inf and math.isfinite(angle)):
        raise SettingError(
            f"quadratic: condition={condition:g}, angle={angle:g}; the condition is at least 1, both are finite"
        )
    c, s = math.cos(math.radians(angle)), math.sin(math.radians(angle))

    def bowl(x: Any, y: Any) -> Any:
        return ((c * x + s * y) ** 2 / condition + (c * y - s * x) ** 2) / 2

    far = (-3 * c - 0.7 * s, -3 * s + 0.7 * c)
    text = f"(u² / {condition:g} + v²) / 2, with u, v the axes turned by {angle:g}°"
    source = "Goh 2017, Distill, doi:10.23915/distill.00006: convergence is ruled by the condition number"
    return Surface("quadratic", bowl, text, _square(4), ((0, 0),), far, source)


def noisy(deviation: float = 1.0) -> Surface:
    """A round bowl whose gradients have noise of this standard deviation, as mini-batches do."""
    if not 0 <= deviation < math.inf:
        raise SettingError(f"noisy-quadratic: noise={deviation:g}; give a standard deviation from 0 up")
    source = "Schaul, Zhang & LeCun 2013, arXiv:1206.1106, section 4: SGD on a noisy quadratic"
    return Surface(
        "noisy-quadratic", lambda x, y: (x**2 + 4 * y**2) / 2, "(x² + 4 y²) / 2, gradients with noise",
        _square(4), ((0, 0),), (-3.2, 2.4), source, noise=deviation,
    )  # fmt: skip


def _beale(x: Any, y: Any) -> Any:
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def _goldstein_price(x: Any, y: Any) -> Any:
    first = 1 + (x + y + 1) ** 2 * (19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2)
    return first * (30 + (2 * x - 3 * y) ** 2 * (18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2))


def _ackley(x: Any, y: Any) -> Any:
    waves = exp((cos(2 * PI * x) + cos(2 * PI * y)) / 2)
    return -20 * exp(-0.2 * sqrt((x**2 + y**2) / 2)) - waves + E + 20


def _levy(x: Any, y: Any) -> Any:
    across = (x - 1) ** 2 * (1 + sin(3 * PI * y) ** 2)
    return sin(3 * PI * x) ** 2 + across + (y - 1) ** 2 * (1 + sin(2 * PI * y) ** 2)


def _branin(x: Any, y: Any) -> Any:
    return (y - 5.1 / (4 * PI**2) * x**2 + 5 / PI * x - 6) ** 2 + 10 * (1 - 1 / (8 * PI)) * cos(x) + 10


# What is seen in the animations of Radford 2014. He published neither code nor settings: those of Beale are measured
# from the frames (errors below one pixel but for RMSprop). Of Adadelta only lr * sqrt(eps) = 0.15 can be told. Adam was
# not in them; its rate is of the same order as RMSprop's.
RADFORD = {
    "sgd": {"lr": 0.001},
    "momentum": {"lr": 0.001, "momentum": 0.95},
    "nag": {"lr": 0.001, "momentum": 0.95},
    "adagrad": {"lr": 1.0},
    "adadelta": {"lr": 150.0, "rho": 0.98, "eps": 1e-6},
    "rmsprop": {"lr": 0.1, "alpha": 0.98},
    "adam": {"lr": 0.1},
}
VALLEY = {
    "sgd": {"lr": 0.03},
    "momentum": {"lr": 0.03, "momentum": 0.93},
    "nag": {"lr": 0.03, "momentum": 0.93},
    "adagrad": {"lr": 0.5},
    "adadelta": {"lr": 20.0, "rho": 0.95, "eps": 1e-6},
    "rmsprop": {"lr": 0.03, "alpha": 0.9},
    "adam": {"lr": 0.1},
}
SADDLE = {
    "sgd": {"lr": 0.01},
    "momentum": {"lr": 0.01, "momentum": 0.9},
    "nag": {"lr": 0.01, "momentum": 0.9},
    "adagrad": {"lr": 0.08},
    "adadelta": {"lr": 3.0, "rho": 0.95, "eps": 1e-6},
    "rmsprop": {"lr": 0.01, "alpha": 0.95},
    "adam": {"lr": 0.02},
}

_TABLE = (
    Surface(
        "beale", _beale, "(1.5 − x + xy)² + (2.25 − x + xy²)² + (2.625 − x + xy³)²", _square(4.5), ((3, 0.5),),
        (1.0, 1.6), "Beale 1958, Princeton; J&Y 10; settings of Radford's animation", log=True, classic=RADFORD,
        saddles=((0, 1), (0.1005, -2.6445)),
    ),
    Surface(
        "long-valley", lambda x, y: 8 * x**2 + 0.3 * (sqrt(1 + y**2) - 1), "8 x² + 0.3 (√(1 + y²) − 1)",
        ((-1.0, 1.0), (-1.5, 4.5)), ((0, 0),), (-0.75, 3.8),
        "steep walls and a floor of nearly even slope, after Radford 2014, whose formula is unknown", classic=VALLEY,
    ),
    Surface(
        "saddle", lambda x, y: 6 * x**2 - 2 * y**2, "6 x² − 2 y²", ((-1.0, 1.0), (-1.5, 1.5)), (), (-0.9, -1e-3),
        "the plainest strict saddle, in the proportions of Radford 2014", steps=120, classic=SADDLE, saddles=((0, 0),),
    ),
    Surface(
        "monkey-saddle", lambda x, y: x**3 - 3 * x * y**2, "x³ − 3 x y²", _square(1.5), (), (1.2, 1e-2),
        "Hilbert & Cohn-Vossen 1932: degenerate, its Hessian at (0, 0) is 0", saddles=((0, 0),),
    ),
    Surface(
        "rosenbrock", lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2, "(1 − x)² + 100 (y − x²)²",
        ((-2, 2), (-1, 3)), ((1, 1),), (-1.2, 1.0), "Rosenbrock 1960, The Computer Journal 3(3); J&Y 105", log=True,
    ),
    Surface(
        "himmelblau", lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2, "(x² + y − 11)² + (x + y² − 7)²",
        _square(5), ((3, 2), (-2.805118, 3.131313), (-3.77931, -3.283186), (3.584428, -1.848127)), (-0.5, -1.5),
        "Himmelblau 1972; J&Y 65", log=True,
        saddles=((-3.0730, -0.0814), (-0.1280, -1.9537), (0.0867, 2.8843), (3.3852, 0.0739)),
    ),
    Surface(
        "booth", lambda x, y: (x + 2 * y - 7) ** 2 + (2 * x + y - 5) ** 2, "(x + 2y − 7)² + (2x + y − 5)²", _square(10),
        ((1, 3),), (-7.0, -6.0), "J&Y 17", log=True,
    ),
    Surface(
        "matyas", lambda x, y: 0.26 * (x**2 + y**2) - 0.48 * x * y, "0.26 (x² + y²) − 0.48 xy", _square(10), ((0, 0),),
        (-8.0, 3.0), "J&Y 71",
    ),
    Surface(
        "three-hump-camel", lambda x, y: 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2,
        "2 x² − 1.05 x⁴ + x⁶/6 + xy + y²", ((-2.5, 2.5), (-2.5, 2.5)), ((0, 0),), (-2.0, 2.0),
        "J&Y 29 (there on ±5)", log=True, saddles=((1.0705, -0.5353), (-1.0705, 0.5353)),
    ),
    Surface(
        "six-hump-camel", lambda x, y: (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (4 * y**2 - 4) * y**2,
        "(4 − 2.1 x² + x⁴/3) x² + xy + (4 y² − 4) y²", ((-2, 2), (-1.2, 1.2)),
        ((0.0898420, -0.7126564), (-0.0898420, 0.7126564)), (-1.4, 0.05), "Dixon & Szegö 1978; J&Y 30",
        saddles=((0, 0),),
    ),
    Surface(
        "goldstein-price", _goldstein_price,
        "[1 + (x + y + 1)² (19 − 14x + 3x² − 14y + 6xy + 3y²)] · "
        "[30 + (2x − 3y)² (18 − 32x + 12x² + 48y − 36xy + 27y²)]",
        _square(2), ((0, -1),), (-1.2, 1.2), "Goldstein & Price 1971, Math. Comp. 25; J&Y 49", log=True,
        saddles=((-0.4, -0.6), (0.6, 0.4), (1.2, -0.2), (1.4, 0.6)),
    ),
    Surface(
        "styblinski-tang", lambda x, y: (x**4 - 16 * x**2 + 5 * x + y**4 - 16 * y**2 + 5 * y) / 2,
        "½ Σ (x⁴ − 16 x² + 5 x)", ((-4.5, 4.5), (-4.5, 4.5)), ((-2.903534, -2.903534),), (0.3, 0.5),
        "Styblinski & Tang 1990, Neural Networks 3; J&Y 144 (there on ±5)",
    ),
    Surface(
        "rastrigin", lambda x, y: 20 + x**2 - 10 * cos(2 * PI * x) + y**2 - 10 * cos(2 * PI * y),
        "20 + Σ (x² − 10 cos 2πx)", _square(5.12), ((0, 0),), (-3.4, 2.7),
        "Rastrigin 1974; Mühlenbein et al. 1991, Parallel Computing 17",
    ),
    Surface(
        "ackley", _ackley, "−20 exp(−0.2 √((x² + y²)/2)) − exp((cos 2πx + cos 2πy)/2) + e + 20", _square(5), ((0, 0),),
        (-3.4, 2.6), "Ackley 1987; J&Y 1. Not differentiable at its minimum",
    ),
    Surface(
        "griewank", lambda x, y: (x**2 + y**2) / 4000 - cos(x) * cos(y / math.sqrt(2)) + 1,
        "(x² + y²)/4000 − cos x cos(y/√2) + 1", _square(10), ((0, 0),), (-7.5, 6.0),
        "Griewank 1981, JOTA 34; J&Y 59 (there on ±100)",
    ),
    Surface(
        "easom", lambda x, y: -cos(x) * cos(y) * exp(-((x - PI) ** 2) - (y - PI) ** 2),
        "−cos x cos y exp(−(x − π)² − (y − π)²)", ((0, 6), (0, 6)), ((PI, PI),), (1.7, 2.2),
        "Easom 1990; J&Y 50 (there on ±100): flat but for one hole",
    ),
    Surface(
        "mccormick", lambda x, y: sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1,
        "sin(x + y) + (x − y)² − 1.5x + 2.5y + 1", ((-1.5, 4), (-3, 4)), ((-0.5471976, -1.5471976),), (3.5, -2.0),
        "McCormick 1976, Math. Programming 10; VLSE; J&Y 72", saddles=((1.5471976, 0.5471976),),
    ),
    Surface(
        "levy-13", _levy, "sin² 3πx + (x − 1)² (1 + sin² 3πy) + (y − 1)² (1 + sin² 2πy)", _square(5), ((1, 1),),
        (-3.3, 3.6), "Lévi N. 13, Lévy & Montalvo 1985; VLSE (there on ±10)",
    ),
    Surface(
        "branin", _branin, "(y − 5.1/(4π²) x² + 5x/π − 6)² + 10 (1 − 1/(8π)) cos x + 10", ((-5, 10), (0, 15)),
        ((-PI, 12.275), (PI, 2.275), (9.424778, 2.475)), (-0.6, 6.3), "Branin 1972, IBM J. Res. Dev. 16; VLSE",
        log=True,
        saddles=((0, 6), (2 * PI, 1.1)),
    ),
    Surface(
        "zakharov", lambda x, y: x**2 + y**2 + (0.5 * x + y) ** 2 + (0.5 * x + y) ** 4,
        "x² + y² + (0.5x + y)² + (0.5x + y)⁴", ((-5, 5), (-5, 5)), ((0, 0),), (4.0, 3.5),
        "J&Y 173, VLSE (there on −5 to 10)", log=True,
    ),
    Surface(
        "dixon-price", lambda x, y: (x - 1) ** 2 + 2 * (2 * y**2 - x) ** 2, "(x − 1)² + 2 (2y² − x)²",
        ((-2, 4), (-2, 2)), ((1, math.sqrt(0.5)), (1, -math.sqrt(0.5))), (-1.5, 0.3),
        "Dixon & Price 1989; J&Y 43 (there on ±10)", log=True, saddles=((1 / 3, 0),),
    ),
    Surface(
        "bump", lambda x, y: 0.15 * x**2 + y**2 + 0.5 * exp(-8 * ((x + 1.6) ** 2 + y**2)),
        "0.15 x² + y² + 0.5 exp(−8 ((x + 1.6)² + y²))", ((-3.5, 2.5), (-1.5, 1.5)), ((0, 0),), (-3.0, 0.0),
        "a small bump on the way down: plain descent rests before it, momentum carries over it", steps=250,
        classic={"sgd": {"lr": 0.05}, "momentum": {"lr": 0.05, "momentum": 0.9},
                 "nag": {"lr": 0.05, "momentum": 0.9}},
    ),
)  # fmt: skip

FAMILIES: dict[str, Callable[..., Surface]] = {"quadratic": quadratic, "noisy-quadratic": noisy}
"""Surfaces with settings: `quadratic(condition, angle)`, `noisy(deviation)`."""

SURFACES: dict[str, Surface] = {s.name: s for s in (*_TABLE, quadratic(), noisy())}
"""Every surface by its name."""


def by_name(name: str) -> Surface:
    """The surface of a name, whatever its case, blanks and underscores. Raises SettingError with the nearest names."""
    plain = name.strip().lower().replace("_", "-").replace(" ", "-")
    known = {**SURFACES, "levy": SURFACES["levy-13"], "valley": SURFACES["long-valley"]}
    if plain not in known:
        own = "; your own is an expression, such as 'x**2 + 10*y**2', or a function in a file, my_surfaces.py:bowl"
        raise SettingError(f"unknown surface {name!r}; {nearest(plain, SURFACES)}{own}")
    return known[plain]
