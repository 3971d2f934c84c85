"""Where the first number that is not finite came from: a replay of the forward pass, operation by operation.

Runs once, when a loss was not finite. Buffers and random numbers are put back. Costs a forward pass and about 20 us an
operation."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

from ... import rng

QUIET = ("__get__", "size", "dim", "__repr__", "isfinite", "register_hook")


class _First(TorchFunctionMode):
    """Remembers the first operation with finite inputs whose output is not."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = []
        self.found: dict[str, Any] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = resolve_name(func) or getattr(func, "__name__", "?")
        if self.found is None and not name.endswith(QUIET):
            with torch._C.DisableTorchFunction():
                bad = any(not _finite(t) for t in tensors(out))
                clean = bad and all(_finite(t) for t in tensors((args, kwargs)))
            if clean:
                self.found = {"operation": name.removeprefix("torch."), "layer": self.path[-1] if self.path else ""}
                numbers = [t.detach().abs().max().item() for t in tensors(args) if t.numel() and t.is_floating_point()]
                self.found["largest_input"] = max(numbers, default=0.0)
        return out


def tensors(value: Any) -> list[torch.Tensor]:
    """All tensors in nested lists, tuples and dictionaries, or in an output object that is one of these."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        return [t for v in value.values() for t in tensors(v)]
    if isinstance(value, list | tuple):
        return [t for v in value for t in tensors(v)]
    return []


def _finite(t: torch.Tensor) -> bool:
    return not (t.is_floating_point() or t.is_complex()) or bool(t.detach().isfinite().all())


def origin(model: nn.Module, batch: tuple[Any, Any] | None) -> dict[str, Any]:
    """What was not finite first: `inputs`, `weights` (by name), or an `operation` in a `layer`; {} if all is finite."""
    bad = [name for name, p in model.named_parameters() if not _finite(p)]
    if bad:
        return {"weights": bad[:4]}
    if batch is None:
        return {}
    args, kwargs = batch
    if any(not _finite(t) for t in tensors((args, kwargs))):
        return {"inputs": True}
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    first, handles = _First(), []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, a, name=name: first.path.append(name)))
        handles.append(module.register_forward_hook(lambda m, a, o: first.path.pop() and None, always_call=True))
    try:
        with torch.no_grad(), rng.kept(), first:
            model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for name, b in model.named_buffers():
                if name in buffers:
                    b.copy_(buffers[name])
    return first.found or {}
