"""From options to what they stand for: the optimizer with its schedule, the penalty, the loop."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import torch

from .. import optim, schedules
from ..errors import SettingError, nearest
from .config import Config
from .data import Data, Part
from .distributed import Team
from .loop import Keeper, Loop
from .order import Order, make_order
from .parallel import replicated, sharded, synchronised
from .stopping import Best
from .task import Task

PRECISIONS = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Those that go from a learning rate by themselves.
SCHEDULES = (
    "constant", "cosine", "cosine_restarts", "exponential", "inverse_sqrt", "linear", "multistep", "one_cycle",
    "plateau", "polynomial", "step", "wsd",
)  # fmt: skip
OWN = ("max_norm", "clip_value", "ema")


def resolve(config: Config, task: Task, data: Data) -> Config:
    """With everything filled in that the task, the optimizer and the data decide. Raises SettingError."""
    changes: dict[str, Any] = {
        "task_settings": dict(task.settings),
        "epochs": config.epochs or task.epochs,
        "batch": _batch(config, task, data.train),
        "device": config.device or ("cuda" if torch.cuda.is_available() else "cpu"),
    }
    check_device(str(changes["device"]))
    made = optimizer_class(config.optimizer)
    if made is not None:
        changes["optimizer"] = made.__name__.lower() if isinstance(config.optimizer, str) else config.optimizer
        if config.lr is None and not isinstance(config.schedule, schedules.Schedule | schedules.Plateau):
            changes["lr"] = made.setting_defaults.get("lr")
    if data.validation is None:
        if config.patience is not None:
            raise SettingError(f"patience={config.patience}: {task.name} has no validation data to stop by")
    elif config.monitor is None:
        changes["monitor"] = "metric" if task.metric is not None else "loss"
    if config.monitor == "metric" and task.metric is None:
        raise SettingError(f"monitor='metric': {task.name} has no metric(output, target); use loss")
    return replace(config, **changes)


def check_device(name: str) -> None:
    """Raise SettingError for a device that torch does not know, or that is not here."""
    try:
        device = torch.device(name)
        there = device.type != "meta"
        if device.type == "cuda":
            there = (device.index or 0) < torch.cuda.device_count()
        elif there:
            torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        there = False
    if not there:
        found = [f"cuda:{n}" for n in range(torch.cuda.device_count())]
        found += ["mps"] if torch.backends.mps.is_available() else []
        raise SettingError(f"device={name!r}: torch has no such device here; there is {', '.join(['cpu', *found])}")


def _batch(config: Config, task: Task, part: Part) -> int | str | None:
    if part.loader is not None:
        if config.batch is not None:
            raise SettingError(
                f"batch={config.batch!r}: {part.where} is a DataLoader, which has a batch size of its own; set it there"
            )
        return None
    size = part.size or 1
    if isinstance(config.batch, int) and config.batch > size:
        raise SettingError(
            f'batch={config.batch}: is larger than the {size} samples of {part.where}; at most {size}, or "full"'
        )
    return min(task.batch, size) if config.batch is None else config.batch


def optimizer_class(optimizer: Any) -> type[optim.Optimizer] | None:
    """The class of a name, or of downslope's own; None for a function that makes one."""
    if isinstance(optimizer, str):
        return optim.by_name(optimizer)
    if isinstance(optimizer, type) and issubclass(optimizer, optim.Optimizer):
        return optimizer
    if not callable(optimizer):
        made = f"is made already, {type(optimizer).__name__}" if isinstance(optimizer, torch.optim.Optimizer) else ""
        raise SettingError(
            f"optimizer {made or f'is {optimizer!r:.80}'}; give a name, a class, or a function of the parameters: each "
            "run makes its own"
        )
    return None


def schedule_names(name: Any) -> dict[str, Any]:
    """The arguments of a schedule beside its value, by name. Raises SettingError for one that there is none of."""
    if name is None or not isinstance(name, str):
        return {}
    plain = name.lower().replace("-", "_")
    if plain not in SCHEDULES:
        raise SettingError(f"schedule={name!r}: {nearest(plain, SCHEDULES)}")
    parameters = inspect.signature(getattr(schedules, plain)).parameters
    return {p.name: p for p in list(parameters.values())[1:]}


def scheduled(config: Config, steps: int | None) -> tuple[Any, Config]:
    """The learning rate as the optimizer takes it, and the configuration with the schedule's arguments filled in."""
    if config.schedule is None or not isinstance(config.schedule, str):
        if not isinstance(config.schedule, schedules.Schedule | schedules.Plateau | None):
            name = getattr(config.schedule, "__name__", type(config.schedule).__name__)
            raise SettingError(f"schedule: {name} is none of downslope.schedules; give one of these, or its name")
        if config.schedule is not None and config.lr is not None:
            raise SettingError(f"lr={config.lr:g}: the schedule {config.schedule!r} has its own; leave lr out")
        return (config.lr if config.schedule is None else config.schedule), config
    wanted = schedule_names(config.schedule)
    given = dict(config.schedule_settings)
    for name in given:
        if name not in wanted:
            raise SettingError(f"schedule {config.schedule}: has no argument {name!r}; {nearest(name, wanted)}")
    if "steps" in wanted and steps is not None:
        given.setdefault("steps", steps)
    if config.schedule == "linear":
        given.setdefault("final", 0.0)
    if config.schedule == "plateau" and config.monitor == "metric":
        given.setdefault("mode", "max")
    missing = [name for name, p in wanted.items() if p.default is p.empty and name not in given]
    if missing:
        ways = " ".join(f"--set schedule.{name}=..." for name in missing)
        raise SettingError(f"schedule {config.schedule}: needs {' and '.join(missing)}; give it with {ways}")
    if config.lr is None:
        raise SettingError(f"schedule {config.schedule}: needs a learning rate to go from; give lr")
    made = getattr(schedules, config.schedule.lower().replace("-", "_"))(config.lr, **given)
    return made, replace(config, schedule_settings=given)


