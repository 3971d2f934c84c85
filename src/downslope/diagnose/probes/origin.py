"""Where the first number that is not finite came from: a replay of the forward pass, operation by operation.

Runs once, when a loss was not finite. Buffers and random numbers are put back. Costs a forward pass and about 20 us an
operation."""

from __future__ import annotations

import contextlib
import sys
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode, resolve_name

from ... import rng
from ...optim.sharding import local
from .batch import Batch, tensors

QUIET = ("__get__", "size", "dim", "__repr__", "isfinite", "register_hook")
MASKS = ("masked_fill", "masked_fill_", "full", "full_like", "new_full", "fill_", "where")
"""Make minus infinity on purpose, for softmax to make it zero."""


class First(TorchFunctionMode):
    """Remembers the first operation with finite inputs whose output is not, and the layer of `path` it stands in."""

    def __init__(self) -> None:
        super().__init__()
        self.path: list[str] = []
        self.found: dict[str, Any] | None = None

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        name = resolve_name(func) or getattr(func, "__name__", "?")
        if self.found is None and not name.endswith(QUIET):
            with torch._C.DisableTorchFunction():
                worse = any(not _finite(t) for t in tensors(out)) and _worse(out, (args, kwargs), name)
            if worse:
                self.found = {"operation": name.removeprefix("torch."), "layer": self.path[-1] if self.path else ""}
                numbers = [t.detach().abs().max().item() for t in tensors(args) if t.numel() and t.is_floating_point()]
                made = next(t for t in tensors(out) if not _finite(t)).dtype
                self.found |= {"largest_input": max(numbers, default=0.0), "dtype": str(made).removeprefix("torch.")}
        return out


def _worse(out: Any, given: Any, name: str) -> bool:
    """Is there in the output what was not in the input: nan or infinity, or minus infinity that masks nothing?"""
    (wrong, low), (was_wrong, was_low) = _kinds(out), _kinds(given)
    return not was_wrong and (wrong or (low and not was_low and not name.endswith(MASKS)))


def _kinds(value: Any) -> tuple[bool, bool]:
    """(nan or infinity, minus infinity) in any of the tensors."""
    found = [t.detach() for t in tensors(value) if not _finite(t)]
    wrong = any(bool((t.isnan() | t.isposinf()).any()) if t.is_floating_point() else True for t in found)
    return wrong, any(t.is_floating_point() and bool(t.isneginf().any()) for t in found)


def _finite(t: torch.Tensor) -> bool:
    return not (t.is_floating_point() or t.is_complex()) or bool(local(t).detach().isfinite().all())


def origin(model: nn.Module, batch: Batch | None, replay: bool = True) -> dict[str, Any]:
    """What was not finite first: `inputs`, `weights` (by name), or an `operation` in a `layer`; {} if all is finite.

    Without `replay` no forward pass is made, and no operation is named."""
    bad = [name for name, p in model.named_parameters() if not _finite(p)]
    if bad:
        return {"weights": bad[:4]}
    if batch is None:
        return {}
    if any(not _finite(t) for t in batch.tensors):
        return {"inputs": True}
    return (replay and first(model, batch)) or {}


def first(model: nn.Module, batch: Batch) -> dict[str, Any] | None:
    """The first operation of a forward pass that makes what is not finite of what is; None if there is none."""
    buffers = {name: b.clone() for name, b in model.named_buffers()}
    seen, handles = First(), []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda m, a, name=name: seen.path.append(name)))
        handles.append(module.register_forward_hook(lambda m, a, o: seen.path.pop() and None, always_call=True))
    try:
        with torch.no_grad(), rng.kept(), _uncompiled(), seen:
            if batch.state is not None:
                torch.set_rng_state(batch.state)
            batch.through(model, exact=True)
    finally:
        for handle in handles:
            handle.remove()
        with torch.no_grad():
            for name, b in model.named_buffers():
                if name in buffers:
                    b.copy_(buffers[name])
    return seen.found


def _uncompiled() -> Any:
    """A compiled model runs operation by operation inside; where nobody has imported the compiler nothing is."""
    if "torch._dynamo" not in sys.modules:
        return contextlib.nullcontext()
    return torch.compiler.set_stance("force_eager")
