"""What watching costs: the same loop watched at the default budget and not, on the digits CNN and a small transformer.

    python -m benchmarks.watching

Each pair is two whole runs in one process, a watched one and one that nobody watches, which go on by turns, a hundredth
of the run at a time, so that whatever else the machine does falls on both; the ratio is the median over pairs. All that
a user pays for the watch is in it: making it, the steps with all that its hooks and looks disturb, a report at the end,
and closing. What is not: the forked runs of a report, made where something is suspected, for as long as the user lets
them; `forks` says what they took where nobody set a limit. While the other loop has its turn nothing of the watch is in
the way, and its clock stands. Both runs end with the same bits."""

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
from downslope.diagnose.probes.backward import follow, follows, leave
from downslope.diagnose.watch import Watch
from downslope.training import by_name

BUDGET = 0.02
PAIRS, BLOCKS = 5, 100


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
    "digits": Loop("digits CNN", lambda: by_name("digits").make_model(), _digits, 64, 10_000),
    "transformer": Loop("transformer, 2 layers of width 128", Transformer, _text, 32, 600),
}


class Run:
    """The loop of a book, which can be left and gone on with."""

    def __init__(self, loop: Loop, watched: bool):
        torch.manual_seed(0)
        self.loop, self.value = loop, 0.0
        self.inputs, self.targets = loop.data()
        self.model = loop.model()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), 1e-3)
        self.order = torch.Generator().manual_seed(1)
        self.random = torch.get_rng_state()
        self.seconds = self.processor = self.report = self.forks = self.said = 0.0
        self.seen: Watch | None = None
        self.told = False  # of backward passes, where it does not rest
        if watched:
            self._timed(self._watch)
            self._leave()
        self.left = time.perf_counter()

    def go(self, steps: int, last: bool) -> None:
        """So many more steps, and with the last ones all that comes after."""
        if self.seen is not None:
            self.seen._follower.guard.budget.away(time.perf_counter() - self.left)
            if self.told:
                follow(self.seen._follower)
        torch.set_rng_state(self.random)
        self._timed(lambda: self._steps(steps))
        self.random = torch.get_rng_state()
        if self.seen is not None and last:
            before = self.seconds
            self._timed(self._end)
            self.report = self.seconds - before
            begin = time.perf_counter()
            self.seen.report()
            self.forks = time.perf_counter() - begin - self.report
        elif self.seen is not None:
            self._leave()
        self.left = time.perf_counter()

    def _timed(self, what: Callable[[], None]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        what()
        self.seconds += time.perf_counter() - wall
        self.processor += time.process_time() - processor

    def _watch(self) -> None:
        self.seen = watch(self.model, self.optimizer, budget=BUDGET)

    def _leave(self) -> None:
        """While the other loop runs nothing of the watch is in it."""
        assert self.seen is not None
        self.told = follows(self.seen._follower)
        leave(self.seen._follower)

    def _end(self) -> None:
        assert self.seen is not None
        self.said = self.seen.report(forks=False).overhead
        self.seen.close()

    def _steps(self, steps: int) -> None:
        inputs, targets, model, optimizer = self.inputs, self.targets, self.model, self.optimizer
        for _ in range(steps):
            rows = torch.randint(len(inputs), (self.loop.batch,), generator=self.order)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs[rows]), targets[rows])
            loss.backward()
            optimizer.step()
            self.value = loss.item()


def measure(pairs: int = PAIRS, quick: bool = False) -> dict[str, Any]:
    """Seconds and ratio of each loop: `ratio` is watched over unwatched, `processor` the same of the processor's time,
    `said` what the watch itself has measured, `report` the seconds of a report, `forks` those of its forked runs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return {name: _measure(loop, pairs, loop.steps // 20 if quick else loop.steps) for name, loop in LOOPS.items()}
    finally:
        torch.set_num_threads(threads)


def pair(loop: Loop, steps: int, first: bool) -> tuple[Run, Run]:
    """Both runs, in blocks that take turns; which is made and goes first is `first`."""
    runs = {watched: Run(loop, watched) for watched in (first, not first)}
    block = max(1, round(steps / BLOCKS))
    for number, done in enumerate(range(0, steps, block)):
        for watched in (first, not first) if number % 2 else (not first, first):
            runs[watched].go(min(block, steps - done), done + block >= steps)
    assert runs[True].value == runs[False].value, f"{loop.title}: watching changed the run"
    return runs[True], runs[False]


def _measure(loop: Loop, pairs: int, steps: int) -> dict[str, Any]:
    pair(loop, 5, True)  # imports
    found = [pair(loop, steps, bool(number % 2)) for number in range(pairs)]
    return {
        "title": loop.title,
        "steps": steps,
        "seconds": median(free.seconds for _, free in found),
        "ratio": median(seen.seconds / free.seconds for seen, free in found),
        "processor": median(seen.processor / free.processor for seen, free in found),
        "said": median(seen.said for seen, _ in found),
        "report": median(seen.report for seen, _ in found),
        "forks": max(0.0, median(seen.forks for seen, _ in found)),
        "pairs": pairs,
    }


def main() -> None:
    for found in measure().values():
        each = 1000 * found["seconds"] / found["steps"]
        print(
            f"{found['title']:<36} {each:6.2f} ms a step, watched {found['ratio']:.3f} × ({found['processor']:.3f} × "
            f"the processor's time; it says {found['said']:.1%}, its report takes {found['report']:.2f} s, with forks "
            f"{found['report'] + found['forks']:.1f} s)"
        )


if __name__ == "__main__":
    main()
