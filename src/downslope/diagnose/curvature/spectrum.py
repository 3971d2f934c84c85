"""Extreme eigenvalues, trace and spectral density of a loss's Hessian, each with its error."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .checks import Check, examine
from .lanczos import MEMORY, End, Lanczos, search
from .objective import Objective
from .products import Products
from .read import BATCHES, check_positive, check_products, check_share, read, run_guarded

RADIUS = 0.01
"""The default scale of a step, as a share of the parameters' length (at least of 1)."""


@dataclass(frozen=True)
class Extremes:
    """The ends of the spectrum as found.

    `smallest` and `largest` are None where a check failed: `why` says which. Ritz values never lie outside the
    spectrum by more than `noise`; an end lies beyond its Ritz value by more than `missed` with a probability of at
    most 1 - `confidence`. `exhausted`: nothing was left to search."""

    smallest: End | None
    largest: End | None
    noise: float
    missed: float
    confidence: float
    products: int
    exhausted: bool
    size: int
    way: str
    why: str
    checks: tuple[Check, ...] = field(repr=False)
    notes: tuple[str, ...] = ()

    @property
    def radius(self) -> float:
        """The largest magnitude seen."""
        return max(abs(e.value) for e in (self.smallest, self.largest) if e) if self.smallest else math.nan

    @property
    def sign(self) -> int | None:
        """Of the smallest eigenvalue, where it is known: -1 is proved by a direction; +1 takes the whole space
        searched; 0 says that it is smaller than the noise, after such a search; None that nobody knows."""
        if self.smallest is None:
            return None
        if self.smallest.value < -self.noise:
            return -1
        if not self.exhausted:
            return None
        return 1 if self.smallest.value > self.noise else 0

    def __str__(self) -> str:
        if self.smallest is None or self.largest is None:
            return f"no eigenvalues: {self.why}"
        searched = "nothing was left to search" if self.exhausted else (
            f"beyond them by more than {self.missed:.2g} with a chance of {1 - self.confidence:.0%} at most"
        )  # fmt: skip
        sign = {-1: "negative, proved by a direction", 1: "positive", 0: "zero within the noise", None: "not known"}
        return (
            f"smallest {self.smallest!r}, largest {self.largest!r}, noise {self.noise:.1g}; {self.products} products, "
            f"{searched}; sign of the smallest: {sign[self.sign]}; {self.way} ({self.why})"
        )


def noise_of(lanczos: Lanczos, objective: Objective) -> float:
    """The measured asymmetry, and the rounding of products in the parameters' dtype."""
    low, high = lanczos.ritz_values[[0, -1]].abs().tolist()
    return lanczos.noise + 4 * objective.eps * max(low, high)


def extremes(
    what: Any,
    model: Any = None,
    data: Any = None,
    *,
    products: int = 300,
    tolerance: float = 1e-3,
    confidence: float = 0.99,
    train: bool = False,
    batches: int = BATCHES,
    seed: int = 0,
    memory: float = MEMORY,
) -> Extremes:
    """The smallest and the largest eigenvalue of the Hessian of a loss over all its data.

    What can be handed over is told at `critical_point`. Stops when neither end is missed by more than `tolerance` of
    the largest magnitude, at the `confidence`, or after `products` Hessian-vector products: about 200 at 1e-3, 65 at
    1e-2. A small residual alone would not do: it belongs to some eigenvalue, not always to the last. Costs 8 bytes of
    memory for each parameter and product, up to `memory` bytes, then it restarts. Everything is left as it was, bit for
    bit. Raises SettingError for what cannot be read."""
    who = "extremes"
    objective = read(what, model, data, train=train, batches=batches, who=who)
    check_share("confidence", confidence, who)
    check_positive("tolerance", tolerance, who)
    check_products(products, who)
    generator = torch.Generator().manual_seed(seed)
    with objective.opened():
        run_guarded(objective, who)
        seen = examine(objective, generator, RADIUS * max(1.0, objective.length))
        notes = objective.notes
        if seen.failed or seen.products is None:
            why = str(seen.failed)
            return Extremes(
                None, None, 0.0, math.inf, confidence, 0, False, objective.size, "none", why, seen.checks, notes
            )
        found = seen.products
        lanczos = Lanczos(found, objective.random(generator), generator, memory)
        search(lanczos, products, lambda l: converged(l, tolerance, confidence))
        low, high = lanczos.ends()
        noise = noise_of(lanczos, objective)
    return Extremes(
        low, high, noise, lanczos.gap(confidence), confidence, lanczos.products,
        lanczos.exhausted, objective.size, found.way.name, found.why, seen.checks, notes,
    )  # fmt: skip


