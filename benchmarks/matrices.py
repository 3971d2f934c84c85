"""Muon beside the matrix products of its Newton-Schulz iterations alone: what the rest of its step costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from .measure import run_rounds

# The hidden matrices of four layers of a transformer 512 wide: query, key, value and output, and the MLP's two.
LAYERS, WIDTH = 4, 512
STEPS = 5
ROUNDS = 7


def sizes(layers: int = LAYERS, width: int = WIDTH) -> list[tuple[int, int]]:
    return [*[(width, width)] * 4, (4 * width, width), (width, 4 * width)] * layers


def products(params: list[torch.nn.Parameter]) -> Callable[[], None]:
    """The products that the iterations need, on matrices and in memory that are there already."""
    wide = [p.grad.mT if p.shape[0] > p.shape[1] else p.grad for p in params]  # type: ignore[union-attr]
    wide = [(w / w.norm()).contiguous() for w in wide]
    room = [(w.new_empty(len(w), len(w)), w.new_empty(len(w), len(w)), torch.empty_like(w)) for w in wide]

    def run() -> None:
        for w, (gram, square, new) in zip(wide, room):
            for _ in range(STEPS):
                torch.mm(w, w.mT, out=gram)
                torch.mm(gram, gram, out=square)
                torch.mm(square, w, out=new)

    return run


def parameters(shapes: list[tuple[int, int]]) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    made = [torch.nn.Parameter(torch.randn(shape, generator=generator) * 0.02) for shape in shapes]
    for p in made:
        p.grad = torch.randn(p.shape, generator=generator)
    return made


def measure(rounds: int = ROUNDS, layers: int = LAYERS, width: int = WIDTH, budget: float = 60.0) -> dict[str, Any]:
    """Milliseconds of a step of ours and of torch's Muon (in bfloat16), and of the products alone."""
    from downslope.optim import Muon

    ours, theirs = parameters(sizes(layers, width)), parameters(sizes(layers, width))
    alone = products(parameters(sizes(layers, width)))
    entrants: dict[str, Callable[[], Any]] = {"ours": Muon(ours).step, "products": alone}
    if hasattr(torch.optim, "Muon"):
        entrants["torch"] = torch.optim.Muon(theirs).step
    with torch.no_grad():
        found = run_rounds(entrants, rounds=rounds, budget=budget)
    return {
        "matrices": len(ours),
        "width": width,
        "rounds": len(found.seconds),
        "ms": {name: 1000 * found.median(name) for name in entrants},
        "ratio": {name: found.ratio(name, "products") for name in entrants if name != "products"},
    }


if __name__ == "__main__":
    print(measure())
