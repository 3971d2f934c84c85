"""Everything that looking at a loss may disturb, put back bit for bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ... import rng


@contextmanager
def kept(parameters: Iterable[Tensor], model: nn.Module | None = None, sources: Iterable[Any] = ()) -> Iterator[None]:
    """Inside, anything may happen; afterwards parameters, gradients, buffers (running statistics), training flags,
    `requires_grad`, every random state (torch, CUDA where it is in use, numpy, Python, the generators of `sources`,
    which are DataLoaders) and the fast path of attention are as they were.

    Parameters and buffers stay the same tensors. Costs one copy of them and of the gradients."""
    tensors = {id(t): t for t in [*parameters, *(model.parameters() if model is not None else ())]}.values()
    values = [(t, t.detach().clone(), t.requires_grad) for t in tensors]
    grads = [(t, t.grad, None if t.grad is None else t.grad.detach().clone()) for t in tensors]
    modules = list(model.modules()) if model is not None else []
    flags = [(m, m.training) for m in modules]
    buffers = [
        (m, name, b, None if b is None else b.detach().clone()) for m in modules for name, b in m._buffers.items()
    ]
    generators = [(g, g.get_state()) for g in _generators(sources)]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        with rng.kept(), torch.enable_grad():
            yield
    finally:
        with torch.no_grad():
            for tensor, value, requires in values:
                tensor.data.copy_(value)
                tensor.requires_grad_(requires)
            for tensor, grad, content in grads:
                tensor.grad = grad
                if grad is not None and content is not None:
                    grad.detach().copy_(content)
            for module, name, buffer, content in buffers:
                module._buffers[name] = buffer
                if buffer is not None and content is not None:
                    buffer.detach().copy_(content)
        for module, flag in flags:
            module.training = flag
        for generator, state in generators:
            generator.set_state(state)
        torch.backends.mha.set_fastpath_enabled(fast)


@contextmanager
def doubled(model: nn.Module) -> Iterator[None]:
    """Inside, a model's floating parameters and buffers are float64; afterwards parameters have their own memory again.

    To be used inside `kept`, which puts buffers and gradients back. Costs two copies in memory."""
    parameters = [p for p in model.parameters() if p.is_floating_point()]
    memory = [p.data for p in parameters]
    try:
        for p in parameters:
            p.grad = None
            p.data = p.data.double()
        for module in model.modules():
            for name, buffer in module._buffers.items():
                if buffer is not None and buffer.is_floating_point():
                    module._buffers[name] = buffer.double()
        yield
    finally:
        for p, data in zip(parameters, memory):
            p.data = data


def _generators(sources: Iterable[Any]) -> list[torch.Generator]:
    """The generators that DataLoaders and their samplers draw from."""
    held = [h for s in sources for h in (s, getattr(s, "sampler", None), getattr(s, "batch_sampler", None))]
    held += [getattr(h, "sampler", None) for h in held]
    found = {id(g): g for h in held if isinstance(g := getattr(h, "generator", None), torch.Generator)}
    return list(found.values())
