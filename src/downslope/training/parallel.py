"""A model over the processes of a team: copied into each (DDP), or cut into parts (FSDP2)."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import nn

from ..errors import SettingError
from .distributed import Team


def replicated(model: nn.Module, device: torch.device) -> nn.Module:
    """The model as it is called in training: its gradients become the means over all processes."""
    from torch.nn.parallel import DistributedDataParallel

    if not any(p.requires_grad for p in model.parameters()):
        return model
    ids = [device] if device.type == "cuda" else None
    # a model may leave some of its parameters out of a step
    return DistributedDataParallel(model, device_ids=ids, find_unused_parameters=True)


def sharded(model: nn.Module, team: Team, device: torch.device) -> nn.Module:
    """The model itself, each of its parameters now a DTensor of which a part lies in each process.

    Each child that has parameters is gathered on its own when it runs; a model that uses one parameter in two places is
    gathered as a whole."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (team.size,))
    uses = sum(len(list(m.parameters(recurse=False))) for m in model.modules())
    if uses == len(list(model.parameters())):
        for block in _blocks(model):
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def _blocks(model: nn.Module) -> list[nn.Module]:
    """The children that are called; a list of modules is not, its members are."""
    found = []
    for child in model.children():
        if isinstance(child, nn.ModuleList | nn.ModuleDict | nn.Sequential):
            found += _blocks(child)
        elif isinstance(child, nn.Module) and any(True for _ in child.parameters()):
            found.append(child)
    return found


def synchronised(model: nn.Module, device: torch.device) -> nn.Module:
    """The model with batch norms that see the batches of all processes. Raises SettingError on a CPU."""
    if device.type == "cpu":
        raise SettingError(
            "sync_batchnorm: torch has it for GPUs alone; leave it out, and each process normalises by its own share "
            "of a batch, or use --batchnorm, which sets the statistics over the training data at the end"
        )
    return nn.SyncBatchNorm.convert_sync_batchnorm(model)


def weighted(team: Team, value: float, loss: torch.Tensor, size: int) -> tuple[float, torch.Tensor]:
    """The mean loss over all shares of a batch of `size` rows, and this share's loss so weighted that the mean over
    processes, which is what becomes of the gradients, is that over samples. A share without rows counts nothing."""
    first, end = team.rows(size)
    weight = (end - first) / size
    (mean,) = team.total(value * weight if end > first else 0.0)
    return mean, loss * (weight * team.size)


def deferred(forward: Any) -> contextlib.AbstractContextManager[Any]:
    """Inside, a backward pass adds to the gradients without summing them up over the processes."""
    if hasattr(forward, "no_sync"):
        return forward.no_sync()  # type: ignore[no-any-return]
    return _deferred_shards(forward) if hasattr(forward, "set_requires_gradient_sync") else contextlib.nullcontext()


@contextlib.contextmanager
def _deferred_shards(model: Any) -> Any:
    model.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        model.set_requires_gradient_sync(True)


@torch.no_grad()
def level_buffers(model: nn.Module) -> None:
    """Give every process the leader's buffers, such as the statistics of batch norms."""
    for buffer in model.buffers():
        torch.distributed.broadcast(buffer, src=0)
