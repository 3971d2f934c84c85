"""Every source of random numbers that a run may draw from: torch's, numpy's and Python's own."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from typing import Any

import numpy
import torch


def capture() -> dict[str, Any]:
    """The state of all of them, in tensors, numbers and lists, as a checkpoint holds it."""
    version, words, gauss = random.getstate()
    name, keys, place, has_gauss, cached = numpy.random.get_state(legacy=True)
    words_of_numpy = numpy.asarray(keys).astype("int64")
    found = {
        "torch": torch.get_rng_state(),
        "python": [version, torch.tensor(words), gauss],
        "numpy": [str(name), torch.from_numpy(words_of_numpy), int(place), int(has_gauss), float(cached)],
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["cuda"] = torch.cuda.get_rng_state_all()
    return found


def restore(state: dict[str, Any]) -> None:
    """Set all of them back to what `capture` found."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(words.tolist()), gauss))
    name, keys, place, has_gauss, cached = state["numpy"]
    numpy.random.set_state((name, keys.numpy().astype("uint32"), place, has_gauss, cached))
    torch.set_rng_state(state["torch"])
    for device, cuda in enumerate(state.get("cuda", ())):
        torch.cuda.set_rng_state(cuda, device)


@contextlib.contextmanager
def kept() -> Iterator[None]:
    """Afterwards all of them are as they were."""
    before = capture()
    try:
        yield
    finally:
        restore(before)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, all of them start from the seed; afterwards they are the caller's again, as they were."""
    with kept():
        start(seed)
        yield


def start(seed: int) -> None:
    """The same random numbers from here on, whichever source the user's code draws from."""
    torch.manual_seed(seed)
    random.seed(seed)
    numpy.random.seed(seed % 2**32)
