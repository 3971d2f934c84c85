"""The optimizers, and for each the ways to run it: ours, torch's, pytorch_optimizer's."""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

Parameters = list[torch.nn.Parameter]
Step = Callable[[], Any]


class Absent(Exception):
    """A peer that cannot run here, and why: a note in the table, not a failure."""


@dataclass(frozen=True)
class Optimizer:
    """`states`: tensors kept per parameter. `zoo`: pytorch_optimizer's own class for the same update, if it has one."""

    title: str
    states: int
    settings: dict[str, Any] = field(default_factory=dict)
    fused: bool = False
    zoo: tuple[str, dict[str, Any]] | None = None


# pytorch_optimizer hands on torch's own Adam, AdamW, NAdam and RMSprop; its ASGD is another algorithm.
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": Optimizer("SGD", 1, {"momentum": 0.9}, fused=True, zoo=("SGDW", {"momentum": 0.9, "lr": 1e-3})),
    "adagrad": Optimizer("Adagrad", 1, fused=True),
    "adadelta": Optimizer("Adadelta", 2, zoo=("AdaDelta", {})),
    "rmsprop": Optimizer("RMSprop", 1),
    "adam": Optimizer("Adam", 2, fused=True),
    "adamw": Optimizer("AdamW", 2, fused=True),
    "adamax": Optimizer("Adamax", 2, zoo=("AdaMax", {"lr": 2e-3})),
    "nadam": Optimizer("NAdam", 2),
    "radam": Optimizer("RAdam", 2, zoo=("RAdam", {"degenerated_to_sgd": True})),
    "asgd": Optimizer("ASGD", 1),
    "rprop": Optimizer("Rprop", 2),
}


def ours_class(title: str) -> type[torch.optim.Optimizer]:
    return getattr(importlib.import_module("downslope.optim"), title)


def has_ours(title: str) -> bool:
    return hasattr(importlib.import_module("downslope.optim"), title)


def torch_class(title: str) -> type[torch.optim.Optimizer]:
    return getattr(torch.optim, title)


def _ours(spec: Optimizer, params: Parameters) -> Step:
    return ours_class(spec.title)(params, **spec.settings).step


def _loop(spec: Optimizer, params: Parameters) -> Step:
    return torch_class(spec.title)(params, foreach=False, **spec.settings).step


def _foreach(spec: Optimizer, params: Parameters) -> Step:
    return torch_class(spec.title)(params, foreach=True, **spec.settings).step


def _fused(spec: Optimizer, params: Parameters) -> Step:
    if not spec.fused:
        raise Absent("torch has no fused kernel")
    return torch_class(spec.title)(params, fused=True, **spec.settings).step


def _zoo(spec: Optimizer, params: Parameters) -> Step:
    if spec.zoo is None:
        raise Absent("pytorch_optimizer has no class of its own for it")
    if importlib.util.find_spec("pytorch_optimizer") is None:
        raise Absent("not installed; pip install 'downslope[bench]'")
    name, settings = spec.zoo
    return getattr(importlib.import_module("pytorch_optimizer"), name)(params, **settings).step


def _compiled(spec: Optimizer, params: Parameters) -> Step:
    compilers = [os.environ.get("CXX"), "g++", "clang++", "cl"]
    if not any(name and shutil.which(name) for name in compilers):
        raise Absent("torch.compile needs a C++ compiler; none found")
    import torch._inductor.config as inductor  # late: it takes seconds

    inductor.compile_threads = 1  # workers would go on compiling after the time limit, beside what is timed next
    torch._dynamo.reset()
    return torch.compile(torch_class(spec.title)(params, **spec.settings).step, fullgraph=False)


PEERS: dict[str, Callable[[Optimizer, Parameters], Step]] = {
    "ours": _ours,
    "loop": _loop,
    "foreach": _foreach,
    "fused": _fused,
    "zoo": _zoo,
    "compile": _compiled,
}
TITLES = {
    "ours": "downslope",
    "loop": "loop",
    "foreach": "foreach",
    "fused": "fused",
    "zoo": "pytorch_optimizer",
    "compile": "torch.compile",
    "by hand": "fused, by hand",
}
NOT_EAGER = {"ours", "compile"}

MAX_NORM, AVERAGE = 1.0, 0.999


def clip_and_average_ours(params: Parameters) -> Step:
    return ours_class("AdamW")(params, lr=1e-3, max_norm=MAX_NORM, ema=AVERAGE).step


def clip_and_average_by_hand(params: Parameters) -> Step:
    """The fastest that torch offers for the three: each of them reads its tensors again."""
    optimizer = torch.optim.AdamW(params, lr=1e-3, fused=True)
    averages = [p.detach().clone() for p in params]

    @torch.no_grad()
    def step() -> None:
        torch.nn.utils.clip_grad_norm_(params, MAX_NORM, foreach=True)
        optimizer.step()
        torch._foreach_lerp_(averages, list(params), 1 - AVERAGE)

    return step


CLIP_AND_AVERAGE: dict[str, Callable[[Parameters], Step]] = {
    "ours": clip_and_average_ours,
    "by hand": clip_and_average_by_hand,
}


def disagreement(spec: Optimizer, peer: str, steps: int = 8) -> float:
    """The largest distance from torch's loop after some steps, in units of the loop's largest move."""
    sizes = [(33,), (7, 9), (1,)]
    starts = [torch.linspace(-1, 1, torch.Size(size).numel()).reshape(size) for size in sizes]
    ends = []
    for make in (_loop, PEERS[peer]):
        params = [torch.nn.Parameter(start.clone()) for start in starts]
        for param in params:
            param.grad = 0.1 * torch.cos(7 * param.detach())
        step = make(spec, params)
        for _ in range(steps):
            step()
        ends.append(torch.cat([p.detach().flatten() for p in params]))
    start = torch.cat([s.flatten() for s in starts])
    return ((ends[0] - ends[1]).abs().max() / (ends[0] - start).abs().max()).item()
