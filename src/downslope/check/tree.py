"""Inputs, targets and outputs of any shape: a tensor, or tensors in tuples, lists and dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

Tensor = torch.Tensor


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a structure, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    if isinstance(tree, Mapping):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, tuple | list):
        return [leaf for value in tree for leaf in leaves(value)]
    return []


def change(tree: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """The same structure with every tensor changed."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, Mapping):
        return {key: change(value, function) for key, value in tree.items()}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(change(value, function) for value in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(change(value, function) for value in tree)
    return tree


def count(tree: Any) -> int | None:
    """How many samples a batch holds, None where its tensors do not agree on their first dimension."""
    sizes = {len(leaf) if leaf.ndim else 0 for leaf in leaves(tree)}
    return sizes.pop() if len(sizes) == 1 else None


def take(tree: Any, index: Tensor) -> Any:
    """Some samples of a batch."""
    return change(tree, lambda leaf: leaf.index_select(0, index.to(leaf.device)))


def double(tree: Any) -> Any:
    """Every floating tensor in float64."""
    return change(tree, lambda leaf: leaf.double() if leaf.is_floating_point() else leaf)


def dense(leaf: Tensor) -> Tensor:
    """A sparse tensor or gradient as a plain one."""
    return leaf.to_dense() if leaf.layout is not torch.strided else leaf


def rms(tensor: Tensor) -> float:
    """Root mean square, in double precision, of an empty tensor 0."""
    return tensor.detach().double().square().mean().sqrt().item() if tensor.numel() else 0.0
