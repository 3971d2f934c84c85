"""A trial: one training run of one optimizer with one choice of settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Setting = float | int | str | bool
Record = dict[str, Any]

TASK = "task."
"""What the names of a task's own settings start with."""


@dataclass(frozen=True, order=True)
class Trial:
    """What is trained: its settings sorted by name, its seed, and for how many epochs.

    Settings are flat: those of the optimizer by name (`lr`, `weight_decay`), parts of tuples with their place
    (`betas[0]`), those of the task as `task.NAME`. Why a trial is run (`stage`: probe, search, rung-1, widen, confirm)
    is not part of what it is: two trials that differ in it alone are equal.
    """

    optimizer: str
    settings: tuple[tuple[str, Setting], ...]
    seed: int
    epochs: int
    stage: str = field(default="search", compare=False)

    def key(self) -> str:
        """What the trial is, in one line; the same for every stage."""
        return json.dumps([self.optimizer, dict(self.settings), self.seed, self.epochs], separators=(",", ":"))

    @property
    def of_optimizer(self) -> dict[str, Setting]:
        """The flat settings of the optimizer."""
        return {name: value for name, value in self.settings if not name.startswith(TASK)}

    @property
    def of_task(self) -> dict[str, Setting]:
        """The settings of the task, by their names there."""
        return {name.removeprefix(TASK): value for name, value in self.settings if name.startswith(TASK)}

    def words(self) -> str:
        """The trial for people: `adam(lr=0.01, betas[0]=0.9), seed 0, 15 epochs`."""
        inside = ", ".join(f"{name}={short(value)}" for name, value in self.settings)
        return f"{self.optimizer}({inside}), seed {self.seed}, {self.epochs} epoch{'s' * (self.epochs != 1)}"

    def as_json(self) -> dict[str, Any]:
        return {
            "optimizer": self.optimizer,
            "settings": dict(self.settings),
            "seed": self.seed,
            "epochs": self.epochs,
            "stage": self.stage,
        }

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Trial:
        """The trial of a record. Raises KeyError or TypeError where a part is missing."""
        return cls(
            saved["optimizer"],
            settings(saved["settings"]),
            saved["seed"],
            saved["epochs"],
            saved.get("stage", "search"),
        )


def settings(values: Mapping[str, Setting]) -> tuple[tuple[str, Setting], ...]:
    """Settings as a trial holds them: sorted by name."""
    return tuple(sorted(values.items()))


def rounded(value: float) -> float:
    """A number that a design made, with 6 significant digits: what is journalled is what was run."""
    return float(f"{value:.6g}")


def short(value: Setting) -> str:
    """A setting with 4 significant digits, for people."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def nested(flat: Mapping[str, Setting], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Flat settings as the optimizer's class takes them: `betas[0]` changes one part of its default tuple."""
    made: dict[str, Any] = {}
    for name, value in flat.items():
        base, bracket, place = name.partition("[")
        if bracket:
            parts = list(made.get(base, defaults[base]))
            parts[int(place[:-1])] = value
            made[base] = tuple(parts)
        else:
            made[name] = value
    return made
