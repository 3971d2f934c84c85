"""`downslope.whatif`: from a step of a run that downslope trained, short forked runs with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .. import optim, rng
from ..diagnose.forks import Change
from ..diagnose.whatif import FACTORS, Verdict, learning_rates, what_if
from ..errors import RunError, SettingError
from . import checkpoint, faults
from .build import make_loop, optimizer_class
from .config import Config
from .data import Batch, Part
from .folder import saved_config
from .loop import Loop
from .task import by_name

STEPS = 50
REPEATS = 5
SCORED = 8  # batches that every fork is scored on


def whatif(
    run: str | Path,
    *,
    step: int | None = None,
    lr: Iterable[float | str] | None = None,
    clip: Iterable[float | str] = (),
    optimizer: Iterable[str] = (),
    settings: Iterable[dict[str, Any]] = (),
    steps: int = STEPS,
    repeats: int = REPEATS,
) -> Verdict:
    """What would have come of it: fork a run at a step, each fork with one thing changed, and compare.

    `run` is the folder of a run; `step` the step to fork at, by default the last that is saved. A step before that is
    trained up to again, which costs that training. `lr` are factors, "0.3x", or rates, 1e-3, by default 0.1x, 0.3x, 3x
    and 10x; `clip` norms to clip to, or "off"; `optimizer` names of others, with their own defaults and states that
    start empty; `settings` of the run's own optimizer. Nothing but `lr` is changed unless it is given.

    Each fork takes `steps` steps on the same batches in each of `repeats` repeats, and is scored on the same validation
    batches (training ones where there is no validation data). Nothing in the folder is touched. Raises SettingError for
    a change that does not fit, RunError for a folder that holds no such step."""
    if steps < 1 or repeats < 1:
        raise SettingError(f"steps={steps}, repeats={repeats}: must be at least 1")
    path = Path(run)
    loop, config = at_step(path, step)
    changes = _changes(config, lr, clip, optimizer, settings)
    batches = [_batches(loop, steps, repeat) for repeat in range(repeats)]
    return what_if(loop.model, loop.optimizer, _step(loop), batches, _score(loop), changes)


def at_step(path: Path, step: int | None) -> tuple[Loop, Config]:
    """The loop of a run as it stood after a step; None is the last that is saved."""
    config = Config(**{**saved_config(path), "out": None, "loggers": []})
    if config.members > 1:
        raise SettingError(f"{path}: is an ensemble; fork one of its members, as in {path / 'member-0'}")
    if config.amp == "fp16" or config.shard:
        what = "amp=fp16" if config.amp == "fp16" else "shard"
        raise SettingError(f"{path}: was trained with {what}; forks are of one model in one process, without a scaler")
    saved = checkpoint.load(path / "last.pt") if (path / "last.pt").exists() else None
    last = 0 if saved is None else int(saved["position"]["step"])
    if step is not None and step < 0:
        raise SettingError(f"step={step}: must be at least 0")
    if step is not None and step > last and _ended(path):
        raise RunError(f"{path}: ended after {last} steps; give a step up to that")
    task = by_name(config.task).with_settings(**config.task_settings)
    with rng.seeded(0):
        data = task.make_data()
    ahead = _Until(last if step is None else step)
    with rng.seeded(config.seed):
        loop, config = make_loop(config, task, data, [ahead], lambda _: None)
        if saved is not None and last <= ahead.step:
            try:
                loop.load_state_dict(saved, [], None)
            except (RuntimeError, KeyError, ValueError) as error:
                raise RunError(
                    f"{path}: its checkpoint does not fit what the task makes now ({str(error).splitlines()[0]}); was "
                    "the task changed since?"
                ) from error
        loop.best = None  # early stopping is of the run, not of its forks
        if loop.step < ahead.step:
            loop.run()
    if loop.step != ahead.step:
        raise RunError(f"{path}: ends after {loop.step} steps, so there is no step {ahead.step}")
    return loop, config


class _Until:
    """A callback that stops the loop at a step."""

    def __init__(self, step: int):
        self.step = step

    def on_step(self, loop: Loop) -> None:
        if loop.step >= self.step:
            loop.stop()


def _ended(path: Path) -> bool:
    lines = (path / "records.jsonl").read_text().splitlines() if (path / "records.jsonl").exists() else []
    return bool(lines) and '"event":"end"' in lines[-1].replace(" ", "")


# ---- changes


def _changes(
    config: Config,
    lr: Iterable[float | str] | None,
    clip: Iterable[float | str],
    optimizer: Iterable[str],
    settings: Iterable[dict[str, Any]],
) -> list[Change]:
    found = learning_rates(FACTORS if lr is None else [_factor(config, each) for each in lr])
    for norm in clip:
        limit = float("inf") if norm == "off" else _positive("clip", norm)
        found.append(Change("not clipped" if norm == "off" else f"clipped to {limit:g}", max_norm=limit))
    for name in optimizer:
        made = optim.by_name(name)
        found.append(Change(made.__name__, optimizer=_Fresh(made)))
    own = optimizer_class(config.optimizer)
    for given in settings:
        for key in given:
            if own is not None and key not in own.setting_defaults:
                raise SettingError(f"{own.__name__}: has no setting {key!r}; it has {', '.join(own.setting_defaults)}")
        values = {key: tuple(v) if isinstance(v, list) else v for key, v in given.items()}
        found.append(Change(", ".join(f"{k}={v}" for k, v in values.items()), settings=values))
    return found


class _Fresh:
    def __init__(self, made: type[optim.Optimizer]):
        self.made = made

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        return optim.for_model(self.made, model)


def _factor(config: Config, given: float | str) -> float:
    """0.3x is a factor; without an x it is a learning rate."""
    if isinstance(given, str) and given.strip().endswith("x"):
        return _positive("lr", given.strip()[:-1])
    if config.lr is None:
        raise SettingError(f"lr {given}: the run has no lr of its own; give factors, such as 0.3x")
    return _positive("lr", given) / config.lr


def _positive(what: str, given: float | str) -> float:
    try:
        value = float(given)
    except ValueError:
        raise SettingError(f"{what} {given!r}: must be a number above 0") from None
    if not 0 < value < float("inf"):
        raise SettingError(f"{what} {given!r}: must be a number above 0")
    return value


# ---- a fork's steps and score


def _batches(loop: Loop, steps: int, repeat: int) -> list[tuple[Batch, ...]]:
    """The batches of each step of a repeat, drawn as the run draws them but for their order."""
    part = loop.data.train
    found: list[Batch] = []
    with rng.seeded(repeat):
        while len(found) < steps * loop.accumulate:
            order = None if part.loader is not None else torch.randperm(part.size or 0)
            found += islice(part.batches(loop.batch_size, order), steps * loop.accumulate - len(found))
    k = loop.accumulate
    return [tuple(found[i : i + k]) for i in range(0, len(found), k)]


def _step(loop: Loop) -> Callable[[nn.Module, torch.optim.Optimizer, Sequence[Batch]], float]:
    def step(model: nn.Module, optimizer: torch.optim.Optimizer, group: Sequence[Batch]) -> float:
        model.train()
        optimizer.zero_grad()
        sizes = [faults.size(*batch) for batch in group]
        mean = 0.0
        for batch, size in zip(group, sizes):
            loss = _loss(loop, model, batch)
            mean += loss.item() * size / sum(sizes)
            if loop.penalty is not None:
                loss = loss + loop.penalty(model)
            (loss * (size / sum(sizes))).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return mean

    return step


def _score(loop: Loop) -> Callable[[nn.Module], list[float]]:
    part: Part = loop.data.validation or loop.data.train
    with rng.seeded(0):
        order = None if part.loader is not None else torch.randperm(part.size or 0)
        scored = list(islice(part.batches(max(loop.batch_size or 0, 256), order), SCORED))

    @torch.no_grad()
    def score(model: nn.Module) -> list[float]:
        model.eval()
        return [_loss(loop, model, batch).item() for batch in scored]

    return score


def _loss(loop: Loop, model: nn.Module, batch: Batch) -> torch.Tensor:
    inputs, targets = (faults.moved(each, loop.device) for each in batch)
    if loop.precision is None:
        return loop.task.loss(model(inputs), targets)
    with torch.autocast(loop.device.type, loop.precision):
        return loop.task.loss(model(inputs), targets)
