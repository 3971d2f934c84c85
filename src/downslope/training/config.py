"""Every option of a training run, with its default: the one table that the command line, a Python call and a TOML
file fill. Imports no torch, so that the command line can read it."""

# ruff: noqa: RUF009 -- option() makes a field

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ..errors import SettingError, nearest

FORMAT = 1  # of the run folder
Loose = dict[str, Any]


def option(default: Any, text: str, *, least: float | None = None, choices: tuple[str, ...] = (), **more: Any) -> Any:
    """A field of Config: its default, its help, and what it may hold."""
    metadata = {"help": text, "least": least, "choices": choices, **more}
    if isinstance(default, dict | list):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """The options of `downslope train` and `downslope.train`; None is the task's or the optimizer's own default.

    Raises SettingError for a value of the wrong kind or out of its range.
    """

    task: str = option("", "What to train.")
    task_settings: Loose = option({}, "The task's own settings.")
    seed: int = option(0, "Fixes all randomness: weights, order of the data, dropout.", least=0)
    out: str | None = option(None, "The run folder, new or empty; by default runs/NAME-TIME.", metavar="FOLDER")

    optimizer: Any = option("adam", "One of downslope.optim.", metavar="NAME")
    optimizer_settings: Loose = option({}, "The optimizer's own settings.")
    lr: float | None = option(None, "Learning rate; the optimizer's own by default.", least=0.0)
    schedule: Any = option(None, "Of the learning rate: one of downslope.schedules, such as cosine.", metavar="NAME")
    schedule_settings: Loose = option({}, "The schedule's arguments; `steps` is the whole run's unless given.")
    epochs: int | None = option(None, "Passes over the data; the task's own by default.", least=1)
    batch: int | str | None = option(None, 'Samples a batch, or "full"; the task\'s own by default.', metavar="N")
    accumulate: int = option(1, "Batches whose gradients are summed up to one step.", least=1)
    order: str = option("shuffle", "Of the data.", choices=("shuffle", "sequential", "curriculum"))
    difficulty: Any = option(
        None, "For a curriculum: a function of the task's file, (inputs, targets) -> how hard each is.", metavar="NAME"
    )
    pacing: Any = option(
        "linear",
        "How the easy share of a curriculum grows: linear, root, exponential, or a function of the task's file, "
        "(how far, the first share) -> the share.",
        metavar="NAME",
    )
    pacing_start: float = option(0.2, "The easy share that a curriculum starts with.", least=0.0, most=1.0)
    pacing_end: float = option(0.5, "The part of the epochs after which a curriculum has it all.", least=0.0, most=1.0)

    amp: str | None = option(None, "Automatic mixed precision.", choices=("bf16", "fp16"))
    l1: float = option(0.0, "Adds this times the sum of the parameters' absolute values to the loss.", least=0.0)
    l2: float = option(0.0, "Adds this times the sum of the parameters' squares to the loss.", least=0.0)
    max_norm: float | None = option(None, "Clips the gradient to this norm.", least=0.0)
    clip_value: float | None = option(
        None, "Clips each element of the gradient to within plus and minus this.", least=0.0
    )
    ema: float | None = option(
        None, "Decay of an average of the weights, which is what is scored.", least=0.0, most=1.0
    )
    init: str | None = option(None, "Scheme that the weights are initialised by; the model's own by default.")
    batchnorm: bool = option(False, "Recompute the batch-norm statistics over the training data at the end.")
    members: int = option(1, "Differently seeded models, whose predictions are averaged.", least=1)
    together: str = option(
        "auto", "Members take their steps together; auto is where that is quicker.", choices=("auto", "yes", "no")
    )

    eval_epochs: int = option(1, "Score on the validation data every so many epochs.", least=1)
    eval_steps: int | None = option(None, "Score every so many steps instead.", least=1)
    monitor: str | None = option(
        None, "What says which weights are best; the metric if there is one.", choices=("loss", "metric")
    )
    patience: int | None = option(None, "Stop after so many scores without a gain, and go back to the best.", least=1)
    min_gain: float = option(0.0, "The least that counts as a gain.", least=0.0)
    save_seconds: float = option(
        5.0, "How often to save, and less often where that takes over 5 % of the time; 0 is every step.", least=0.0
    )
    device: str | None = option(None, "cpu, cuda, cuda:1, mps; by default a GPU if there is one.")
    shard: bool = option(False, "Cut parameters and states into a part for each process, instead of copying them.")
    sync_batchnorm: bool = option(False, "Batch norms see the batches of all processes; on GPUs alone.")
    loggers: list[str] = option([], "tensorboard, wandb.")
    watch: float = option(
        0.02, "Part of the step time for watching what goes wrong; 0 is not at all.", least=0.0, most=1.0
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            _check(each, getattr(self, each.name))

    def as_json(self) -> Loose:
        """Everything, as config.json holds it; functions and schedules in words."""
        return {"format": FORMAT, **{name: plain(getattr(self, name)) for name in NAMES}}

    def changed(self, options: Mapping[str, Any]) -> Config:
        """With some options changed. Raises SettingError for one that there is none of, with the nearest names."""
        return replace(self, **known("options", options))


NAMES = tuple(each.name for each in fields(Config))


# What others call an option, and what belongs to the optimizer.
ALIASES = {
    "batch_size": "batch", "clip_grad_norm": "max_norm", "clip_norm": "max_norm", "ema_decay": "ema",
    "gradient_accumulation": "accumulate", "grad_clip": "max_norm", "learning_rate": "lr", "lr_schedule": "schedule",
    "max_epochs": "epochs", "n_epochs": "epochs", "num_epochs": "epochs", "output_dir": "out", "precision": "amp",
    "scheduler": "schedule",
}  # fmt: skip
OPTIMIZERS = ("amsgrad", "betas", "decoupled_weight_decay", "eps", "momentum", "nesterov", "weight_decay")


def known(where: str, options: Mapping[str, Any]) -> Loose:
    """The options, if there is one of each name."""
    for name in options:
        if name not in NAMES:
            near = f"did you mean {ALIASES[name]}?" if name in ALIASES else nearest(name, NAMES)
            if name in OPTIMIZERS:
                near = f"it is a setting of the optimizer: put it into optimizer_settings, {{{name!r}: ...}}"
            raise SettingError(f"{where}: there is no option {name!r}; {near}")
    return dict(options)


def from_toml(path: str | Path) -> Loose:
    """The options in a TOML file, checked. Raises SettingError for what is no TOML and for an unknown one."""
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise SettingError(f"{path}: is no TOML: {error}") from None
    options = known(str(path), found)
    try:
        Config(**options)
    except SettingError as error:
        raise SettingError(f"{path}: {error}") from None
    return options


def read_value(text: str) -> Any:
    """A value as a TOML file has it: 0.1, true, [0.9, 0.99]; else the text itself; none is None."""
    if text.lower() == "none":
        return None
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (ValueError, KeyError):
        return text


def distribute(given: Mapping[str, Any], places: Mapping[str, Mapping[str, Any]]) -> dict[str, Loose]:
    """What `--set key=value` gives, by the place that knows the key: the task, the optimizer or the schedule.

    `task.key`, `optimizer.key` and `schedule.key` say which. Raises SettingError for a key that none or two know."""
    found: dict[str, Loose] = {place: {} for place in places}
    for name, value in given.items():
        place, dot, rest = name.partition(".")
        if dot and place in places:
            found[place][rest] = value
            continue
        owners = [place for place, names in places.items() if name in names]
        if not owners:
            every = {key for names in places.values() for key in names}
            own = f"; it is an option of its own: --{name.replace('_', '-')}" if name in NAMES else ""
            raise SettingError(f"--set {name}: nothing has such a setting{own or '; ' + nearest(name, every)}")
        if len(owners) > 1:
            ways = " or ".join(f"{owner}.{name}" for owner in owners)
            raise SettingError(f"--set {name}: {' and '.join(owners)} both have it; say {ways}")
        found[owners[0]][name] = value
    return found


# ---- what an option may hold

KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "Loose": (dict,),
    "list[str]": (list, tuple),
    "None": (type(None),),
}
WORDS = {"str": "a name", "int": "a whole number", "float": "a number", "bool": "true or false", "Loose": "a table"}


