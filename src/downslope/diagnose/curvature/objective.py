"""What is looked at: a loss as a weighted sum of terms, one for each piece of data, over a list of parameters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import SettingError
from .kept import doubled, kept

Term = Callable[[], Any]


@dataclass(frozen=True)
class Objective:
    """A loss, `sum(w * term())` with weights that add up to 1, and the parameters it depends on.

    Vectors are flat, of `size` elements in float64, on the device of the first parameter. `weights` are shares of the
    samples. `notes` say in words what was decided while reading what the user gave. Where the data can be cut, `pieces`
    is the same loss in many small terms, whose scatter is the noise of their mean, and `halves` are two losses on data
    that share no sample: one to search on in terms as large as they came, one to check on, in pieces."""

    parameters: tuple[Tensor, ...]
    terms: tuple[Term, ...]
    weights: tuple[float, ...]
    model: nn.Module | None = None
    train: bool = False
    notes: tuple[str, ...] = ()
    pieces: Objective | None = None
    halves: tuple[Objective, Objective] | None = None
    double: bool = False  # run in double precision, whatever the parameters are
    mood: dict[str, bool] = field(default_factory=dict, repr=False)  # what was learned of the terms by calling them

    @property
    def size(self) -> int:
        return sum(p.numel() for p in self.parameters)

    @property
    def device(self) -> torch.device:
        """Where flat vectors live: with the parameters, except where float64 is missing."""
        device = self.parameters[0].device
        return torch.device("cpu") if device.type == "mps" else device

    @property
    def eps(self) -> float:
        """The rounding unit of the coarsest parameter."""
        return max(torch.finfo(p.dtype).eps for p in self.parameters)

    @property
    def length(self) -> float:
        """The Euclidean norm of the parameters."""
        return float(torch.linalg.vector_norm(self.flat([p.detach() for p in self.parameters])))

    def part(self, places: Sequence[int]) -> Objective:
        """The same loss over some of the terms, weighted anew."""
        total = sum(self.weights[i] for i in places)
        weights = tuple(self.weights[i] / total for i in places)
        return replace(self, terms=tuple(self.terms[i] for i in places), weights=weights)

    # ---- vectors

    def flat(self, tensors: Sequence[Tensor | None]) -> Tensor:
        """One vector of tensors shaped as the parameters; None stands for zeros."""
        rows = [
            torch.zeros(p.numel(), dtype=torch.float64, device=self.device)
            if t is None
            else (t.to_dense() if t.is_sparse else t).detach().reshape(-1).to(self.device, torch.float64)
            for t, p in zip(tensors, self.parameters)
        ]
        return torch.cat(rows)

    def shaped(self, vector: Tensor) -> list[Tensor]:
        """A vector cut into tensors of the parameters' shapes, dtypes and devices."""
        cuts = vector.split([p.numel() for p in self.parameters])
        return [c.reshape(p.shape).to(p.device, p.dtype) for c, p in zip(cuts, self.parameters)]

    def random(self, generator: torch.Generator) -> Tensor:
        """A vector of length 1, uniform on the sphere."""
        vector = torch.randn(self.size, dtype=torch.float64, generator=generator).to(self.device)
        return vector / torch.linalg.vector_norm(vector)

    @contextmanager
    def moved(self, shift: Tensor) -> Iterator[None]:
        """Inside, the parameters are moved by a vector; then they are back, bit for bit."""
        before = [p.detach().clone() for p in self.parameters]
        cuts = shift.split([p.numel() for p in self.parameters])
        try:
            for p, b, c in zip(self.parameters, before, cuts):
                # added in float64, so that only the position is rounded
                p.data.copy_((b.to(self.device, torch.float64) + c.reshape(p.shape)).to(p.device, p.dtype))
            yield
        finally:
            for p, b in zip(self.parameters, before):
                p.data.copy_(b)

    # ---- the loss and its gradient

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Inside, terms may be called: nothing compiled runs, the model is in the mode that was asked for, and
        everything is put back at the end."""
        with ExitStack() as stack:
            if "torch._dynamo" in sys.modules:  # where nobody has imported it nothing is compiled
                stack.enter_context(torch.compiler.set_stance("force_eager"))
            stack.enter_context(kept(self.parameters, self.model))
            torch.backends.mha.set_fastpath_enabled(False)  # it rounds otherwise than what gradients are taken of
            if self.model is not None:
                self.model.train(self.train)
            if self.double and self.model is not None:
                stack.enter_context(doubled(self.model))
            yield

    def loss(self, term: Term) -> Tensor:
        """One term's value, checked for being one number."""
        value = term()
        if not isinstance(value, Tensor):
            raise SettingError(f"the loss is a {type(value).__name__}, {value!r:.60}; return a scalar tensor")
        if value.numel() != 1:
            raise SettingError(f"the loss has shape {tuple(value.shape)}; return a scalar, such as its mean")
        if value.is_complex():
            raise SettingError(f"the loss is {value.dtype}; return a real scalar")
        return value.reshape(())

    def values(self, shift: Tensor | None = None) -> Tensor:
        """Each term's value, here or at a shift, in float64."""
        with ExitStack() as stack:
            if shift is not None:
                stack.enter_context(self.moved(shift))
            return torch.tensor([self._value(term) for term in self.terms], dtype=torch.float64)

    def value(self, shift: Tensor | None = None) -> float:
        return self.mean(self.values(shift))

    def mean(self, values: Tensor) -> float:
        return float((values * torch.tensor(self.weights, dtype=torch.float64)).sum())

    def _value(self, term: Term) -> float:
        if not self.mood.get("needs_grad"):
            try:
                with torch.no_grad():
                    return float(self.loss(term).double())
            except RuntimeError:  # a closure that calls backward itself, or takes derivatives inside
                self.mood["needs_grad"] = True
        return float(self.loss(term).detach().double())

    def gradient(self, term: Term) -> Tensor:
        """One term's gradient. A closure that runs backward itself leaves it in `.grad`, and it is read there."""
        if not self.mood.get("own_backward"):
            loss = self.loss(term)
            if not loss.requires_grad:
                return self.flat([None] * len(self.parameters))
            try:
                return self.flat(torch.autograd.grad(loss, self.parameters, allow_unused=True))
            except RuntimeError as error:
                if "a second time" not in str(error):
                    raise
                self.mood["own_backward"] = True
        for p in self.parameters:
            p.grad = None
        self.loss(term)
        return self.flat([p.grad for p in self.parameters])

    def gradients(self, shift: Tensor | None = None) -> Iterator[Tensor]:
        """Each term's gradient, here or at a shift."""
        with ExitStack() as stack:
            if shift is not None:
                stack.enter_context(self.moved(shift))
            for term in self.terms:
                yield self.gradient(term)

    def whole_gradient(self, shift: Tensor | None = None) -> Tensor:
        """The gradient of the whole loss; one vector in memory beside the sum."""
        total = torch.zeros(self.size, dtype=torch.float64, device=self.device)
        for weight, g in zip(self.weights, self.gradients(shift)):
            total += weight * g
        return total
