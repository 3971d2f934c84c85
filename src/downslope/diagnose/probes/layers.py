"""What goes through layers: hooks that live for one forward pass of a sampled step.

Costs a pass over the outputs of layers with weights; large outputs are thinned to 64 samples."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ...optim.sharding import local
from ..signals import InputSeen, LayerSeen, NormSeen, Parameter, Signals

SAMPLES, VALUES = 64, 1 << 18
LAYERS = (nn.Linear, nn.modules.conv._ConvNd)
FIRST = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
"""What else may take the inputs: looked at for these alone."""
# |x| beyond which the slope of an activation is under 1 % of its largest: tanh' = 1 - tanh^2, sigmoid' = s (1 - s)
FLAT = {"tanh": 3.0, "sigmoid": 6.0}


class Layers:
    """Attaches to the layers of a model for one forward pass, and says what went through them."""

    def __init__(self, model: nn.Module, parameters: list[Parameter]):
        self.model = model
        self.follows = {p.name.rpartition(".")[0]: p for p in parameters if p.kind == "weight"}
        self.found: dict[str, LayerSeen] = {}
        self.inputs: InputSeen | None = None
        self.handles: list[Any] = []
        seen = (*LAYERS, *FIRST, nn.modules.batchnorm._BatchNorm)
        self.modules = [] if compiled(model) else [(n, m) for n, m in model.named_modules() if isinstance(m, seen)]
        others = (p.name.rpartition(".")[0] for p in parameters if p.kind in ("norm", "embedding"))
        self.others = set(others)

    def attach(self, signals: Signals, step: int, guard: Callable[..., Any], wrap: Callable[..., Any]) -> None:
        self.found, self.inputs = {}, None
        for name, module in self.modules:
            see = self._norm if isinstance(module, nn.modules.batchnorm._BatchNorm) else self._layer

            def hook(m: nn.Module, args: Any, output: Any, *, see: Any = see, name: str = name) -> None:
                guard("layers", see, signals, step, name, m, args, output)

            self.handles.append(module.register_forward_hook(wrap(hook)))

    def detach(self) -> None:
        for handle in self.handles:
            handle.remove()
        self.handles = []

    def _layer(self, signals: Signals, step: int, name: str, m: nn.Module, args: Any, output: Any) -> None:
        x = local(args[0]).detach() if args and isinstance(args[0], torch.Tensor) else None
        if not self.found and self.inputs is None and x is not None and x.is_floating_point():
            self.inputs = _inputs(name, m, x)
        if isinstance(m, FIRST):
            return
        y = local(output).detach()
        channels = -1 if isinstance(m, nn.Linear) else 1
        y = _thin(y)
        rows = y.movedim(channels, -1).reshape(-1, y.shape[channels]).float()
        known = self.follows.get(name)
        bound = FLAT.get(known.follows if known else "")
        inputs = float(_thin(x).float().square().mean().sqrt()) if x is not None else math.nan
        spread_in = float(_spread(_thin(x), channels)) if x is not None else math.nan
        self.found[name] = LayerSeen(
            size=float(rows.square().mean().sqrt()),
            spread=float(rows.std(0, unbiased=False).square().mean().sqrt()),
            flat=float((rows.abs() > bound).float().mean()) if bound else 0.0,
            inputs=inputs,
            spread_in=spread_in,
        )

    def _norm(self, signals: Signals, step: int, name: str, m: Any, args: Any, output: Any) -> None:
        if not m.training or m.running_mean is None:
            return
        x = local(args[0]).detach()
        values = x.movedim(1, -1).reshape(-1, x.shape[1]).float()
        if len(values) > VALUES // max(1, x.shape[1]) and len(values) > 4096:
            values = values[:: len(values) // 4096]
        kept = signals.norms.setdefault(name, deque(maxlen=24))
        kept.append(
            NormSeen(
                step,
                x.numel() // x.shape[1],
                x.shape[0],
                values.mean(0).cpu().numpy(),
                values.var(0, unbiased=False).cpu().numpy(),
                m.running_mean.float().cpu().numpy().copy(),
                m.running_var.float().cpu().numpy().copy(),
                m.momentum,
            )
        )


def compiled(model: nn.Module) -> bool:
    """Are there compiled parts, in which no hook runs?"""
    return any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) for m in model.modules())


def _thin(tensor: torch.Tensor) -> torch.Tensor:
    return tensor[:SAMPLES] if tensor.ndim > 1 and tensor.numel() > VALUES else tensor


def _spread(x: torch.Tensor, channels: int) -> torch.Tensor:
    rows = x.movedim(channels, -1).reshape(-1, x.shape[channels]).float()
    return rows.std(0, unbiased=False).square().mean().sqrt()


def _inputs(name: str, m: nn.Module, x: torch.Tensor) -> InputSeen:
    channels = 1 if isinstance(m, nn.modules.conv._ConvNd) else -1
    x = _thin(x)
    rows = x.movedim(channels, -1).reshape(-1, x.shape[channels]).float()
    scale = rows.std(0, unbiased=False)
    scale = scale[scale > 0]
    ratio = float(scale.quantile(0.95) / scale.quantile(0.05)) if 1 < len(scale) <= 100_000 else 1.0
    return InputSeen(float(rows.square().mean().sqrt()), float(rows.mean()), float(rows.std()), ratio, name)