def _check(each: Any, value: Any) -> None:
    kinds = each.type.split(" | ")
    if kinds == ["Any"] or (value is None and "None" in kinds):
        return
    fits = any(isinstance(value, KINDS[kind]) for kind in kinds) and (not isinstance(value, bool) or "bool" in kinds)
    words = " or ".join(WORDS.get(kind, "a list of names") for kind in kinds if kind != "None")
    if not fits:
        raise SettingError(f"{each.name}={value!r}: must be {words}")
    if each.name == "batch":
        if value != "full" and (isinstance(value, str) or value < 1):
            raise SettingError(f'batch={value!r}: must be a number of samples, at least 1, or "full"')
        return
    choices, least, most = (each.metadata.get(key) for key in ("choices", "least", "most"))
    if choices and value not in choices:
        raise SettingError(f"{each.name}={value!r}: {nearest(value, choices)}")
    if least is not None and not least <= value <= (math.inf if most is None else most):
        raise SettingError(
            f"{each.name}={value!r}: must be " + (f"at least {least:g}" if most is None else f"{least:g} to {most:g}")
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingError(f"{each.name}={value!r}: must be finite")


def plain(value: Any) -> Any:
    """As JSON has it; a function or a schedule in words."""
    if isinstance(value, dict):
        return {str(key): plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if value is None or isinstance(value, str | bool | int | float):
        return value
    return getattr(value, "__qualname__", None) or repr(value)
