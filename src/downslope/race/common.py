"""What all trials of a race share, and how a trial's optimizer is made of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from .. import schedules
from ..errors import SettingError, nearest
from ..optim import for_model
from ..training.outcome import EXPLODED
from .trial import Setting, Trial, nested

Curve = Callable[..., Any]

SCHEDULE = "schedule"
"""The setting of a trial that names its schedule, where several race."""

SLOWER = "a step of several takes as long as their steps one after the other"
LONE = "there is only one"
"""Why trials that could train together do not."""

# Those that can end with the run, whatever its length: (lr, steps, steps of warm-up) -> the schedule.
SCHEDULES: dict[str, Curve] = {
    "constant": lambda lr, steps, warmup: schedules.constant(lr, warmup=warmup),
    "cosine": lambda lr, steps, warmup: schedules.cosine(lr, steps=steps, warmup=warmup),
    "linear": lambda lr, steps, warmup: schedules.linear(lr, 0.0, steps=steps, warmup=warmup),
    "wsd": lambda lr, steps, warmup: schedules.wsd(lr, steps=steps, decay=max(1, steps // 5), warmup=warmup),
    "one_cycle": lambda lr, steps, warmup: schedules.one_cycle(lr, steps=steps) if steps > 3 else lr,
}


@dataclass(frozen=True)
class Common:
    """What trials share: how data come, how long a warm-up is, on what they run.

    `batch` is None for whole-data batches and for a DataLoader, which has its own. `schedule` is followed from the
    trial's lr, over all steps of that trial, after a linear `warmup`, a share of them. `classes` has the optimizers
    that are a user's own, by the name they race under.
    """

    batch: int | None
    schedule: str = "cosine"
    warmup: float = 0.0
    device: str = "cpu"
    exploded: float = EXPLODED
    classes: Mapping[str, type] = field(default_factory=dict)

    def optimizer(self, name: str) -> Any:
        """The class that races under a name."""
        if name in self.classes:
            return self.classes[name]
        from ..optim import by_name

        return by_name(name)

    def rate(self, trial: Trial, steps: int | None) -> Any:
        """The learning rate of a trial of so many steps: a number, or a schedule for any optimizer of downslope.

        `steps` is None where a stream does not tell its length; then only a constant rate is possible."""
        own = trial.of_optimizer
        made = self.optimizer(trial.optimizer)
        lr = own.get("lr", getattr(made, "setting_defaults", {}).get("lr"))
        name = str(own.get(SCHEDULE, self.schedule))
        if lr is None:
            raise SettingError(f"{trial.optimizer}: has no lr for the schedule {name} to go from")
        if name == "constant" and not self.warmup:
            return lr
        if steps is None:
            raise SettingError(f"schedule {name}: the data do not tell their length; race with --schedule constant")
        return SCHEDULES[name](lr, steps, min(int(self.warmup * steps), steps - 1))

    def make(self, trial: Trial, model: Any, steps: int | None) -> Any:
        """The optimizer of a trial of so many steps, for a model or for parameters; of a model it has all, by another
        rule where its own is for matrices alone."""
        made = self.optimizer(trial.optimizer)
        own: dict[str, Setting] = {k: v for k, v in trial.of_optimizer.items() if k not in ("lr", SCHEDULE)}
        given = nested(own, made.setting_defaults)
        if isinstance(model, nn.Module):
            return for_model(made, model, lr=self.rate(trial, steps), **given)
        return made(model, lr=self.rate(trial, steps), **given)


def check_schedule(name: str) -> str:
    """A schedule's name as it is known. Raises SettingError with the nearest for one that cannot race."""
    plain = name.strip().lower().replace("-", "_")
    if plain not in SCHEDULES:
        raise SettingError(f"schedule={name!r}: {nearest(plain, SCHEDULES)}")
    return plain
