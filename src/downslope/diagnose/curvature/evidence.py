"""The tests behind a verdict: the gradient against its noise, a direction on other data, what a step would gain."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .lanczos import MEMORY, Lanczos
from .objective import Objective
from .products import Products
from .read import LEAST
from .spectrum import student

FLIPS = 4095
GROUPS = 32


@dataclass(frozen=True)
class GradientTest:
    """The gradient's norm beside what noise alone would give, and the test that tells them apart.

    `noise` is the root of the expected squared norm of the mean of the pieces if the true gradient were zero, None
    where the data cannot be cut. `p_value` is that of the test, None likewise. `distance` is how far away a critical
    point is by the curvature, None where it was not needed."""

    norm: float
    noise: float | None
    p_value: float | None
    distance: float | None
    stationary: bool
    test: str


def sign_flips(gradients: Tensor, generator: torch.Generator) -> tuple[float, float]:
    """(p-value, noise) of the mean of the rows being zero, by flipping signs of rows.

    If the true gradient is zero and the noise symmetric, any signs are as likely as those found. The statistic is
    |sum|^2, of which only products of rows are needed. All 2^(n-1) flips up to n = 12, else 4,095 random ones."""
    n = len(gradients)
    gram = (gradients @ gradients.T).cpu()
    noise = math.sqrt(max(0.0, float(gram.diagonal().sum())))
    ours = float(gram.sum())
    if n <= 12:
        codes = torch.arange(2 ** (n - 1))[:, None] >> torch.arange(n - 1)[None]
        signs = torch.cat([torch.ones(len(codes), 1), 1.0 - 2.0 * (codes & 1)], 1).double()
    else:
        signs = 1.0 - 2.0 * torch.randint(0, 2, (FLIPS, n), generator=generator).double()
        signs = torch.cat([torch.ones(1, n, dtype=torch.float64), signs])
    flipped = ((signs @ gram) * signs).sum(1)
    return float((flipped >= ours * (1 - 1e-12)).double().mean()), noise


def test_gradient(
    objective: Objective,
    found: Products,
    generator: torch.Generator,
    *,
    confidence: float,
    resolution: float,
    radius: float,
) -> tuple[GradientTest, Tensor]:
    """Whether the gradient is zero as far as can be told, and the gradient.

    With enough pieces of data: the sign-flip test. Otherwise, of a loss without noise: stationary is where the loss
    over a step of `radius` could not be seen to change, or where the curvature puts a critical point within a
    hundredth of `radius`. Costs one gradient over the data, and up to 20 products in the second case."""
    if objective.pieces is not None:
        rows = _weighted(objective.pieces)
        mean = rows.sum(0)
        norm = float(torch.linalg.vector_norm(mean))
        if norm * radius <= resolution:
            return GradientTest(norm, None, None, 0.0, True, _TINY), mean
        p_value, noise = sign_flips(rows, generator)
        text = f"signs of the gradients of {len(rows)} pieces of the data flipped, at a level of {1 - confidence:.2g}"
        return GradientTest(norm, noise, p_value, None, p_value > 1 - confidence, text), mean
    mean = objective.whole_gradient()
    norm = float(torch.linalg.vector_norm(mean))
    if norm * radius <= resolution:
        return GradientTest(norm, None, None, 0.0, True, _TINY), mean
    distance = newton_distance(found, mean, generator)
    text = f"distance to a critical point by the curvature, against a hundredth of r = {radius:.2g}; no noise is known"
    return GradientTest(norm, None, None, distance, distance <= radius / 100, text), mean


_TINY = "over a step of r the loss could not be seen to change by it"


def _weighted(pieces: Objective) -> Tensor:
    """Each piece's share of the mean gradient; many pieces are put together, 32 to 8 as memory allows."""
    groups = min(GROUPS, len(pieces.terms), max(LEAST, MEMORY // (8 * pieces.size)))
    rows = torch.zeros(groups, pieces.size, dtype=torch.float64, device=pieces.device)
    for place, (weight, g) in enumerate(zip(pieces.weights, pieces.gradients())):
        rows[place % groups] += weight * g
    return rows


def newton_distance(found: Products, gradient: Tensor, generator: torch.Generator, most: int = 20) -> float:
    """The length of |H|^-1 g in the Krylov space of the gradient (Dauphin et al. 2014 call it saddle-free Newton)."""
    lanczos = Lanczos(found, gradient, generator)
    lanczos.breakdowns = 1  # the space of this start is all that is asked for
    lanczos.advance(min(most, found.objective.size))
    if not len(lanczos.basis):
        return math.inf
    values, vectors = torch.linalg.eigh(lanczos.projected)
    floor = 1e-12 * float(values.abs().max())
    if floor == 0:
        return math.inf
    along = vectors[0] * float(torch.linalg.vector_norm(gradient)) / values.abs().clamp(min=floor)
    return float(torch.linalg.vector_norm(along))


# ---- a direction


@dataclass(frozen=True)
class Mean:
    """A mean over pieces of data with its standard error; the error is that of rounding where there is one piece."""

    value: float
    error: float
    pieces: int

    def below_zero(self, confidence: float) -> bool:
        """Whether it is negative, at this one-sided confidence."""
        bound = 1.0 if self.pieces == 1 else student(self.pieces - 1, confidence)
        return self.value + bound * self.error < 0

    def __str__(self) -> str:
        return f"{self.value:.3g} ± {self.error:.1g}"


def mean_of(objective: Objective, values: Tensor, rounding: float) -> Mean:
    """The weighted mean; pieces are of nearly equal size, so that the error is that of a plain mean."""
    mean, n = objective.mean(values), len(values)
    if n < 4:
        return Mean(mean, rounding, 1)
    return Mean(mean, max(float(values.std()) / math.sqrt(n), rounding), n)


@dataclass(frozen=True)
class Witness:
    """A direction of negative curvature, looked at again.

    `searched` is v.Hv where it was found; `curvature` is v.Hv, and `bend` the curvature (L(+r) + L(-r) - 2 L(0)) / r^2
    of the loss itself, on data that had no part in the search if `other_data`, else on the same loss."""

    searched: float
    curvature: Mean
    bend: Mean
    radius: float
    other_data: bool
    certified: bool

    def __str__(self) -> str:
        where = "on data that had no part in the search" if self.other_data else "on the same loss"
        return (
            f"curvature {self.searched:.3g} where it was searched, {self.curvature} {where}; "
            f"the loss itself bends by {self.bend} over plus and minus {self.radius:.2g}"
        )


SCALES = (1.0, 0.25, 4.0, 1 / 16)


def witness(
    found: Products, check: Objective, direction: Tensor, searched: float, *, other_data: bool, radius: float,
    resolution: float, noise: float, confidence: float,
) -> Witness:  # fmt: skip
    """Check a direction on other terms, by their curvature and by their losses at plus and minus r.

    The loss is tried at r, r/4, 4r and r/16, until one confirms: a direction is certified when both are negative at the
    confidence. Costs a product and up to nine evaluations."""
    curvature = mean_of(check, found.curvatures(direction, check), noise)
    here = check.values()
    first = None
    for scale in SCALES:
        r = radius * scale
        second = check.values(direction * r) + check.values(direction * -r) - 2 * here
        bend = mean_of(check, second / r**2, 2 * resolution / r**2)
        first = first or (bend, r)
        if curvature.below_zero(confidence) and bend.below_zero(confidence):
            return Witness(searched, curvature, bend, r, other_data, True)
    assert first is not None
    return Witness(searched, curvature, first[0], first[1], other_data, False)


# ---- what a step gains


@dataclass(frozen=True)
class Gain:
    """The best change of the loss along a direction among the distances tried, with its error over pieces of data."""

    change: Mean
    distance: float
    sign: int

    def __str__(self) -> str:
        return f"{self.change} at distance {self.distance:.2g}"


BOTH = range(-3, 4)
DOWNHILL = range(-7, 4)  # along a steep valley's wall the best step is short


def gain(
    check: Objective, direction: Tensor, radius: float, resolution: float, powers: range, signs: tuple[int, ...] = (1,)
) -> Gain:
    """The loss along a unit vector, at distances r times powers of 4."""
    here = check.values()
    tried = []
    for power in powers:
        for sign in signs:
            r = radius * 4.0**power
            change = mean_of(check, check.values(direction * (sign * r)) - here, resolution)
            if math.isfinite(change.value):
                tried.append(Gain(change, r, sign))
    if not tried:
        return Gain(Mean(0.0, resolution, 1), 0.0, 1)
    return min(tried, key=lambda g: g.change.value)
