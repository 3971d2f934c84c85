"""The gain that a layer's initialisation takes, from the activation that follows it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import fx, nn

from ..layers import Maxout, MaxoutConv2d

RECURRENT: tuple[type[nn.Module], ...] = (nn.RNNBase, nn.RNNCellBase)
INSIDE: tuple[type[nn.Module], ...] = (nn.MultiheadAttention,)  # whose layers are not called
GAINS = {"relu": math.sqrt(2), "tanh": 5 / 3, "sigmoid": 1.0, "selu": 0.75}
"""As `torch.nn.init.calculate_gain`."""
UNBOUNDED = {"celu", "elu", "gelu", "hardswish", "leakyrelu", "logsigmoid", "mish", "relu6", "silu", "softplus"}
_PASSES = (
    "adaptive", "alphadropout", "avgpool", "batchnorm", "contiguous", "dropout", "featurealphadropout", "flatten",
    "groupnorm", "identity", "instancenorm", "layernorm", "maxpool", "permute", "reshape", "rmsnorm", "squeeze",
    "syncbatchnorm", "transpose", "unflatten", "unsqueeze", "view",
)  # fmt: skip
_SUMS = ("add", "iadd")


def gains(model: nn.Module) -> dict[nn.Module, float]:
    """The gain of each layer for which it can be found which activation follows, and 1 where none does.

    For ReLU, tanh, sigmoid and SELU torch's. For the other usual unbounded activations f the g with which sizes neither
    grow nor shrink in depth: E f(g z)² = 1 over standard normal z; leaky ReLU's is torch's too. So for Maxout, with f
    the largest of its pieces. The model is traced with torch.fx on no data; where that fails, what follows is read off
    its Sequentials. Norms, dropout, pooling, changes of shape and sums are looked through. A model that is one layer
    alone tells nothing about what follows it.
    """
    found: dict[nn.Module, float] = {}
    for module in model.modules():
        if isinstance(module, Maxout | MaxoutConv2d):
            found[module.affine] = _largest(module.pieces)
        elif isinstance(module, RECURRENT + INSIDE):
            found.update({inner: 1.0 for inner in module.modules()})
    graph = _traced(model)
    if graph is None:
        _read_sequentials(model, found)
        return found
    modules = dict(model.named_modules())
    for node in graph.nodes:
        if node.op == "call_module":
            found.setdefault(modules[node.target], _behind_node(node, modules))
    return found


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, Maxout | MaxoutConv2d) or super().is_leaf_module(m, module_qualified_name)


def _traced(model: nn.Module) -> fx.Graph | None:
    """The calls in the model's forward pass, or None; leaves nothing behind in the model."""
    held = [(module, dict(vars(module))) for module in model.modules()]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers() if not nn.parameter.is_lazy(buffer)]
    try:
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _Tracer().trace(model)
    except Exception:  # whatever a user's forward does with an input that has no values
        return None
    finally:
        for module, attributes in held:
            vars(module).clear()
            vars(module).update(attributes)
        for buffer, value in buffers:
            buffer.copy_(value)


def _behind_node(node: fx.Node, modules: dict[str, nn.Module]) -> float:
    users = list(node.users)
    for user in users:  # grows
        call: Callable[..., Any] = modules[user.target] if user.op == "call_module" else user.target  # type: ignore
        gain = _gain(call, user)
        if gain is not None:
            return gain
        if _named(call).startswith(_PASSES) or _named(call) in _SUMS:
            users += [u for u in user.users if u not in users]
    return 1.0


def _read_sequentials(model: nn.Module, found: dict[nn.Module, float]) -> None:
    for module in model.modules():
        if isinstance(module, nn.Sequential):
            chain = list(_flat(module))
            for place, layer in enumerate(chain):
                for call in chain[place + 1 :]:
                    gain = _gain(call)
                    if gain is not None or not _named(call).startswith(_PASSES):
                        found.setdefault(layer, 1.0 if gain is None else gain)
                        break
                else:
                    if module is model:
                        found.setdefault(layer, 1.0)


def _flat(chain: nn.Sequential) -> Iterator[nn.Module]:
    for module in chain:
        if isinstance(module, nn.Sequential):
            yield from _flat(module)
        else:
            yield module


def _named(call: Any) -> str:
    name = call if isinstance(call, str) else getattr(call, "__name__", type(call).__name__)
    return name.lower().replace("_", "")


def _gain(call: Any, node: fx.Node | None = None) -> float | None:
    """The gain of an activation (a module, a function, or a tensor's method by name), None for anything else."""
    name = _named(call)
    if isinstance(call, nn.PReLU):
        call = partial(nn.functional.leaky_relu, negative_slope=call.weight.mean().item())
    elif name not in UNBOUNDED:
        return GAINS.get(name)
    elif isinstance(call, str) and node is not None:
        call = partial(getattr(torch.Tensor, call))
    if node is not None and node.op != "call_module":
        given = {k: v for k, v in node.kwargs.items() if k != "input"}
        rest = node.args[1:]
        return _moment_gain(lambda z: call(z, *rest, **given))
    return _moment_gain(call)


_Z = torch.linspace(-12, 12, 4801, dtype=torch.float64)
_DENSITY = torch.exp(-_Z.square() / 2) / math.sqrt(2 * math.pi)


def _moment_gain(f: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """The g of E f(g z)² = 1, by bisection."""
    low, high = 0.0, 64.0
    for _ in range(50):
        middle = (low + high) / 2
        moment = torch.trapezoid(f(middle * _Z).square() * _DENSITY, _Z).item()
        low, high = (middle, high) if moment < 1 else (low, middle)
    return high


def _largest(pieces: int) -> float:
    """1 / sqrt(E m²) of the largest m of standard normal numbers, whose density is k Phi^(k-1) phi."""
    density = pieces * torch.special.ndtr(_Z) ** (pieces - 1) * _DENSITY
    return 1 / math.sqrt(torch.trapezoid(_Z.square() * density, _Z).item())
