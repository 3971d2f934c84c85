"""The complete configuration of a race, as config.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import RunError
from ..version import __version__
from .dimension import Dimension, Space
from .spaces import by_trials

FORMAT = 2  # of the run folder
FREE = ("format", "downslope", "untrained")  # what the same race may have otherwise
CONFIRM = 1000  # the first seed of the second stage

Scores = Mapping[str, float | None]


@dataclass(frozen=True)
class Plan:
    """What a race will do, so that the same plan and the same journal always lead to the same next trial.

    `optimizers` are the names they race under, `dimensions` what may vary of each; `origins` says where the ones come
    from that are no optimizer of downslope, as FILE.py:NAME or module:NAME. `monitor` is "metric" (more is better) or
    "loss". `untrained` has that score of the initial model on the "validation" and the "test" part (None where there is
    none), which is what a diverged trial counts as. `trials` is how many full trials the search
    of each optimizer may cost, and `seeds` how many fresh seeds confirm each choice; both are None where a budget of
    time decides after a probe. `rungs` are the epochs of the trials of each rung, the last of them `epochs`; none is no
    pruning. `search_seeds` are those that the settings are chosen by. `batched` is "auto" or "no".
    """

    task: str
    task_settings: Mapping[str, Any]
    optimizers: tuple[str, ...]
    dimensions: Mapping[str, Space]
    monitor: str
    epochs: int
    batch: int | None
    untrained: Scores = field(default_factory=dict)
    schedule: str = "cosine"
    warmup: float = 0.05
    trials: int | None = 11
    seeds: int | None = 5
    budget: str | None = None
    rungs: tuple[int, ...] = ()
    search_seeds: tuple[int, ...] = (0,)
    race_seed: int = 0
    sampler: str = "halton"
    batched: str = "auto"
    device: str = "cpu"
    threads: int = 1
    origins: Mapping[str, str] = field(default_factory=dict)

    def confirm_seeds(self, seeds: int) -> tuple[int, ...]:
        """The fresh seeds of the second stage, the same for every optimizer."""
        return tuple(range(CONFIRM, CONFIRM + seeds))

    def searched(self, optimizer: str, points: int) -> Space:
        """The dimensions that so many points of an optimizer are spread over."""
        return by_trials(self.dimensions[optimizer], points)

    @property
    def spaces(self) -> dict[str, dict[str, tuple[float, float, str]]]:
        """The ranges of each optimizer's settings, before any widening: (low, high, scale)."""
        return {name: {d.name: (d.low, d.high, d.scale) for d in space} for name, space in self.dimensions.items()}

    def as_json(self) -> dict[str, Any]:
        dimensions = {name: [d.as_json() for d in space] for name, space in self.dimensions.items()}
        plain = {k: list(v) if isinstance(v, tuple) else v for k, v in vars(self).items()}
        return {"format": FORMAT, "downslope": __version__, **plain, "dimensions": dimensions}

    @classmethod
    def from_json(cls, saved: Mapping[str, Any]) -> Plan:
        """The plan in a config.json. Raises KeyError, TypeError or ValueError for what is none."""
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in saved.items() if k not in ("format", "downslope")
        }
        given["dimensions"] = {name: tuple(map(Dimension.from_json, d)) for name, d in saved["dimensions"].items()}
        return cls(**given)


def check_same(folder: str, saved: Mapping[str, Any], plan: Plan) -> None:
    """Check that a folder's configuration is this plan's. Raises RunError that names what differs, and how."""
    if saved.get("format") != FORMAT:
        raise RunError(
            f"{folder}: its config.json has format {saved.get('format')!r}, this downslope ({__version__}) writes "
            f"format {FORMAT}; go on with the version that started it ({saved.get('downslope', 'an older one')}), or "
            "start anew with another --out FOLDER"
        )
    now = plan.as_json()
    differ = [name for name in now if name not in FREE and saved.get(name) != now[name]]
    if differ:
        found = "; ".join(_differs(name, saved.get(name), now[name]) for name in differ)
        raise RunError(
            f"{folder}: was started with other settings ({found}); go on with the same command as before, or start "
            "anew with another --out FOLDER"
        )


def _differs(name: str, before: Any, now: Any) -> str:
    """What of a setting differs, as short as it can be said."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return f"{name} of {', '.join(keys)}"
    words = [", ".join(map(str, x)) if isinstance(x, list) else str(x) for x in (before, now)]
    return f"{name} was {_short(words[0])}, now {_short(words[1])}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
