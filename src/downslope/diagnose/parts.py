"""A model cut into parts over several processes (FSDP2, DTensors): each watches its own, the first puts them together.

No collective is ever called, as the processes do not look at the same steps. A norm is that of the part which lies
here, in proportion to the whole; at the steps at which all look, and of the weights at the start, the parts are put
together through the store when a report is asked for."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from ..optim.sharding import is_shared, local
from .signals import Parameter, Sample, Signals

KINDS = ("grad", "weight", "update")
TOLD = 4
"""Steps that are told of at a time, each with three numbers a parameter."""


def needs_others(model: nn.Module, team: bool) -> str:
    """Why no forward pass can be made in one process alone, as forks and replays need it; "" if it can."""
    if any(map(is_shared, model.parameters())) or _holds(model, "FSDPModule") or is_flat(model):
        return "the model is cut into parts over several processes, and a copy of it cannot run in one"
    if team and any(isinstance(m, nn.SyncBatchNorm) for m in model.modules()):
        return "a SyncBatchNorm waits for the other processes"
    return ""


def is_flat(model: nn.Module) -> bool:
    """Is any of it in torch's first FullyShardedDataParallel? Its graph has one flat parameter in place of all."""
    return _holds(model, "FullyShardedDataParallel")


def _holds(model: nn.Module, kind: str) -> bool:
    """Is there a module of a class of FSDP's? Where nobody has imported it there is none."""
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and any(isinstance(m, getattr(fsdp, kind)) for m in model.modules())


def behind(model: nn.Module) -> dict[int, torch.Tensor]:
    """The part of a parameter for each whole one, by id, that FSDP may have gathered for a forward pass, as after a
    score: the optimizer knows the parts alone. torch has no public name for where they are; {} if that has changed."""
    found: dict[int, torch.Tensor] = {}
    for module in model.modules() if _holds(model, "FSDPModule") else ():
        state = module._get_fsdp_state() if hasattr(module, "_get_fsdp_state") else None  # type: ignore[operator]
        groups = getattr(state, "_fsdp_param_groups", None) or [getattr(state, "_fsdp_param_group", None)]
        for each in (p for group in groups for p in getattr(group, "fsdp_params", ())):
            if hasattr(each, "_unsharded_param"):
                found[id(each._unsharded_param)] = each.sharded_param
    return found


def with_own_batches(model: nn.Module, tensors: Sequence[Any], size: int) -> int:
    """How many of so many processes have batches of their own. Those that compute parts of one layer (tensor parallel:
    DTensors without FSDP, or cut along two dimensions of a mesh, of which the last is that) have one together."""
    shared = [t for t in tensors if is_shared(t)]
    if shared and not _holds(model, "FSDPModule"):
        return max(1, size // max(t.device_mesh.size() for t in shared))
    twice = [t.device_mesh for t in shared if sum(place.is_shard() for place in t.placements) > 1]
    return size // max((mesh.size(mesh.ndim - 1) for mesh in twice), default=1)


class Parts:
    """What of each parameter lies here, and what stands in for it while the model runs."""

    def __init__(self, model: nn.Module, tensors: Sequence[torch.Tensor]):
        self.model, self.tensors = model, tensors
        place = {id(t): i for i, t in enumerate(tensors)}
        gathered = behind(model)
        part = lambda p: id(gathered.get(id(p), p))  # noqa: E731
        owned = [
            (m, {name: place[part(p)] for name, p in m._parameters.items() if part(p) in place})
            for m in model.modules()
        ]
        self.owners = [(module, own) for module, own in owned if own]
        self.whole = np.array([t.numel() for t in tensors], dtype=float)
        self.here = np.array([local(t).numel() for t in tensors], dtype=float)
        values = [local(t).detach().double() for t in tensors]
        self.start = [(float(v.sum()), float(v.square().sum())) for v in values]
        with np.errstate(divide="ignore"):
            self.factor = np.sqrt(self.whole / self.here)  # of a norm; no part here: nothing is known
        self.factor[self.here == 0] = math.nan
        self._stand_ins: dict[int, torch.Tensor] = {}
        self._handles: list[Any] = []

    # ---- the graph of the loss has whole parameters, which FSDP makes for the forward pass

    def attach(self) -> None:
        """For one forward pass of the model, which has begun: remember what the parameters of each layer are in it."""
        self.detach()
        for module, own in self.owners:
            if module is self.model:
                self._meet(own, module, ())
            else:
                self._handles.append(module.register_forward_pre_hook(partial(self._meet, own)))

    def _meet(self, own: dict[str, int], module: nn.Module, args: Any) -> None:
        for name, i in own.items():
            p = module._parameters.get(name)
            if p is not None and p is not self.tensors[i]:
                self._stand_ins[i] = p

    def detach(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def in_graph(self) -> list[torch.Tensor]:
        """The parameters as the graph of the last loss has them."""
        return [self._stand_ins.get(i, t) for i, t in enumerate(self.tensors)]

    # ---- put together

    def told(self, samples: Iterable[Sample], shared: Any) -> dict[str, Any]:
        """What the first process is to know: sums of squares here, at the last of the `shared` steps."""
        found = [x for x in samples if shared(x.step)][-TOLD:]
        return {
            "here": self.here.tolist(),
            "start": self.start,
            "norms": {x.step: [self._squares(x, kind) for kind in KINDS] for x in found},
        }

    def _squares(self, sample: Sample, kind: str) -> list[float]:
        return [float(f"{x:.7g}") for x in np.square(getattr(sample, kind) / self.factor)]

    def pooled(self, s: Signals, mates: Sequence[Any]) -> tuple[list[Parameter], list[Sample]]:
        """Parameters with the moments that they began with, and samples with the norms, of all parts together."""
        mates = [mate["parts"] for mate in mates if mate.get("parts") and len(mate["parts"]["here"]) == len(self.here)]
        if not mates:
            return s.parameters, s.samples
        parameters = []
        for i, p in enumerate(s.parameters):
            pairs = [self.start[i], *(mate["start"][i] for mate in mates)]
            count = self.here[i] + sum(mate["here"][i] for mate in mates)
            parameters.append(_began(p, pairs, count))
        return parameters, [self._joined(x, mates) for x in s.samples]

    def _joined(self, sample: Sample, mates: list[Any]) -> Sample:
        """Of each parameter by what has been told of it: the parts that lie in several processes count once."""
        seen = [(mate["here"], mate["norms"][str(sample.step)]) for mate in mates if str(sample.step) in mate["norms"]]
        if not seen:
            return sample
        together = {}
        for k, kind in enumerate(KINDS):
            squares = np.array([self._squares(sample, kind), *(norms[k] for _, norms in seen)], dtype=float)
            sizes = np.where(np.isnan(squares), 0.0, np.array([self.here, *(here for here, _ in seen)]))
            with np.errstate(invalid="ignore"):  # of what nobody has seen: nan
                together[kind] = np.sqrt(np.nansum(squares, 0) * self.whole / sizes.sum(0))
        return replace(sample, **together)


def _began(p: Parameter, pairs: Sequence[tuple[float, float]], count: float) -> Parameter:
    """With the mean and standard deviation that sums and sums of squares give."""
    mean = sum(a for a, _ in pairs) / max(1.0, count)
    square = sum(b for _, b in pairs) - count * mean**2
    return replace(p, mean=mean, std=math.sqrt(max(0.0, square) / max(1.0, count - 1)))
