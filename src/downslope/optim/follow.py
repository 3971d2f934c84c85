"""Settings that follow a schedule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import SettingError
from ..schedules import Plateau, Schedule
from . import settings

SCHEDULES = (Schedule, Plateau)
MAYBE = {*SCHEDULES, tuple, list}  # looked up in every step, so quicker than isinstance
Group = dict[str, Any]


def is_scheduled(value: Any) -> bool:
    """Whether a setting is a schedule, or a tuple with one in it."""
    return isinstance(value, SCHEDULES) or (isinstance(value, tuple | list) and any(map(is_scheduled, value)))


def at(value: Any, step: int) -> Any:
    """A setting's value at a step: schedules are asked, in tuples too."""
    if isinstance(value, SCHEDULES):
        return value(step)
    if isinstance(value, tuple | list) and is_scheduled(value):
        return tuple(at(v, step) for v in value)
    return value


def plateaus(value: Any) -> list[Plateau]:
    """The schedules with a memory in a setting."""
    return [v for v in (value if isinstance(value, tuple | list) else (value,)) if isinstance(v, Plateau)]


class Follower:
    """Which settings of one group follow a schedule, and the values that they were given last."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.schedules: dict[str, Any] = {}
        self.given: dict[str, Any] = {}

    def follow(self, kind: str, place: int, defaults: Mapping[str, Any], step: int) -> None:
        """Give each scheduled setting its value at a step. A schedule that was put into the group is followed from then
        on. `place` is the group's number among all.

        Raises SettingError, with the group unchanged, where somebody else has changed such a setting meanwhile, and for
        a value out of its range."""
        group = self.group
        for name in defaults:
            if type(group[name]) in MAYBE and is_scheduled(group[name]):
                self.schedules[name] = group[name]
                self.given.pop(name, None)
        if not self.schedules:
            return
        values = {name: at(schedule, step) for name, schedule in self.schedules.items()}
        for name, value in values.items():
            found, given = group[name], self.given.get(name, group[name])
            if found is not given and found != given:
                raise SettingError(
                    f"{kind}: {name} of param group {place} follows {self.schedules[name]!r}, which gave it {given}, "
                    f"and somebody else, such as a scheduler of torch, has set it to {found}; use one of the two: a "
                    f"plain number for the optimizer's {name}, or the schedule alone"
                )
            settings.check(kind, name, value, defaults[name])
        group.update(values)
        self.given = values

    def keep(self) -> None:
        """Take the group's values as those given last: it has just been loaded."""
        self.given = {name: self.group[name] for name in self.given}


def followers(known: list[Follower], groups: list[Group]) -> list[Follower]:
    """A follower for each group; those that are known stay with their groups, which may have been moved."""
    if len(known) == len(groups) and all(f.group is group for f, group in zip(known, groups)):
        return known
    of = {id(follower.group): follower for follower in known}
    return [of.get(id(group)) or Follower(group) for group in groups]
