"""What a step did: norms of gradients, weights and updates before and after it, dead rows, neighbours' gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from ...optim.sharding import local
from ..signals import Sample, Signals
from . import norms


class Around:
    """Looks at the parameters in the optimizer, just before a step and just after. Costs a copy of them."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, signals: Signals, tensors: list[torch.Tensor], factor: Any = None
    ):
        self.optimizer, self.signals, self.tensors = optimizer, signals, tensors
        place = {id(p): i for i, p in enumerate(tensors)}
        self.trained = [place[id(p)] for g in optimizer.param_groups for p in g["params"] if id(p) in place]
        self.factor = 1.0 if factor is None else factor[self.trained]  # norms over those of the parts that lie here
        self.wants_next = False  # the other half of a pair of neighbours is the next step
        self._previous: tuple[int, list[torch.Tensor], float] | None = None
        self.reset()

    def reset(self) -> None:
        """A new step begins."""
        self.before_clip = self.after_clip = self.stale = math.nan
        self.weights: list[torch.Tensor] | None = None
        self._grads: Any = None  # their norms, of what lies here

    @property
    def held(self) -> list[torch.Tensor]:
        return [local(self.tensors[i]) for i in self.trained]

    @property
    def gradients(self) -> list[torch.Tensor | None]:
        found = [self.tensors[i].grad for i in self.trained]
        return [None if g is None else local(g) for g in found]

    def after_backward(self) -> None:
        self.before_clip = norms.total(norms.norms(self.gradients) * self.factor)

    def before_step(self, with_gradients: bool) -> list[str]:
        """Names of the parameters whose gradient is not finite."""
        held, grads = self.held, self.gradients
        self.weights = [p.detach().clone() for p in held]
        if not with_gradients:
            return []
        self._grads = norms.norms(grads)
        self.after_clip = norms.total(self._grads * self.factor)
        self.stale = norms.staleness(self.optimizer, [self.tensors[i] for i in self.trained], self._grads)
        return self.not_finite(grads, self._grads)

    def not_finite(self, grads: list[torch.Tensor | None], sizes: Any) -> list[str]:
        pairs = zip(self.trained, grads, sizes)
        return [self.signals.parameters[i].name for i, g, size in pairs if g is not None and not math.isfinite(size)]

    def after_step(self, value: float, lr: float, batch: int) -> None:
        s, held, grads = self.signals, self.held, self.gradients
        assert self.weights is not None
        if self._grads is None:  # the step made its own backward passes
            self._grads = norms.norms(grads)
            self.after_clip = self.before_clip = norms.total(self._grads * self.factor)
        size = norms.norms(self.weights)
        with torch.no_grad():
            moved = torch._foreach_sub([p.detach() for p in held], self.weights)
        update = norms.norms(list(moved))
        dense = [(g, u) for g, u in zip(grads, moved) if g is not None and not g.is_sparse]
        scale = norms.total(self._grads) * norms.total(update)
        along = norms.dot([g for g, _ in dense], [u for _, u in dense]) / scale if scale > 0 else math.nan
        full: list[Any] = [np.full(len(self.tensors), math.nan) for _ in range(3)]
        for into, values in zip(full, (self._grads, size, update)):
            into[self.trained] = values * self.factor
        around = (self.before_clip, self.after_clip, along, self.stale)
        s.add(s.samples, Sample(s.steps, value, lr, full[0], full[1], full[2], *around))
        self._dead(grads)
        self._neighbours([g for g, _ in dense], batch)

    def _dead(self, grads: list[torch.Tensor | None]) -> None:
        """Rows of a weight that got no gradient at all."""
        s = self.signals
        for i, g in zip(self.trained, grads):
            p = s.parameters[i]
            if p.kind == "weight" and g is not None and not g.is_sparse and p.shape[0] >= 8:
                s.remember_dead(p.name, (g == 0).flatten(1).all(1).cpu().numpy())

    def _neighbours(self, grads: list[torch.Tensor], batch: int) -> None:
        """Products of the gradients of neighbouring steps: what the noise scale is estimated from."""
        s = self.signals
        square = norms.total(self._grads) ** 2
        if self._previous is not None and self._previous[0] == s.steps - 1:
            kept = self._previous[1]
            if len(kept) == len(grads):
                s.add(s.dots, (s.steps, batch, norms.dot(kept, grads), self._previous[2], square))
            self._previous, self.wants_next = None, False
        elif math.isfinite(square):
            self._previous = (s.steps, [g.detach().clone() for g in grads], square)
            self.wants_next = True