def converged(lanczos: Lanczos, tolerance: float, confidence: float) -> bool:
    low, high = lanczos.ends()
    allowed = tolerance * max(abs(low.value), abs(high.value))
    return max(low.residual, high.residual) <= allowed and lanczos.gap(confidence) <= allowed


# ---- trace and density


@dataclass(frozen=True)
class Trace:
    """An estimate of the trace, the half width of its 95 % interval, and the products it took."""

    value: float
    error: float
    products: int


def trace(found: Products, generator: torch.Generator, products: int = 60) -> Trace:
    """Hutch++ (Meyer et al. 2021, arXiv:2010.09649): a third of the products finds the space that matters most, a third
    gives its share of the trace exactly, the rest estimates what is outside by random signs.

    To be used inside `objective.opened()`. The interval is Student's over the random signs; it is 0 when the space is
    the whole. Memory: a third of `products` vectors."""
    objective = found.objective
    third = max(1, min(products // 3, objective.size))
    sketch = torch.stack([found(_signs(objective, generator)) for _ in range(third)])
    q = torch.linalg.qr(sketch.T).Q.T
    exact = sum(float(row @ found(row)) for row in q)
    if third == objective.size:
        return Trace(exact, 0.0, 2 * third)
    rest = []
    for _ in range(max(2, products - 2 * third)):
        z = _signs(objective, generator)
        z = z - q.T @ (q @ z)
        rest.append(float(z @ found(z)))
    sample = torch.tensor(rest, dtype=torch.float64)
    error = student(len(rest) - 1, 0.975) * float(sample.std()) / math.sqrt(len(rest))
    return Trace(exact + float(sample.mean()), error, 2 * third + len(rest))


def _signs(objective: Objective, generator: torch.Generator) -> Tensor:
    signs = torch.randint(0, 2, (objective.size,), generator=generator)
    return (2.0 * signs.double() - 1).to(objective.device)


@dataclass(frozen=True)
class Density:
    """Where the eigenvalues lie: `below[i]` is the share of them below `grid[i]`, with its standard error over probes.

    `nodes` and `weights` are the quadrature itself: weights add up to 1."""

    grid: Tensor
    below: Tensor
    error: Tensor
    nodes: Tensor
    weights: Tensor
    products: int


def density(
    found: Products, generator: torch.Generator, probes: int = 4, steps: int = 40, points: int = 200
) -> Density:
    """Stochastic Lanczos quadrature (Ubaru, Chen & Saad 2017): `probes` random starts of `steps` products each.

    To be used inside `objective.opened()`. The error is that of the probes; beside it stands that of the quadrature,
    which resolves about `steps` places."""
    objective = found.objective
    runs = []
    for _ in range(max(2, probes)):
        lanczos = Lanczos(found, objective.random(generator), generator)
        lanczos.breakdowns = 1  # the quadrature is of one start: the first breakdown is the end
        lanczos.advance(min(steps, objective.size))
        values, vectors = torch.linalg.eigh(lanczos.projected)
        runs.append((values, vectors[0] ** 2, lanczos.products))
    low, high = min(float(v[0]) for v, _, _ in runs), max(float(v[-1]) for v, _, _ in runs)
    margin = 0.02 * (high - low) or 1.0
    grid = torch.linspace(low - margin, high + margin, points, dtype=torch.float64)
    shares = torch.stack([((v[None] < grid[:, None]) * w[None]).sum(1) for v, w, _ in runs])
    return Density(
        grid,
        shares.mean(0),
        shares.std(0) / math.sqrt(len(runs)),
        torch.cat([v for v, _, _ in runs]),
        torch.cat([w / len(runs) for _, w, _ in runs]),
        sum(k for _, _, k in runs),
    )


def student(freedom: int, share: float) -> float:
    """Student's quantile, to 2 % from 5 degrees of freedom on (Hill 1970), without scipy."""
    z = math.sqrt(2) * float(torch.erfinv(torch.tensor(2 * share - 1, dtype=torch.float64)))
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        a = 4 * share * (1 - share)
        return 2 * (share - 0.5) * math.sqrt(2 / a)
    n = freedom
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
    )
