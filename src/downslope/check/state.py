"""What a check may disturb outside itself, put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .. import rng
from ..training.data import Data


@contextmanager
def preserved(data: Data | None = None) -> Iterator[None]:
    """Put back every random state (torch, CUDA where it is in use, numpy, Python, the loaders' own generators), the
    default dtype, the number of threads and whether gradients are recorded."""
    loaders = [p.loader for p in _parts(data) if p is not None and p.loader is not None]
    held = [h for loader in loaders for h in (loader, loader.sampler, getattr(loader, "batch_sampler", None))]
    held += [h.sampler for h in held if h is not None and hasattr(h, "sampler")]
    generators = {id(g): g for h in held if isinstance(g := getattr(h, "generator", None), torch.Generator)}
    kept = [(g, g.get_state()) for g in generators.values()]
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    try:
        with rng.kept(), torch.enable_grad():
            yield
    finally:
        for generator, state in kept:
            generator.set_state(state)
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)


def _parts(data: Data | None) -> list:
    return [] if data is None else [data.train, data.validation, data.test]
