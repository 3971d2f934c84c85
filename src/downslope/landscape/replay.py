"""A run of `downslope train`, read again: its network as it ended, and the weights it passed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .. import rng
from ..errors import RunError
from ..training import checkpoint
from ..training.branch import at_step
from ..training.build import make_loop
from ..training.config import Config
from ..training.data import Batch, Part
from ..training.folder import saved_config
from ..training.loop import Loop
from ..training.task import by_name

POINTS = 200


def ended(path: Path, task: str | None = None) -> tuple[Loop, Config]:
    """The loop of a run as it was saved last. Raises RunError for the run of another task, or one without a state."""
    saved = saved_config(path)
    if task is not None and saved["task"] != task:
        raise RunError(f"{path}: is a run of {saved['task']}, not of {task}; give the run of that task")
    if not (path / "last.pt").is_file():
        raise RunError(f"{path}: has no last.pt, so its weights are not known; train it again, or let it end")
    return at_step(path, None)


def trajectory(path: Path, points: int = POINTS) -> Tensor:
    """The weights (T, P) a run passed, evenly by step, at most about `points`, with the first and the last.

    The run is trained again from its start, bit for bit as it was, which takes as long as it took. Raises RunError when
    it ends elsewhere than it did, as after a change of the task or on another machine."""
    config = Config(**{**saved_config(path), "out": None, "loggers": []})
    state = checkpoint.load(path / "last.pt")
    last = int(state["position"]["step"])
    task = by_name(config.task).with_settings(**config.task_settings)
    with rng.seeded(0):
        data = task.make_data()
    recorder = _Recorder(last, max(1, -(-last // points)))
    with rng.seeded(config.seed):
        loop, config = make_loop(config, task, data, [recorder], lambda _: None)
        loop.run()
    there = dict(loop.model.named_parameters())
    ends = {name: value for name, value in state["model"].items() if name in there}
    apart = max(float((there[name].detach().cpu() - value.cpu()).abs().max()) for name, value in ends.items())
    size = max(float(p.detach().abs().max()) for p in there.values())
    if loop.step != last or not apart <= 1e-3 * size:
        raise RunError(
            f"{path}: trained again it ends {apart:.2g} away from its checkpoint; was the task or the machine changed?"
        )
    return torch.stack(recorder.weights)


class _Recorder:
    """A callback that keeps the weights at the start, every few steps, and at the last step."""

    def __init__(self, last: int, every: int):
        self.last, self.every, self.weights = last, every, list[Tensor]()

    def on_start(self, loop: Loop) -> None:
        self._keep(loop)

    def on_step(self, loop: Loop) -> None:
        if loop.step % self.every == 0 or loop.step == self.last:
            self._keep(loop)
        if loop.step >= self.last:
            loop.stop()

    def _keep(self, loop: Loop) -> None:
        self.weights.append(torch.cat([p.detach().cpu().reshape(-1).clone() for p in loop.model.parameters()]))


def batches(part: Part, samples: int | None, rows: int = 1024) -> list[Batch]:
    """The first batches of a part of the data until there are `samples`, moved nowhere; all of it for None."""
    if part.loader is not None:
        found: list[Batch] = []
        seen = 0
        with rng.seeded(0):
            for batch in part.batches():
                found.append(batch)
                seen += _count(batch)
                if samples is not None and seen >= samples:
                    break
        return found
    order = torch.arange(part.size or 0)[:samples]
    return list(islice(part.batches(rows, order), len(order)))


def _count(batch: Any) -> int:
    from ..training.faults import size

    return size(*batch)
