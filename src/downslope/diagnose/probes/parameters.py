"""What is known of the parameters before the first step, of what lies here. Costs a pass over the weights, once."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from ...optim.sharding import local
from ..parts import behind
from ..signals import Parameter

NORMS = (
    nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, *([nn.RMSNorm] if hasattr(nn, "RMSNorm") else []),
)  # fmt: skip
NUMBER = (float, int, torch.Tensor)
DECOUPLED = ("AdamW", "Lion", "Muon", "SGDW", "Sophia", "Adan", "NAdamW")


def facts(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[list[Parameter], list[torch.Tensor]]:
    """Of every parameter of the model, once each, and the parameters themselves."""
    settings: dict[int, dict[str, Any]] = {id(p): g for g in optimizer.param_groups for p in g["params"]}
    owners = {id(p): m for m in model.modules() for p in m.parameters(recurse=False)}
    decoupled = type(optimizer).__name__ in DECOUPLED
    found: list[Parameter] = []
    tensors: list[torch.Tensor] = []
    gathered = behind(model)
    for name, shown in model.named_parameters():
        p = gathered.get(id(shown), shown)
        group = settings.get(id(p))
        values = local(p).detach()
        whole = values.numel() > 1 and values.is_floating_point()
        found.append(
            Parameter(
                name,
                _kind(name, p, owners[id(shown)]),
                tuple(p.shape),
                trained=group is not None,
                asks=p.requires_grad,
                std=float(values.float().std()) if whole else 0.0,
                mean=float(values.float().mean()) if values.numel() else 0.0,
                alike=p.ndim > 1 and len(values) > 1 and bool((values == values[:1]).all()),
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


def circumstances(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: list[torch.Tensor]) -> dict[str, Any]:
    """What else is known at the start: of the optimizer, and of layers that care about the model's mode."""
    groups = optimizer.param_groups
    has = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    drops = [m for m in model.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
    return {
        "optimizer": type(optimizer).__name__,
        "lr_at_start": [rate(g) for g in groups],
        "scheduled_at_start": all("initial_lr" in g for g in groups) and not optimizer.state,
        "batchnorm": bool(has),
        "two_modes": bool(has or drops),
        "max_norm": getattr(optimizer, "max_norm", None),
        "versions": [p._version for p in tensors],
        "maximize": any(g.get("maximize") for g in groups),
    }


def rate(group: dict[str, Any]) -> float:
    """The learning rate of a param group; nan if it has none that is a number yet."""
    lr = group.get("lr")
    return float(lr) if isinstance(lr, NUMBER) else math.nan
