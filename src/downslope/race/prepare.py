"""From what a user asks for to the complete plan, with the task, its data and the classes at hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import DownslopeError, RunError, SettingError
from ..training.extras import need
from ..user_code import where
from . import budget as budgets
from .bench import Bench, Kit, make_kit
from .common import SCHEDULE, Common, check_schedule
from .dimension import Dimension, Space
from .entrants import DEFAULT, Entrant, entrants
from .plan import Plan
from .samplers import SAMPLERS
from .search import wished, wishes
from .spaces import space_of
from .trial import Trial


@dataclass
class Ready:
    """A plan, and what it takes to run it here or in another process."""

    plan: Plan
    bench: Bench
    kit: Kit


def prepare(
    task: Any,
    optimizers: Any = DEFAULT,
    *,
    budget: str | None = None,
    trials: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    schedule: str | Iterable[str] | None = None,
    warmup: float = 0.05,
    search: Mapping[str, Any] | Iterable[str] | None = None,
    rungs: bool = False,
    search_seeds: int = 1,
    race_seed: int = 0,
    task_settings: Mapping[str, Any] | None = None,
    monitor: str | None = None,
    sampler: str = "halton",
    batched: bool = True,
    device: str | None = None,
    threads: int = 1,
) -> Ready:
    """The plan for a task (a name, a file, a Task) and optimizers. Raises SettingError and RunError for what cannot be
    raced, in words that say what can."""
    from ..rng import seeded
    from ..training.task import as_task

    _check_numbers(trials=trials, seeds=seeds, epochs=epochs, batch=batch, search_seeds=search_seeds, threads=threads)
    if not 0 <= warmup < 1:
        raise SettingError(f"warmup={warmup}: must be a share of the steps, from 0 to below 1")
    if sampler not in SAMPLERS:
        raise SettingError(f"sampler={sampler!r}: known are {', '.join(SAMPLERS)}")
    need(*SAMPLERS[sampler].needs, extra="optuna", job=f"the sampler {sampler}")
    found = as_task(task)
    found = found.with_settings(**(task_settings or {}))
    racing = entrants(optimizers)
    names = tuple(one.name for one in racing)
    schedules = [check_schedule(s) for s in _words(schedule or "cosine")]
    spaces = _spaces(racing, found, wishes(search), schedules)
    with seeded(0):  # the same data for every seed
        data = found.make_data()
    length = epochs or found.epochs
    bought = _bought(budget, trials, seeds, len(names), length, search_seeds)
    plan = Plan(
        task=found.name,
        task_settings=dict(found.settings) if task_settings else {},
        optimizers=names,
        dimensions=spaces,
        monitor=_monitor(monitor, found),
        epochs=length,
        batch=_batch(batch, found, data.train),
        schedule=schedules[0],
        warmup=warmup,
        trials=bought[0],
        seeds=bought[1],
        budget=budget,
        rungs=budgets.rung_epochs(length) if rungs else (),
        search_seeds=tuple(range(search_seeds)),
        race_seed=race_seed,
        sampler=sampler,
        batched="auto" if batched else "no",
        device=device or _device(),
        threads=threads,
        origins={one.name: one.origin for one in racing if one.origin},
    )
    if data.validation is None:
        raise RunError(
            f"{found.name}: a race chooses settings by validation data, and data() returns none; return (train, "
            "validation) or (train, validation, test)"
        )
    fields = {name: getattr(plan, name) for name in ("batch", "schedule", "warmup", "device")}
    common = Common(**fields, classes={one.name: one.made for one in racing if one.origin})
    bench = Bench(found, common, data)
    plan = replace(plan, untrained=_untrained(plan, found, data))
    for one in racing:
        _one_step(found, data, common, one, plan)
    return Ready(plan, bench, make_kit(task, found, fields, racing, threads))


def _check_numbers(**numbers: int | None) -> None:
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, int) or number < 1):
            raise SettingError(f"{name}={number!r}: must be a whole number, at least 1")


def _words(given: str | Iterable[str]) -> list[str]:
    return given.split(",") if isinstance(given, str) else list(given)


def _spaces(racing: list[Entrant], task: Any, asked: list[Any], schedules: list[str]) -> dict[str, Space]:
    spaces = {one.name: space_of(one.name, one.made) for one in racing}
    spaces = wished(spaces, {one.name: one.made for one in racing}, task, asked)
    if len(schedules) > 1:
        choice = Dimension(SCHEDULE, scale="choices", rank=0, choices=tuple(schedules), source="asked for")
        own = {name for name, space in spaces.items() if any(d.name == SCHEDULE for d in space)}
        spaces = {name: space if name in own else (*space, choice) for name, space in spaces.items()}
    return spaces


def _bought(
    budget: str | None, trials: int | None, seeds: int | None, count: int, epochs: int, points: int
) -> tuple[int | None, int | None]:
    if budget is None:
        given = budgets.TRIALS if trials is None else trials
        if given < points:
            raise SettingError(f"trials={given}: fewer than the {points} search seeds of one point; give at least that")
        return given, budgets.SEEDS if seeds is None else seeds
    if trials is not None:
        raise SettingError(f"trials={trials} and budget={budget!r}: give one of them; the budget decides the other")
    read = budgets.read(budget)
    if read.kind == "seconds":
        return None, None if seeds is None else seeds
    return budgets.counted(read, count, epochs, seeds, points)


def _monitor(given: str | None, task: Any) -> str:
    if given not in (None, "metric", "loss"):
        raise SettingError(f"monitor={given!r}: must be metric or loss")
    if given == "metric" and task.metric is None:
        raise SettingError(f"monitor='metric': {task.name} has no metric(output, target); use loss")
    return given or ("loss" if task.metric is None else "metric")


def _batch(given: int | None, task: Any, part: Any) -> int | None:
    if part.loader is not None:
        if given is not None:
            raise SettingError(f"batch={given}: {part.where} is a DataLoader, which has a batch size of its own")
        return None
    if given is not None and given > part.size:
        raise SettingError(f"batch={given}: is larger than the {part.size} samples of {part.where}")
    return min(given or task.batch, part.size)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _untrained(plan: Plan, task: Any, data: Any) -> dict[str, float | None]:
    """What the initial model of the first search seed scores. Raises RunError where that is no number."""
    import torch

    from ..rng import seeded
    from ..training.score import evaluate

    found: dict[str, float | None] = {}
    device = torch.device(plan.device)
    with seeded(plan.search_seeds[0]):
        model = task.make_model().to(device)
        for name in ("validation", "test"):
            part = getattr(data, name)
            loss, metric = (None, None) if part is None else evaluate(task, model, part, device=device)
            found[name] = score = metric if plan.monitor == "metric" else loss
            for word, value in (("loss", loss), (plan.monitor, score)):
                if value is not None and not math.isfinite(value):
                    raise RunError(
                        f"{task.name}: the {word} of the untrained network is {value} on {part.where}, so every run "
                        f"would fail; `downslope check {task.name}` says where it comes from"
                    )
    return found


def _one_step(task: Any, data: Any, common: Common, one: Entrant, plan: Plan) -> None:
    """Take one step with an optimizer, so that one that cannot train this task is known before the race."""
    import torch

    from ..rng import kept, seeded
    from ..training import faults

    trial = Trial(one.name, (), plan.search_seeds[0], plan.epochs)
    device = torch.device(common.device)
    with kept(), seeded(trial.seed):
        model = task.make_model().to(device)
        _check_matrices(task, common, one, model)
        inputs, targets = next(iter(data.train.batches(common.batch or 256)))
        inputs, targets = faults.moved(inputs, device), faults.moved(targets, device)
        try:
            output = model(inputs)
        except Exception as error:
            raise faults.model_failed(task, data.train, inputs, error) from error
        try:
            loss = task.loss(output, targets)
        except Exception as error:
            raise faults.loss_failed(task, data.train, output, targets, error) from error
        faults.check_loss(task, loss)
        loss.backward()
        try:
            common.make(trial, model, 10).step()
        except DownslopeError as error:
            raise type(error)(f"{one.name}: cannot train {task.name}: {error}; leave it out") from error
        except Exception as error:
            raise RunError(f"{one.name}: cannot train {task.name}: {where(error)}; leave it out") from error


def _check_matrices(task: Any, common: Common, one: Entrant, model: Any) -> None:
    """A rule for matrices has one at least to train."""
    from ..compiler.plan import program

    made = common.optimizer(one.name)
    shapes = [tuple(p.shape) for p in model.parameters() if p.requires_grad]
    if program(made.choose({**made.setting_defaults})).needs_matrices and not any(len(s) > 1 for s in shapes):
        found = ", ".join(map(str, shapes[:3])) + (", ..." if len(shapes) > 3 else "")
        raise RunError(
            f"{one.name}: cannot train {task.name}: it is a rule for matrices, and the parameters are all of one "
            f"dimension ({found}); leave it out"
        )
