"""What the training loop costs: `downslope.train` beside the same loop by hand in plain torch, on the digits CNN.

    python -m benchmarks.loop

Both with the same optimizer, the same order of the data and the same scores after each epoch, in pairs that take turns;
the ratio is the median over pairs."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from downslope import optim
from downslope.training import Data, Task, by_name
from downslope.training.run import train

EPOCHS = 30  # half a second or so: what a run pays once, at its end, is a small part
PAIRS = 11
TITLES = {
    "by hand": "by hand",
    "in memory": "`train(task)`",
    "in a folder": "in a folder, with its checkpoints (`out=`, `watch=0`)",
    "watched": "in a folder and watched, as by default",
}


def by_hand(task: Task, data: Data, seed: int) -> float:
    """The loop that a book has; its last validation loss."""
    torch.manual_seed(seed)
    model = task.make_model()
    optimizer = optim.Adam(model.parameters(), lr=1e-2)
    order = torch.Generator().manual_seed(seed)
    (inputs, targets), (validation, labels) = data.train.tensors, data.validation.tensors  # type: ignore[misc, union-attr]
    loss = torch.tensor(0.0)
    for _ in range(EPOCHS):
        model.train()
        total = 0.0
        for rows in torch.randperm(len(inputs), generator=order).split(64):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(inputs[rows]), targets[rows])
            loss.backward()
            optimizer.step()
            total += loss.item() * len(rows)
        model.eval()
        with torch.no_grad():
            output = model(validation)
            loss = task.loss(output, labels)
            assert task.metric is not None
            task.metric(output, labels)
    return loss.item()


def measure(pairs: int = PAIRS) -> dict[str, Any]:
    """Seconds and ratios: without a folder, with one that takes a checkpoint at the end and every five seconds, and
    watched for what goes wrong too, which is judged at the end."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _measure(pairs)
    finally:
        torch.set_num_threads(threads)


def _measure(pairs: int) -> dict[str, Any]:
    task = by_name("digits")
    parts = task.make_data()
    made = (parts.train.tensors, parts.validation.tensors)  # type: ignore[union-attr]
    ready = Task("digits", task.model, lambda: made, task.loss, task.metric, batch=64)  # reading files is not the loop
    options: dict[str, Any] = {"epochs": EPOCHS, "lr": 1e-2, "seed": 0}
    seconds: dict[str, list[float]] = {name: [] for name in TITLES}
    with TemporaryDirectory() as place:
        folder = Path(place)
        runs = {
            "by hand": lambda number: by_hand(task, parts, 0),
            "in memory": lambda number: train(ready, **options).validation_loss,
            "in a folder": lambda number: train(ready, out=folder / f"{number}", watch=0, **options).validation_loss,
            "watched": lambda number: train(ready, out=folder / f"{number}-watched", **options).validation_loss,
        }
        assert len({run(-1) for run in runs.values()}) == 1, "they do not do the same"
        for number in range(pairs):
            names = list(runs)
            first = number % len(names)
            for name in names[first:] + names[:first]:
                begin = time.perf_counter()
                runs[name](number)
                seconds[name].append(time.perf_counter() - begin)
    hand = seconds["by hand"]
    return {
        name: {"seconds": median(found), "ratio": median(a / b for a, b in zip(found, hand)), "pairs": pairs}
        for name, found in seconds.items()
    }


def main() -> None:
    for name, found in measure().items():
        print(f"{name:<12} {1000 * found['seconds']:7.1f} ms for {EPOCHS} epochs, {found['ratio']:.3f} × by hand")


if __name__ == "__main__":
    main()