def make_optimizer(config: Config, model: torch.nn.Module, lr: Any) -> torch.optim.Optimizer:
    if not any(p.requires_grad for p in model.parameters()):
        raise SettingError(f"{config.task}: the network of model() has no parameters that are trained")
    made = optimizer_class(config.optimizer)
    own = {name: getattr(config, name) for name in OWN if getattr(config, name) is not None}
    if made is None:
        given = [name for name in ("lr", "schedule") if getattr(config, name) is not None] + list(own)
        if given or config.optimizer_settings:
            raise SettingError(
                f"{', '.join(given) or 'optimizer_settings'}: the optimizer is a function of yours, so give it there"
            )
        return config.optimizer(model.parameters())  # type: ignore[no-any-return]
    settings = {k: tuple(v) if isinstance(v, list) else v for k, v in config.optimizer_settings.items()}
    for name in ("lr", *own):
        if name in settings:
            raise SettingError(f"optimizer_settings: {name} is an option of its own; give it there")
    rate = {} if lr is None else {"lr": lr}
    return optim.for_model(made, model, **rate, **own, **settings)


def count_steps(config: Config, part: Part, order: Order) -> int | None:
    """The optimizer's steps in the whole run, if that is known before."""
    assert config.epochs is not None
    rounded = math.floor if part.drop_last else math.ceil
    if part.loader is not None:
        batches = part.count_batches(None)
        return None if batches is None else config.epochs * math.ceil(batches / config.accumulate)
    steps = 0
    for epoch in range(config.epochs):
        samples = order.count(epoch) or 1
        batches = rounded(samples / config.batch) if isinstance(config.batch, int) else 1
        steps += math.ceil(batches / config.accumulate)
    return steps


def make_penalty(config: Config) -> Callable[[torch.nn.Module], torch.Tensor] | None:
    """What is added to the loss, of all parameters that are learned."""
    l1, l2 = config.l1, config.l2
    if not l1 and not l2:
        return None

    def penalty(model: torch.nn.Module) -> torch.Tensor:
        total = torch.zeros(())
        for p in model.parameters():
            if p.requires_grad:
                total = total.to(p.device)
                p = p.to_local() if hasattr(p, "to_local") else p  # each process adds the gradient of its part
                total = total + l1 * p.abs().sum() if l1 else total
                total = total + l2 * p.square().sum() if l2 else total
        return total

    return penalty


def make_loop(
    config: Config,
    task: Task,
    data: Data,
    callbacks: Iterable[Any],
    keeper: Callable[[Config], Keeper | None],
    team: Team | None = None,
) -> tuple[Loop, Config]:
    """A loop at its start and its complete configuration. Draws the weights from the global random state.

    `keeper` is made of that configuration, once everything has been found to fit."""
    name = config.device or "cpu"
    device = torch.device(name) if team is None else team.device(name)
    model = task.make_model()
    if config.init is not None:
        from .initialise import initialise

        initialise(model, config.init, sample=first_inputs(data.train))
    model.to(device)
    if config.sync_batchnorm and team is not None:
        model = synchronised(model, device)
    if config.shard and team is not None:
        model = sharded(model, team, device)
    order = make_order(config, task, data.train)
    lr, config = scheduled(config, count_steps(config, data.train, order))
    loop = Loop(
        task,
        data,
        model,
        make_optimizer(config, model, lr),
        order,
        epochs=config.epochs or 1,
        batch=config.batch if isinstance(config.batch, int) else None,
        accumulate=config.accumulate,
        precision=None if config.amp is None else PRECISIONS[config.amp],
        penalty=make_penalty(config),
        eval_epochs=config.eval_epochs,
        eval_steps=config.eval_steps,
        best=_best(config) if data.validation is not None and (config.patience or config.out) else None,
        callbacks=callbacks,
        device=device,
        team=team,
        forward=replicated(model, device) if team is not None and not config.shard else None,
    )
    loop.keeper = keeper(config)
    return loop, config


def _best(config: Config) -> Best:
    assert config.monitor is not None
    return Best(config.monitor, patience=config.patience, min_gain=config.min_gain)


def first_inputs(part: Part, count: int = 256) -> Any:
    """A batch of inputs to look at."""
    if part.loader is not None:
        return next(part.batches())[0]
    return part.rows(torch.arange(min(count, part.size or 1)))[0]
