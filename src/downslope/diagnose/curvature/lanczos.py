"""The ends of a symmetric operator's spectrum, with bounds: Lanczos, fully reorthogonalised, with thick restarts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Operator = Callable[[Tensor], Tensor]
MEMORY = 2**30
"""Bytes that the basis may take: 8 for each of P elements of each of its vectors. When it is full it is cut back to a
few Ritz vectors of both ends, and the search goes on from there."""


@dataclass(frozen=True)
class End:
    """One end of the spectrum: a Ritz value, the norm of its residual (some eigenvalue lies within it), its vector."""

    value: float
    residual: float
    vector: Tensor

    def __repr__(self) -> str:
        return f"{self.value:.4g} ± {self.residual:.1g}"


class Lanczos:
    """A search that can be continued: `advance(k)` spends products, then `ends()`, `noise`, `gap(confidence)`.

    Takes a symmetric operator on vectors of `size` and a random start. Costs a product and two passes over the basis
    a step. The recurrence is float64; all coefficients are kept, so that what an exactly symmetric operator would make
    zero measures the operator's own noise.

    The bound is that of Kuczynski & Wozniakowski 1992, theorem 4.2: from a random start, k products miss an end by more
    than a share e of the spread of the spectrum with probability at most 1.648 sqrt(n) exp(-sqrt(e) (2k - 1))."""

    def __init__(self, operator: Operator, start: Tensor, generator: torch.Generator, memory: float = MEMORY):
        self.operator, self.size, self.generator = operator, start.numel(), generator
        self.room = int(max(12, min(self.size, memory // (8 * self.size))))
        self._store = torch.empty(min(16, self.room), self.size, dtype=torch.float64, device=start.device)
        self._held = 0
        self._expected = torch.zeros(0, dtype=torch.float64)
        self.projected = torch.zeros(0, 0, dtype=torch.float64)
        self.next: Tensor | None = start / torch.linalg.vector_norm(start)
        self.products = 0
        self.coupled = 0.0  # the length of what the last product left outside the basis
        self.unbroken = 0  # products before the first restart; the bound speaks of these
        self.breakdowns = 0
        self.asymmetry = 0.0
        self.finite = True
        self._band = 0  # how many of the basis stand from a restart; their coupling is not a band

    @property
    def basis(self) -> Tensor:
        """The orthonormal vectors, one a row."""
        return self._store[: self._held]

    def _append(self, vector: Tensor) -> None:
        if self._held == len(self._store):
            more = min(2 * self._held, self.room) - self._held
            self._store = torch.cat([self._store, vector.new_empty(more, self.size)])
        self._store[self._held] = vector
        self._held += 1

    @property
    def exhausted(self) -> bool:
        """Whether the whole space, or every distinct eigenvalue, has been seen: nothing is left to search."""
        return self.next is None

    def advance(self, count: int) -> None:
        """Spend up to this many products; fewer when the space is exhausted or a product is not finite."""
        for _ in range(count):
            if self.next is None or not self.finite:
                return
            self._step()

    def _step(self) -> None:
        assert self.next is not None
        if len(self.basis) >= self.room and self.room < self.size:
            self._restart()
        new = self.next
        image = self.operator(new)
        self.products += 1
        if not bool(torch.isfinite(image).all()):
            self.finite = False
            return
        self.unbroken += self._band == 0
        self._append(new)
        m = len(self.basis)
        column = self.basis @ image
        rest = image - self.basis.T @ column
        again = self.basis @ rest  # twice is enough
        rest = rest - self.basis.T @ again
        column = (column + again).cpu()
        grown = torch.zeros(m, m, dtype=torch.float64)
        grown[: m - 1, : m - 1] = self.projected
        row = torch.zeros(m, dtype=torch.float64)  # what symmetry says the column is, from the columns before
        row[: m - 1] = self._expected
        self.asymmetry = math.hypot(self.asymmetry, float(torch.linalg.vector_norm((column - row)[: m - 1])))
        grown[: m - 1, m - 1] = grown[m - 1, : m - 1] = (column + row)[: m - 1] / 2
        grown[m - 1, m - 1] = column[m - 1]
        self.projected = grown
        self.coupled = float(torch.linalg.vector_norm(rest))
        self._expected = torch.zeros(m, dtype=torch.float64)
        scale = float(grown.abs().max())
        if m == self.size:
            self.next, self.coupled = None, 0.0
        elif self.coupled <= 1e-10 * scale or self.coupled == 0:
            self._begin_anew()
        else:
            self._expected[m - 1] = self.coupled
            self.next = rest / self.coupled
            if self.coupled < 1e-3 * scale:  # cancellation has left more of the basis than rounding
                self.next = self._clean(self.next)

    def _clean(self, vector: Tensor) -> Tensor:
        for _ in range(2):
            vector = vector - self.basis.T @ (self.basis @ vector)
        return vector / torch.linalg.vector_norm(vector)

    def _begin_anew(self) -> None:
        """The Krylov space is invariant. Of a random start it then holds every distinct eigenvalue, in exact
        arithmetic; to be safe a second random start is followed before the search ends."""
        self.breakdowns += 1
        self.coupled = 0.0
        if self.breakdowns > 1:
            self.next = None
            return
        fresh = torch.randn(self.size, dtype=torch.float64, generator=self.generator).to(self.basis.device)
        self.next = self._clean(fresh)

    def _restart(self) -> None:
        """Keep the Ritz vectors nearest to both ends (Wu & Simon 2000); their coupling to the next vector is known."""
        keep = max(2, self.room // 3)
        values, vectors = torch.linalg.eigh(self.projected)
        low = -(-keep // 2)
        places = torch.cat([torch.arange(low), torch.arange(len(values) - (keep - low), len(values))])
        vectors = vectors[:, places]
        kept = vectors.T.to(self.basis.device) @ self.basis
        self._store[:keep], self._held = kept, keep
        self._expected = self._expected @ vectors
        self.projected = torch.diag(values[places])
        self._band = keep

    # ---- what is known

    def ends(self) -> tuple[End, End]:
        """The smallest and the largest Ritz value: never outside the spectrum, up to `noise`."""
        values, vectors = torch.linalg.eigh(self.projected)
        found = []
        for place in (0, -1):
            vector = self.basis.T @ vectors[:, place].to(self.basis.device)
            residual = self.coupled * abs(float(vectors[-1, place]))
            found.append(End(float(values[place]), residual, vector / torch.linalg.vector_norm(vector)))
        return found[0], found[1]

    @property
    def ritz_values(self) -> Tensor:
        return torch.linalg.eigvalsh(self.projected)

    @property
    def noise(self) -> float:
        """By how much the operator is not symmetric in the searched space: Ritz values are uncertain by about this."""
        scale = float(self.projected.abs().max()) if len(self.projected) else 0.0
        return self.asymmetry + 1e-14 * scale

    def gap(self, confidence: float) -> float:
        """How far an end may lie beyond its Ritz value, with this confidence for both; 0 when all was searched."""
        if self.exhausted:
            return 0.0
        k, failure = max(self.unbroken, 1), (1 - confidence) / 2
        share = (max(0.0, math.log(1.648 * math.sqrt(self.size) / failure)) / (2 * k - 1)) ** 2
        if share >= 0.5:
            return math.inf
        low, high = self.ritz_values[[0, -1]].tolist()
        return share * (high - low) / (1 - 2 * share)


def search(lanczos: Lanczos, budget: int, done: Callable[[Lanczos], bool], stride: int = 5) -> None:
    """Go on until `done`, exhaustion, or the budget of products."""
    while lanczos.products < budget and not lanczos.exhausted and lanczos.finite:
        lanczos.advance(min(stride, budget - lanczos.products))
        if len(lanczos.basis) and done(lanczos):
            return
