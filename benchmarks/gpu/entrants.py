"""What runs on the GPU: ours, torch's, and the packages with fewer bits."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import torch

from ..peers import OPTIMIZERS, Absent, Parameters, Step, ours_class, torch_class
from ..shapes import Shape, transformer

SHAPES: dict[str, Shape] = {
    "gpt": Shape("GPT, 1 B", transformer(layers=34, width=1536, words=50304, context=1024), large=True),
    "transformer": Shape("transformer, 24.5 M", transformer(), large=True),
}
QUICK = Shape("a small transformer", transformer(layers=2, width=64, words=256, context=32), large=False)


def parameters(shape: Shape, device: torch.device, dtype: torch.dtype = torch.float32) -> Parameters:
    """Parameters with a gradient each."""
    made = []
    for size in shape.tensors:
        parameter = torch.nn.Parameter(torch.empty(size, device=device, dtype=dtype).uniform_(-1, 1))
        parameter.grad = torch.empty_like(parameter).uniform_(-0.01, 0.01)
        made.append(parameter)
    return made


def element_wise() -> list[str]:
    """The optimizers of downslope.optim whose step is one pass over the elements."""
    from downslope import optim
    from downslope.compiler.plan import program

    found = []
    for name in optim.__all__:
        kind = getattr(optim, name)
        formula = getattr(kind, "formula", None)
        if formula is not None and not program(kind.choose(dict(kind.setting_defaults))).whole:
            found.append(name)
    return found


def ours(name: str, params: Parameters, **settings: Any) -> torch.optim.Optimizer:
    spec = next((s for s in OPTIMIZERS.values() if s.title == name), None)
    return ours_class(name)(params, **(spec.settings if spec else {}), **settings)


def torchs(name: str, params: Parameters) -> dict[str, Step]:
    """torch's own, where it has the optimizer: foreach, and fused where there is a kernel."""
    spec = next((s for s in OPTIMIZERS.values() if s.title == name), None)
    if spec is None:
        return {}
    steps = {"foreach": torch_class(name)(params, foreach=True, **spec.settings).step}
    if spec.fused:
        steps["fused"] = torch_class(name)(params, fused=True, **spec.settings).step
    return steps


def _package(module: str, name: str, pip: str) -> Any:
    if importlib.util.find_spec(module.partition(".")[0]) is None:
        raise Absent(f"not installed; pip install {pip}")
    return getattr(importlib.import_module(module), name)


EIGHT_BITS: dict[str, Callable[[Parameters], Step]] = {
    "bitsandbytes": lambda p: _package("bitsandbytes.optim", "AdamW8bit", "bitsandbytes")(p, lr=1e-3).step,
    "torchao": lambda p: _package("torchao.optim", "AdamW8bit", "torchao")(p, lr=1e-3).step,
    "flashoptim": lambda p: _package("flashoptim", "FlashAdamW", "flashoptim")(p, lr=1e-3).step,
}
BFLOAT16: dict[str, Callable[[Parameters], Step]] = {
    "optimi": lambda p: _package("optimi", "AdamW", "torch-optimi")(p, lr=1e-3, triton=True).step,
}
