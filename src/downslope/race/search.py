"""What a user asks to be searched: `--search lr=1e-4:1e-1`, `adam.eps=1e-10:1e-4:log`, `task.width=16,64,256`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ..errors import SettingError, nearest
from ..training.config import read_value
from .dimension import Dimension, Space
from .trial import TASK, nested

HOW = "give NAME=LOW:HIGH, NAME=LOW:HIGH:linear or NAME=A,B,C, such as lr=1e-4:1e-1 or task.width=16,64,256"


class Wish(NamedTuple):
    """A setting and where it is to be looked for: a range with its scale (None is as usual), or choices."""

    name: str
    low: float = 0.0
    high: float = 0.0
    scale: str | None = None
    choices: tuple[Any, ...] = ()


def wishes(search: Mapping[str, Any] | Iterable[str] | None) -> list[Wish]:
    """From `NAME=...` words, or in Python a mapping: a tuple (low, high[, scale]) is a range, a list has choices.

    Raises SettingError for what is neither."""
    if isinstance(search, Mapping):
        return [_wish(name, *_python(name, value)) for name, value in search.items()]
    found = []
    for word in search or ():
        name, equals, text = word.partition("=")
        if not equals or not name or not text:
            raise SettingError(f"search {word!r}: {HOW}")
        parts = text.split(":")
        if len(parts) == 1:
            found.append(_wish(name, [read_value(part) for part in text.split(",")], None))
        else:
            found.append(_wish(name, tuple(map(read_value, parts[:2])), ":".join(parts[2:]) or None))
    return found


def _python(name: str, value: Any) -> tuple[Any, str | None]:
    if isinstance(value, tuple) and len(value) == 3 and isinstance(value[2], str):
        return value[:2], value[2]
    return value, None


def _wish(name: str, value: Any, scale: str | None) -> Wish:
    if isinstance(value, list) and value:
        return Wish(name, choices=tuple(value))
    numbers = isinstance(value, tuple) and len(value) == 2 and all(isinstance(x, int | float) for x in value)
    if not numbers or not value[0] < value[1]:
        raise SettingError(f"search {name}: {value!r} is no range from a lower to a higher number; {HOW}")
    if scale not in (None, "log", "linear"):
        raise SettingError(f"search {name}: the scale {scale!r} is unknown; {nearest(str(scale), ('log', 'linear'))}")
    if scale == "log" and value[0] <= 0:
        raise SettingError(f"search {name}: a log scale cannot start at {value[0]}; start above 0, or give linear")
    return Wish(name, value[0], value[1], scale)


def wished(spaces: Mapping[str, Space], classes: Mapping[str, Any], task: Any, asked: list[Wish]) -> dict[str, Space]:
    """The spaces of all optimizers with what was asked for in them.

    Raises SettingError for a setting that nothing has, and for a value that an optimizer does not take."""
    found = dict(spaces)
    for wish in asked:
        if wish.name.startswith(TASK):
            known = task.settings
            plain = wish.name.removeprefix(TASK)
            if plain not in known:
                raise SettingError(f"search {wish.name}: {task.name} has no setting {plain!r}; {_near(plain, known)}")
            found = {name: _with(space, wish, wish.name, known[plain]) for name, space in found.items()}
            continue
        first, dot, rest = wish.name.partition(".")
        only = first if dot and first in classes else None
        setting = rest if only else wish.name
        owners = [n for n, made in classes.items() if only in (None, n) and _default(made, setting) is not None]
        if not owners:
            every = {key for made in classes.values() for key in made.setting_defaults}
            raise SettingError(f"search {wish.name}: no optimizer of this race has it; {_near(setting, every)}")
        for name in owners:
            found[name] = _with(found[name], wish, setting, _default(classes[name], setting))
            _check(name, classes[name], found[name], setting)
    return found


def _near(name: str, known: Iterable[str]) -> str:
    known = list(known)
    return nearest(name, known) if known else "it has none"


def _default(made: Any, setting: str) -> Any:
    base, bracket, place = setting.partition("[")
    default = made.setting_defaults.get(base)
    if bracket and isinstance(default, tuple) and place[:-1].isdigit() and int(place[:-1]) < len(default):
        return default[int(place[:-1])]
    return None if bracket or isinstance(default, tuple) else default


def _with(space: Space, wish: Wish, setting: str, default: Any) -> Space:
    before = next((d for d in space if d.name == setting), None)
    if wish.choices:
        new = Dimension(setting, scale="choices", rank=0, choices=wish.choices, source="asked for")
    else:
        usual = before.scale if before is not None else "log" if wish.low > 0 else "linear"
        whole = (
            setting.startswith(TASK)
            and isinstance(default, int)
            and isinstance(wish.low, int)
            and isinstance(wish.high, int)
        )
        scale = wish.scale or (usual if usual in ("log", "one minus") and wish.low > 0 else "linear")
        scale = "linear" if scale == "one minus" and wish.high >= 1 else scale
        new = Dimension(setting, wish.low, wish.high, scale, 0, whole, source="asked for")
    if before is not None:
        return tuple(new if d is before else d for d in space)
    return (*space, new)


def _check(name: str, made: Any, space: Space, setting: str) -> None:
    """Both ends of what was asked for are values that the optimizer takes."""
    from ..optim.settings import check

    base = setting.partition("[")[0]
    dimension = next(d for d in space if d.name == setting)
    for value in dimension.choices or (dimension.low, dimension.high):
        check(name, base, nested({setting: value}, made.setting_defaults)[base], made.setting_defaults[base])
