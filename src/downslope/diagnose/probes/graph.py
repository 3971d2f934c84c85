"""The graph of a loss, by the names of its nodes: which parameters are in it, in which order, and what follows each.

Reads names only and unpacks nothing, so that checkpointed activations are not computed again. Costs about 2 us a node,
once. Nodes number themselves in the order of the forward pass."""

from __future__ import annotations

import re
import weakref
from typing import Any

import torch

from ..signals import Parameter

LIMIT = 20_000
"""Nodes; beyond them the structure of a graph is not read."""

# nodes that hand on what they get, as far as an activation is concerned
PASS = re.compile(
    r"^(Unsafe)?View|^T$|^Transpose|^Permute|^Reshape|^Squeeze|^Unsqueeze|^Alias|^Clone|^Expand|^Slice|^Select|^ToCopy"
    r"|^MaxPool|^AvgPool|^Unflatten|^Flatten|^AdaptiveAvgPool|^AdaptiveMaxPool|^NativeDropout|^FusedDropout"
    r"|^Register(Pre|Post)Backward"  # FSDP
)
FOLLOWS = {
    "Relu": "relu", "Tanh": "tanh", "Sigmoid": "sigmoid", "Gelu": "gelu", "Silu": "silu", "LeakyRelu": "leaky_relu",
    "Elu": "elu", "Softmax": "softmax", "LogSoftmax": "log_softmax", "NativeBatchNorm": "batchnorm",
    "CudnnBatchNorm": "batchnorm", "MiopenBatchNorm": "batchnorm", "BatchNormImplIndex": "batchnorm",
    "NativeLayerNorm": "norm", "NativeGroupNorm": "norm", "FusedRmsNorm": "norm", "Log": "log",
}  # fmt: skip


def short(node: Any) -> str:
    """Its name without `Backward0`."""
    name: str = node.name()
    return re.sub(r"Backward\d*$", "", name.rsplit("::", 1)[-1])


def read(
    root: torch.Tensor, parameters: list[Parameter], tensors: list[torch.Tensor], strangers: list[Any] | None = None
) -> bool:
    """Fill in the order and what follows of each parameter that the graph of a loss holds. False if it is too large.

    `strangers` takes parameters in the graph that the model does not have: a weak reference and the version of each."""
    if root.grad_fn is None:
        return True
    consumers: dict[Any, list[Any]] = {root.grad_fn: []}
    todo = [root.grad_fn]
    for node in todo:
        if len(todo) > LIMIT:
            return False
        for child, _ in node.next_functions:
            if child is None:
                continue
            if child not in consumers:
                consumers[child] = []
                todo.append(child)
            consumers[child].append(node)
    place = {id(t): i for i, t in enumerate(tensors)}
    for node in todo:
        leaf = getattr(node, "variable", None)
        i = place.get(id(leaf)) if leaf is not None else None
        if i is None and strangers is not None and isinstance(leaf, torch.nn.Parameter):
            strangers.append((weakref.ref(leaf), leaf._version))
        if i is None:
            continue
        users = [_first(user, consumers) for user in consumers[node]]
        user = min((u for u in users if u is not None), key=lambda u: u._sequence_nr(), default=None)
        if user is not None:
            parameters[i].order = user._sequence_nr()
            parameters[i].follows = _follows(user, consumers)
    return True


def _first(node: Any, consumers: dict[Any, list[Any]]) -> Any:
    """The first real operation at or above a node."""
    while node is not None and PASS.match(short(node)):
        above = consumers[node]
        node = above[0] if above else None
    return node


def _follows(node: Any, consumers: dict[Any, list[Any]]) -> str:
    """What comes after the operation that takes a parameter; "factor" if that, or what comes next, is a product with a
    constant."""
    if _times_constant(node):
        return "factor"
    for _ in range(8):
        above = consumers[node]
        if not above:
            return ""
        if len(above) > 1 and len({FOLLOWS.get(short(a)) for a in above}) > 1:
            return ""
        node = above[0]
        name = short(node)
        if name in FOLLOWS:
            return FOLLOWS[name]
        leaves = [child for child, _ in node.next_functions if hasattr(child, "variable")]
        if _times_constant(node):
            return "factor"
        if not PASS.match(name) and not (name == "Add" and leaves):  # a bias added by itself
            return ""
    return ""


def _times_constant(node: Any) -> bool:
    return short(node) in ("Mul", "Div") and any(child is None for child, _ in node.next_functions)
