"""Hessian-vector products that always work, and say how they were had."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from .objective import Objective, Term

REUSED = 512 * 2**20
"""Bytes of saved tensors up to which the graphs of all terms are kept from product to product: a reused graph costs
about 1.1 to 2.4 gradients a product, a rebuilt one 2.2 to 3.7 (measured on an MLP, a CNN and a transformer)."""


def _math() -> AbstractContextManager[Any]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.MATH)


def _no_cudnn() -> AbstractContextManager[Any]:
    return torch.backends.cudnn.flags(enabled=False)


@dataclass(frozen=True)
class Way:
    """How second derivatives are had: its name, and in which surroundings the graph is built."""

    name: str
    inside: Callable[[], AbstractContextManager[Any]] = nullcontext
    exact: bool = True


WAYS = (
    Way("exact"),
    Way("exact, with math attention", _math),
    Way("exact, without cuDNN", _no_cudnn),
)
DIFFERENCES = Way("central differences of the gradient", exact=False)


@dataclass
class Products:
    """The Hessian of an objective as a function of vectors; to be used inside `objective.opened()`.

    `way` and `why` say how it is computed, `spent` counts products over all the data. A product is accumulated over the
    terms in float64; the terms run in the parameters' dtype. `step` is the distance of central differences."""

    objective: Objective
    way: Way = WAYS[0]
    why: str = ""
    step: float = 0.0
    spent: float = 0
    reuse: bool = True
    _graphs: dict[int, Any] = field(default_factory=dict, repr=False)

    def __call__(self, vector: Tensor) -> Tensor:
        total = torch.zeros_like(vector)
        for weight, term in zip(self.objective.weights, self.objective.terms):
            total += weight * self.of_term(term, vector)
        self.spent += 1
        return total

    def curvatures(self, vector: Tensor, objective: Objective | None = None) -> Tensor:
        """v.Hv of each term, here or of another part of the data: costs one product over them."""
        terms = (objective or self.objective).terms
        self.spent += 1
        return torch.tensor([float(vector @ self.of_term(t, vector, keep=False)) for t in terms], dtype=torch.float64)

    def of_term(self, term: Term, vector: Tensor, keep: bool = True) -> Tensor:
        if not self.way.exact:
            return self.difference(term, vector, self.step)
        with self.way.inside():
            graph = self._graphs.get(id(term))
            if graph is None:
                graph = self._graph(term)
                if keep and self.reuse:
                    self._graphs[id(term)] = graph
            grads, places = graph
            if not grads:  # the gradient does not depend on the parameters: the loss is linear in them
                return torch.zeros_like(vector)
            shaped = self.objective.shaped(vector)
            out = torch.autograd.grad(
                grads,
                self.objective.parameters,
                grad_outputs=[shaped[i] for i in places],
                retain_graph=True,
                allow_unused=True,
            )
        return self.objective.flat(out)

    def _graph(self, term: Term) -> tuple[list[Tensor], list[int]]:
        """The gradient with its graph, of the parameters whose gradient depends on parameters."""
        loss = self.objective.loss(term)
        if not loss.requires_grad:
            return [], []
        grads = torch.autograd.grad(loss, self.objective.parameters, create_graph=True, allow_unused=True)
        places = [i for i, g in enumerate(grads) if g is not None and g.requires_grad]
        return [grads[i] for i in places], places  # type: ignore[misc]

    def difference(self, term: Term, vector: Tensor, step: float) -> Tensor:
        """The product by two gradients, at plus and minus `step` along the vector."""
        length = float(torch.linalg.vector_norm(vector))
        if length == 0:
            return torch.zeros_like(vector)
        ends = []
        for h in (step, -step):
            with self.objective.moved(vector * (h / length)):
                ends.append(self.objective.gradient(term))
        return (ends[0] - ends[1]) * (length / (2 * step))

    def whole_difference(self, vector: Tensor, step: float) -> Tensor:
        """The same over all the data."""
        total = torch.zeros_like(vector)
        for weight, term in zip(self.objective.weights, self.objective.terms):
            total += weight * self.difference(term, vector, step)
        return total

    def by_differences(self, why: str, probe: Tensor) -> Products:
        """These products by central differences, with a step that is measured."""
        return Products(self.objective, DIFFERENCES, why, choose_step(self, probe), self.spent)

    def on(self, part: Objective) -> Products:
        """The same way on a part of the data."""
        return Products(part, self.way, self.why, self.step, 0, self.reuse)


def products(objective: Objective, probe: Tensor) -> Products:
    """Find the first way that works, on the first term, with a probing vector.

    Exact double backward; then with attention as plain matrix products, since fused attention has no second
    derivative; then without cuDNN, whose recurrent networks have none; then differences."""
    refused: list[str] = []
    term = objective.terms[0]
    for way in WAYS:
        if way.inside is _no_cudnn and not torch.backends.cudnn.is_available():
            continue
        found = Products(objective, way, reuse=False)
        try:
            found.of_term(term, probe)
        except (RuntimeError, NotImplementedError) as error:  # of many kinds and words; what counts is that it fails
            refused.append(str(error).strip().split("\n")[0][:120])
            continue
        found.why = f"plain double backward failed: {refused[0]}" if refused else "double backward works"
        found.reuse = _saved_bytes(found, term) * len(objective.terms) <= REUSED
        return found
    return Products(objective, WAYS[0]).by_differences(f"double backward failed: {refused[0]}", probe)


def _saved_bytes(found: Products, term: Term) -> int:
    """What the graph of one term keeps, by asking it."""
    total = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        total += tensor.numel() * tensor.element_size()
        return tensor

    with found.way.inside(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        found._graph(term)
    return total


def choose_step(found: Products, probe: Tensor) -> float:
    """The step of central differences for a unit vector.

    Truncation grows as h^2 times the third derivative, rounding as eps/h: their balance is near eps^(1/3) of the
    parameters' length. Around it, steps a factor of 4 apart are tried along one vector, and the finer step of the pair
    of neighbours that agree best is taken. Costs 7 products on the first term."""
    objective = found.objective
    base = objective.eps ** (1 / 3) * max(1.0, objective.length)
    steps = [base * 4.0**k for k in range(3, -4, -1)]
    tried = [found.difference(objective.terms[0], probe, h) for h in steps]
    apart = [float(torch.linalg.vector_norm(a - b)) for a, b in pairwise(tried)]
    finite = [(a, h) for a, h in zip(apart, steps[1:]) if a == a]
    found.spent += len(steps) / len(objective.terms)
    return min(finite)[1] if finite and max(finite)[0] > 0 else base
