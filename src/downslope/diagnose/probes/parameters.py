"""What is known of the parameters before the first step. Costs a pass over the weights, once."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..signals import Parameter

NORMS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else []),
)  # fmt: skip
DECOUPLED = ("AdamW", "Lion", "Muon", "SGDW", "Sophia", "Adan", "NAdamW")


def facts(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list[Parameter], list[torch.Tensor]]:
    """Of every parameter of the model, once each, and the parameters themselves."""
    settings: dict[int, dict[str, Any]] = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    owners = {id(p): m for m in model.modules() for p in m.parameters(recurse=False)}
    decoupled = type(optimizer).__name__ in DECOUPLED
    found: list[Parameter] = []
    tensors: list[torch.Tensor] = []
    for name, p in model.named_parameters():
        group = settings.get(id(p))
        values = p.detach()
        whole = values.numel() > 1 and values.is_floating_point()
        found.append(
            Parameter(
                name,
                _kind(name, p, owners[id(p)]),
                tuple(p.shape),
                trained=group is not None,
                asks=p.requires_grad,
                std=float(values.float().std()) if whole else 0.0,
                mean=float(values.float().mean()) if values.numel() else 0.0,
                alike=p.ndim > 1 and len(p) > 1 and bool((values == values[:1]).all()),
                decay=float((group or {}).get("weight_decay") or 0.0),
                decoupled=bool((group or {}).get("decoupled_weight_decay", decoupled)),
            )
        )
        tensors.append(p)
    return found, tensors


def _kind(name: str, p: torch.Tensor, owner: nn.Module) -> str:
    if isinstance(owner, NORMS) or "Norm" in type(owner).__name__:
        return "norm"
    if isinstance(owner, nn.Embedding | nn.EmbeddingBag):
        return "embedding"
    if "bias" in name.rpartition(".")[2]:
        return "bias"
    return "weight" if p.ndim > 1 else "other"
