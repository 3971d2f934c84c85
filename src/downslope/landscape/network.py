"""The loss of a network as a function of one flat vector of parameters, at many points at once."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import RunError, SettingError
from ..training import batchnorm, faults
from ..training.data import Batch
from ..training.task import Task

TOGETHER = 8
"""Points evaluated at once: more gained nothing on two cores with the digits' network."""
BATCHNORM = {
    "checkpoint": "the running statistics of the checkpoint, at every point",
    "recompute": "recomputed over the data at each point, one point at a time",
}
"""What batch norms use away from the checkpoint."""


@dataclass
class Network:
    """A task's loss over some batches at any parameters, in evaluation mode: dropout off, the batch norms as told.

    `point` is the flat vector of the model's parameters as they are, float64 or float32 as theirs. The model is not
    changed. `way` says how points are evaluated: "together" through torch.func.vmap, or "one at a time" where a layer
    does not allow that, and `why`."""

    task: Task
    model: nn.Module
    batches: Sequence[Batch]
    norms: str = "checkpoint"
    way: str = "together"
    why: str = ""
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        if self.norms not in BATCHNORM:
            raise SettingError(f"batch norm {self.norms!r}: choose from {', '.join(BATCHNORM)}")
        self.model = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.names = [name for name, _ in self.model.named_parameters()]
        if not self.names:
            raise RunError(f"{self.task.name}: its model has no parameters, so there is no landscape")
        if len({p.dtype for p in self.model.parameters()}) > 1:
            raise RunError(f"{self.task.name}: its parameters are of several dtypes; a landscape needs one")
        if self.norms == "recompute" and self.has_norms:
            self.way, self.why = "one at a time", "batch norm's statistics are recomputed at each point"

    @property
    def has_norms(self) -> bool:
        return any(isinstance(m, _BatchNorm) for m in self.model.modules())

    @property
    def point(self) -> Tensor:
        return torch.cat([p.detach().reshape(-1) for p in self.model.parameters()])

    @property
    def sizes(self) -> list[int]:
        return [p.numel() for p in self.model.parameters()]

    def shaped(self, flat: Tensor) -> dict[str, Tensor]:
        """The parameters by name that flat vectors (..., P) hold, shaped (..., *shape)."""
        cuts = flat.split(self.sizes, -1)
        shapes = [p.shape for p in self.model.parameters()]
        return {n: c.reshape(*flat.shape[:-1], *s) for n, c, s in zip(self.names, cuts, shapes)}

    def norm_statistics(self) -> str:
        """In words, what batch norms use; empty for a network without any."""
        return f"batch norm: {BATCHNORM[self.norms]}" if self.has_norms else ""

    @torch.no_grad()
    def losses(self, points: Tensor) -> Tensor:
        """The mean losses (K) over all batches at points (K, P), in float64; what cannot be computed is nan."""
        if self.way == "together":
            try:
                return self._together(points)
            except RuntimeError as error:  # a layer that vmap has no rule for, or that branches on values
                self.way, self.why = "one at a time", str(error).strip().split("\n")[0][:150]
        return torch.stack([self._alone(point) for point in points])

    def _together(self, points: Tensor) -> Tensor:
        stacked = self.shaped(points)
        total, seen = torch.zeros(len(points), dtype=torch.float64), 0

        def loss(parameters: dict[str, Tensor], inputs: Any, targets: Any) -> Tensor:
            return self.task.loss(functional_call(self.model, parameters, (inputs,)), targets)

        for inputs, targets in self.batches:
            size = faults.size(inputs, targets)
            found = vmap(loss, in_dims=(0, None, None), randomness="same")(stacked, inputs, targets)
            total += found.double().cpu() * size
            seen += size
        return total / seen

    def _alone(self, point: Tensor) -> Tensor:
        parameters = self.shaped(point)
        if self.norms == "recompute" and self.has_norms:
            return self._normed(parameters)
        total, seen = 0.0, 0
        for inputs, targets in self.batches:
            size = faults.size(inputs, targets)
            total += float(self.task.loss(functional_call(self.model, parameters, (inputs,)), targets)) * size
            seen += size
        return torch.tensor(total / seen, dtype=torch.float64)

    def _normed(self, parameters: dict[str, Tensor]) -> Tensor:
        model = copy.deepcopy(self.model)
        for name, p in model.named_parameters():
            p.copy_(parameters[name])
        batchnorm.recompute(model, self.batches)
        there = Network(self.task, model, self.batches, "checkpoint", "one at a time")
        return there._alone(there.point)
