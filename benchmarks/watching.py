"""What watching costs: the same loop watched at the default budget and not, on the digits CNN and a small transformer.

    python -m benchmarks.watching

In pairs that take turns which goes first; the ratio is the median over pairs. Both runs end with the same bits."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from downslope import watch
from downslope.training import by_name

BUDGET = 0.02
PAIRS = 5


@dataclass(frozen=True)
class Loop:
    """A title, a model, its data and how many steps a run takes: over ten seconds, when what is on credit at the start
    has been paid back."""

    title: str
    model: Callable[[], nn.Module]
    data: Callable[[], tuple[torch.Tensor, torch.Tensor]]
    batch: int
    steps: int


def _digits() -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = by_name("digits").make_data().train.tensors  # type: ignore[misc]
    return inputs, targets


class Transformer(nn.Module):
    """Two layers of width 128 that tell which of 64 tokens comes next."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(64, 128), nn.Parameter(torch.zeros(1, 32, 128))
        layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(128, 64)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(32))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(self.embed(tokens) + self.place, self.mask, is_causal=True)).movedim(2, 1)


def _text() -> tuple[torch.Tensor, torch.Tensor]:
    """Sequences in which each token depends on the one before."""
    generator = torch.Generator().manual_seed(0)
    follows = torch.randint(64, (64, 4), generator=generator)
    rows = [torch.randint(64, (2048,), generator=generator)]
    for _ in range(32):
        rows.append(follows[rows[-1], torch.randint(4, (2048,), generator=generator)])
    text = torch.stack(rows, 1)
    return text[:, :-1].contiguous(), text[:, 1:].contiguous()


LOOPS = {
    "digits": Loop("digits CNN", lambda: by_name("digits").make_model(), _digits, 64, 6000),
    "transformer": Loop("transformer, 2 layers of width 128", Transformer, _text, 32, 600),
}


def run(loop: Loop, watched: bool, steps: int) -> tuple[float, float, float]:
    """Seconds of a run, its last loss, and the part of the time that the watch says it took."""
    torch.manual_seed(0)
    inputs, targets = loop.data()
    model = loop.model()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    order = torch.Generator().manual_seed(1)
    value, said = 0.0, 0.0
    begin = time.perf_counter()
    seen = watch(model, optimizer, budget=BUDGET) if watched else None
    for _ in range(steps):
        rows = torch.randint(len(inputs), (loop.batch,), generator=order)
        optimizer.zero_grad()
        loss = F.cross_entropy(model(inputs[rows]), targets[rows])
        loss.backward()
        optimizer.step()
        value = loss.item()
    seconds = time.perf_counter() - begin
    if seen is not None:
        said = seen._follower.guard.budget.overhead
        seen.close()
    return seconds, value, said


def measure(pairs: int = PAIRS, quick: bool = False) -> dict[str, Any]:
    """Seconds and ratio of each loop: `ratio` is watched over unwatched, `said` what the watch itself has measured."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {name: _measure(loop, pairs, loop.steps // 20 if quick else loop.steps) for name, loop in LOOPS.items()}
    finally:
        torch.set_num_threads(threads)


def _measure(loop: Loop, pairs: int, steps: int) -> dict[str, Any]:
    run(loop, True, 5)  # imports
    ratios, seconds, said = [], [], []
    for number in range(pairs):
        found = {}
        for watched in (True, False) if number % 2 else (False, True):
            found[watched] = run(loop, watched, steps)
        assert found[True][1] == found[False][1], f"{loop.title}: watching changed the run"
        ratios.append(found[True][0] / found[False][0])
        seconds.append(found[False][0])
        said.append(found[True][2])
    return {"title": loop.title, "steps": steps, "seconds": median(seconds), "ratio": median(ratios),
            "said": median(said), "pairs": pairs}  # fmt: skip


def main() -> None:
    for found in measure().values():
        each = 1000 * found["seconds"] / found["steps"]
        print(
            f"{found['title']:<36} {each:6.2f} ms a step, watched {found['ratio']:.3f} × (it says {found['said']:.1%})"
        )


if __name__ == "__main__":
    main()
