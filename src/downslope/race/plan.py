"""What a race will do: every trial, fixed before the first one starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import RunError, SettingError
from .grid import learning_rates

DEFAULT = ("sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam")
FORMAT = 1  # of the run folder


class Trial(NamedTuple):
    """One run: an optimizer at a learning rate from a seed. It is also the key under which the result is kept."""

    optimizer: str
    lr: float
    seed: int


@dataclass(frozen=True)
class Plan:
    """The complete configuration of a race. `grids` has the learning rates of each optimizer, in racing order."""

    task: str
    grids: dict[str, list[float]]
    seeds: list[int]
    epochs: int
    batch: int
    chance: float

    def trials(self) -> list[Trial]:
        """All of them, one optimizer after the other, each grid from its middle out so that good runs come first."""
        return [
            Trial(name, lr, seed)
            for name, grid in self.grids.items()
            for lr in sorted(grid, key=lambda lr: abs(grid.index(lr) - (len(grid) - 1) / 2))
            for seed in self.seeds
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "task": self.task,
            "learning_rates": self.grids,
            "seeds": self.seeds,
            "epochs": self.epochs,
            "batch": self.batch,
            "chance": self.chance,
        }


def make_plan(
    task: str = "digits",
    optimizers: Iterable[str] = DEFAULT,
    *,
    lrs: int = 11,
    seeds: int = 3,
    epochs: int | None = None,
    batch: int | None = None,
) -> Plan:
    """The plan for a task by name and optimizers by name.

    `lrs` learning rates each, `seeds` seeds from 0 up; epochs and batch size are the task's unless given. Raises
    RunError for an unknown task and SettingError for an unknown optimizer, with the nearest names.
    """
    from ..optim import by_name as optimizer_by_name
    from ..training import by_name as task_by_name

    found = task_by_name(task)
    names = [name.strip() for name in optimizers]
    numbers = {"lrs": lrs, "seeds": seeds, "epochs": epochs, "batch": batch}
    for what, number in numbers.items():
        if number is not None and number < 1:
            raise SettingError(f"{what}={number}: must be at least 1")
    if not names or "" in names:
        raise SettingError(f"optimizers {','.join(names)!r}: one name is empty; give names such as {','.join(DEFAULT)}")
    grids: dict[str, list[float]] = {}
    for given in names:
        made = optimizer_by_name(given)
        name = made.__name__.lower()
        if name in grids:
            raise SettingError(f"optimizers {','.join(names)}: {name} is named twice; name each once")
        grids[name] = learning_rates(name, made, lrs)
    return Plan(task, grids, list(range(seeds)), epochs or found.epochs, batch or found.batch, found.chance)


def check_same(folder: str, saved: dict[str, Any], plan: Plan) -> None:
    """Check that a folder's saved configuration is this plan; raises RunError that names what differs."""
    now = plan.as_json()
    if saved.get("format") != FORMAT:
        raise RunError(
            f"{folder}: its config.json has format {saved.get('format')!r}, this downslope writes format {FORMAT}; "
            "resume it with the version that started it, or start anew with another --out FOLDER"
        )
    differ = [name for name in now if saved.get(name) != now[name]]
    if differ:
        found = "; ".join(f"{name} was {_short(saved.get(name))}, now {_short(now[name])}" for name in differ)
        raise RunError(
            f"{folder}: was started with other settings ({found}); resume it with the same command, "
            "or start anew with another --out FOLDER"
        )


def _short(value: Any) -> str:
    text = ",".join(f"{k} at {len(v)} rates" for k, v in value.items()) if isinstance(value, dict) else str(value)
    return text if len(text) <= 120 else text[:117] + "..."
