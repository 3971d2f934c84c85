"""One training step seen from inside: what every layer and activation gave out, and the gradient that came back.

Functions are caught as they are called, so that `F.relu(x)` in a forward is seen as well as an `nn.ReLU`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from ..training.data import Batch
from .context import TRACED, Context
from .tree import Tensor, dense, rms

LINEAR = {"linear", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "matmul",
          "__matmul__", "mm", "addmm"}  # fmt: skip
NORMS = {"batch_norm", "layer_norm", "group_norm", "instance_norm", "rms_norm", "normalize"}
BOUNDED = {"tanh": (-0.97, 0.97), "sigmoid": (0.03, 0.97), "softsign": (-0.85, 0.85), "hardtanh": (-0.999, 0.999),
           "hardsigmoid": (0.001, 0.999)}  # fmt: skip
"""Where the slope of a bounded activation is below about 6 % of its steepest."""
ACTIVATIONS = {"relu", "leaky_relu", "gelu", "silu", "elu", "selu", "prelu", "softplus", "mish", "relu6", *BOUNDED}
VIEWS = {"t", "transpose", "permute", "__get__", "view", "reshape", "contiguous", "to"}  # of a weight


@dataclass
class Layer:
    """What a layer with weights gave out and got back. `spread` is how far samples differ: the root mean square over
    units of the deviation between samples. `silent` is the share of units to which no gradient came."""

    name: str
    function: str
    weight: Tensor
    rms: float
    spread: float
    work: int  # multiplications
    follows: str = ""  # the activation that comes next, "norm" where a norm does, "" at the end
    gradient: float | None = None  # the norm of the gradient of its output
    silent: float = 0.0


@dataclass
class Saturation:
    """The share of a bounded activation's values where its slope is nearly gone."""

    layer: str
    function: str
    share: float


@dataclass
class Trace:
    """The layers in the order they ran, with the loss and the gradients of all parameters (None where none came)."""

    layers: list[Layer]
    saturated: list[Saturation]
    loss: float
    gradients: dict[str, Tensor | None]
    functions: set[str]
    first_norm: bool
    """Whether a norm comes before every layer."""


class _Watch(TorchFunctionMode):
    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.names = {id(p): name for name, p in model.named_parameters()}
        self.weights = {id(p): p for p in model.parameters()}
        self.origin: dict[int, Layer] = {}
        self.layers: list[Layer] = []
        self.saturated: list[Saturation] = []
        self.functions: set[str] = set()
        self.first_norm = False
        self.kept: list[Any] = []  # alive, so that no id is given twice

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, Tensor)]
        name = getattr(func, "__name__", "").rstrip("_") if not _special(func) else func.__name__
        before = next((self.origin[id(t)] for t in tensors if id(t) in self.origin), None)
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor):
            return result
        self.functions.add(name)
        weight = next((t for t in tensors if id(t) in self.names and t.ndim >= 2), None)
        if name in LINEAR and weight is not None and result.is_floating_point():
            self._layer(name, weight, result)
        elif name in VIEWS and tensors and id(tensors[0]) in self.names:
            self.names[id(result)], self.weights[id(result)] = self.names[id(tensors[0])], self.weights[id(tensors[0])]
        elif name in ACTIVATIONS:
            if before is not None and not before.follows:
                before.follows = name
            if name in BOUNDED:
                low, high = BOUNDED[name]
                out = result.detach()
                share = ((out < low) | (out > high)).double().mean().item()
                self.saturated.append(Saturation(before.name if before else "the input", name, share))
        elif name in NORMS:
            self.first_norm = self.first_norm or not self.layers
            if before is not None and not before.follows:
                before.follows = "norm"
        elif before is not None and result.is_floating_point():
            self.origin[id(result)] = before
        self.kept.append((result, tensors))
        return result

    def _layer(self, function: str, weight: Tensor, result: Tensor) -> None:
        name = self.names[id(weight)].removesuffix(".weight")
        value = result.detach()
        across = value.double()
        spread = across.std(0, correction=0).square().mean().sqrt().item() if value.ndim > 1 and len(value) > 1 else 0.0
        layer = Layer(name, function, self.weights[id(weight)], rms(value), spread, value.numel() * weight[0].numel())
        self.layers.append(layer)
        self.origin[id(result)] = layer
        if result.requires_grad:
            unit = 1 if function.startswith("conv") else result.ndim - 1

            def back(gradient: Tensor) -> None:
                g = gradient.detach().double()
                layer.gradient = g.norm().item()
                other = [d for d in range(g.ndim) if d != unit]
                layer.silent = (g.abs().sum(other) == 0).double().mean().item() if other else 0.0

            result.register_hook(back)


def _special(func: Callable[..., Any]) -> bool:
    return getattr(func, "__name__", "").startswith("__")


def trace(context: Context, model: torch.nn.Module, batch: Batch) -> Trace:
    """One forward and backward of a model; its gradients are left in it."""
    watch = _Watch(model)
    model.zero_grad()
    with watch:
        loss = context.loss(model, batch)
    if loss.requires_grad:
        loss.backward()
    gradients = {n: None if p.grad is None else dense(p.grad) for n, p in model.named_parameters() if p.requires_grad}
    return Trace(watch.layers, watch.saturated, loss.item(), gradients, watch.functions, watch.first_norm)


def awake(model: torch.nn.Module) -> tuple[torch.nn.Module, set[str]]:
    """The model with noise in place of weights that are zero throughout, and their names.

    A branch or head that starts at zero on purpose holds back the gradient of all that feeds it; with the noise in
    place, what still gets none is really cut off."""
    zero = set()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.numel() and not name.endswith("bias") and not p.any():
                fan = max(1, p[0].numel() if p.ndim > 1 else 1)
                p.copy_(torch.randn_like(p) * fan**-0.5)
                zero.add(name)
    return model, zero


def traces(context: Context) -> list[tuple[Trace, set[str]]]:
    """Of three differently seeded models, each with the names of its weights that were zero; made once."""
    if not context.traces:
        for seed in range(context.seed, context.seed + (3 if context.seeds_matter else 1)):
            model, zero = awake(context.model(seed))
            context.traces.append((trace(context, model, context.few(TRACED)), zero))
    return context.traces
