"""Whether trials can train together: one step of them together is held against the same step of each alone."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from ...errors import DownslopeError
from .. import faults
from ..data import Data
from ..score import ROWS
from ..task import Task
from .feed import Feed
from .model import StackedModel
from .networks import Trial, networks, streams, unlike

STEPS = 2  # forward and backward passes that are compared; the second sees what the first left behind
SAMPLE = 3  # trials of which they are compared

# How far a gradient may be off: as a share of its tensor's largest, and of the network's largest.
TOLERANCE: dict[torch.dtype, tuple[float, float]] = {
    torch.float64: (1e-9, 1e-11),
    torch.float32: (1e-4, 1e-6),
    torch.bfloat16: (3e-2, 1e-3),
    torch.float16: (1e-2, 1e-3),
}
Step = tuple[torch.Tensor, dict[str, Any]]


class Way(NamedTuple):
    """How trials train together: how they are differentiated (`inner`, see StackedModel), whether their networks draw
    random numbers; or why they cannot."""

    inner: bool = False
    draws: bool = False
    why: str = ""


def tried(task: Task, data: Data, batch: int | None, device: torch.device, trials: Sequence[Trial]) -> Way:
    """How these trials can train together, or why not. Costs some steps of a few of them; draws random numbers."""
    chosen = _sample(trials)
    try:
        starts = networks(task, trials, device)
        for start in {start.key: start for start in starts}.values():
            if found := unlike(starts[0].network, start.network):
                return Way(why=found)
        feed = Feed(data.train, [trial.seed for trial in chosen], batch, device)
        if feed.part.tensors is None and _draws_samples(feed):
            return Way(why=f"{data.train.where} draws its samples at random, so trials would see others than alone")
        batches = [batch for (batch, _), _ in zip(feed.epoch(0), range(STEPS))]
        part = data.validation or data.train
        probe = next(part.batches(ROWS))[0]
        probe = faults.moved(probe, device) if device.type != "cpu" else probe
        before = random.getstate(), np.random.get_state(legacy=True)[1:3]  # type: ignore[index]
        alone = [_alone(task, t, device, feed, batches, k, probe) for k, t in enumerate(chosen)]
        after = random.getstate(), np.random.get_state(legacy=True)[1:3]  # type: ignore[index]
    except DownslopeError as error:
        return Way(why=str(error))
    except Exception as error:
        return Way(why=f"it fails alone too: {_line(error)}")
    if before[0] != after[0] or not all(np.array_equal(a, b) for a, b in zip(before[1], after[1])):
        return Way(why="its network draws from numpy's or Python's random state, which a batch has only one of")
    for one in alone:
        if one.changed:
            return Way(why=f"{one.changed} from step to step, and is no parameter or buffer")
    draws = any(one.draws for one in alone)
    whys = []
    for inner in (False, True):
        try:
            why = _compared(task, chosen, feed, batches, probe, alone, inner, draws, device)
        except Exception as error:
            why = f"its network or loss cannot run on several trials at once: {_line(error)}"
        if not why:
            return Way(inner, draws)
        whys.append(why)
    return Way(why=whys[0])


def _sample(trials: Sequence[Trial]) -> list[Trial]:
    """A few of them, of several seeds and task settings where there are; those alike side by side."""
    kinds: dict[Any, list[Trial]] = {}
    for trial in trials:
        kinds.setdefault((trial.seed, repr(trial.of_task)), []).append(trial)
    found = [each[0] for each in kinds.values()][: SAMPLE - 1] + list(kinds.values())[-1][-1:]
    found = found if len(found) > 1 else found * 2
    return sorted(found[:SAMPLE], key=lambda t: (t.seed, repr(t.of_task)))


def _draws_samples(feed: Feed) -> bool:
    rows = torch.arange(min(2, feed.part.size or 1))
    once, again = feed.part.rows(rows), feed.part.rows(rows)
    return any(not torch.equal(a, b) for a, b in zip(faults.leaves(once), faults.leaves(again)))


# ---- alone and together


class Alone(NamedTuple):
    steps: list[Step]
    output: Any
    draws: bool
    changed: str | None  # by training, beside parameters and buffers


def _alone(task: Task, trial: Trial, device: torch.device, feed: Feed, batches: list[Any], k: int, probe: Any) -> Alone:
    start, fresh = networks(task, [trial], device)[0], networks(task, [trial], device)[0].network
    network, steps = start.network, []
    network.train()
    torch.set_rng_state(start.state)
    for batch in batches:
        network.zero_grad()
        inputs, targets = feed.of_trial(batch, k)
        loss = task.loss(network(inputs), targets)
        loss.backward()  # type: ignore[no-untyped-call]
        found = {f"the gradient of {n}": _kept(p.grad) for n, p in network.named_parameters()}
        found |= {f"the buffer {n}": _kept(b) for n, b in network.named_buffers()}
        steps.append((loss.detach().reshape(()), found))
    network.eval()
    with torch.no_grad():
        output = network(probe)
    return Alone(steps, output, not torch.equal(start.state, torch.get_rng_state()), unlike(fresh, network))


def _compared(
    task: Task,
    trials: Sequence[Trial],
    feed: Feed,
    batches: list[Any],
    probe: Any,
    alone: list[Alone],
    inner: bool,
    draws: bool,
    device: torch.device,
) -> str:
    """What differs, in words, or nothing."""
    starts = networks(task, trials, device)
    model = StackedModel(task, [start.network for start in starts], inner=inner)
    if draws:
        firsts, states = streams(starts)
        model.draw_from(firsts, states)
    for step, batch in enumerate(batches):
        losses = model.backward(batch, feed.apart)
        for k, one in enumerate(alone):
            loss, found = one.steps[step]
            ours = {f"the gradient of {n}": None if p.grad is None else p.grad[k] for n, p in model.params.items()}
            ours |= {f"the buffer {n}": b[k] for n, b in model.buffers.items()}
            if why := _differs({"the loss": losses[k], **ours}, {"the loss": loss, **found}):
                return f"in a step together {why} is not what it is alone"
    for one, output in zip(alone, model.outputs(probe, faults.size(probe, ()))):
        pairs = zip(faults.leaves(output), faults.leaves(one.output))
        if any(_differs({"": a}, {"": b}) is not None for a, b in pairs):
            return "the output in evaluation is together not what it is alone"
    return ""


def _differs(ours: dict[str, Any], theirs: dict[str, Any]) -> str | None:
    """The name of the first tensor that is not the same up to rounding, or None."""
    known = [t for t in theirs.values() if t is not None and t.is_floating_point() and t.numel()]
    largest = max((float(t.nan_to_num(0.0).abs().max()) for t in known), default=0.0)
    for name, b in theirs.items():
        a = ours.get(name)
        if a is None or b is None or a.shape != b.shape:
            if a is not b:
                return name
        elif not b.is_floating_point():
            if not torch.equal(a, b):
                return name
        elif b.numel():
            own, all_of_it = TOLERANCE.get(b.dtype, TOLERANCE[torch.float32])
            allowed = own * float(b.nan_to_num(0.0).abs().max()) + all_of_it * largest
            if not torch.allclose(a, b, rtol=0.0, atol=allowed, equal_nan=True):
                return name
    return None


def _kept(t: torch.Tensor | None) -> torch.Tensor | None:
    return None if t is None else t.detach().clone()


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
