"""Who races: from names, classes and formulas to classes, and from where a worker can have them too."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from .. import user_code
from ..errors import RunError, SettingError

DEFAULT = ("sgd", "momentum", "nag", "adagrad", "adadelta", "rmsprop", "adam")


class Entrant(NamedTuple):
    """An optimizer under the name it races by. `origin` is empty for downslope's own, else FILE.py:NAME or module:NAME.
    `loose` says that it cannot be imported from there: it stands in a script, a notebook or another function."""

    name: str
    made: Any
    origin: str = ""
    loose: bool = False


def entrants(given: str | Any | Iterable[Any]) -> list[Entrant]:
    """The optimizers that are meant: names, FILE.py:NAME, classes of downslope, formulas.

    Raises SettingError for an unknown name with the nearest ones, for one that is named twice, and for none."""
    wanted = given.split(",") if isinstance(given, str) else [given] if callable(given) else list(given)
    words = [w.strip() if isinstance(w, str) else w for w in wanted]
    if not words or "" in words:
        raise SettingError(
            f"optimizers {','.join(map(str, wanted))!r}: one name is empty; give names such as {','.join(DEFAULT)}"
        )
    found: dict[str, Entrant] = {}
    for word in words:
        one = _entrant(word)
        if one.name in found:
            every = ",".join(w if isinstance(w, str) else w.__name__ for w in words)
            raise SettingError(f"optimizers {every}: {one.name} is named twice; name each once")
        found[one.name] = one
    return list(found.values())


def _entrant(word: Any) -> Entrant:
    from ..optim import OPTIMIZERS, Optimizer, by_name

    if isinstance(word, str) and ":" not in word:
        made = by_name(word)
        return Entrant(made.__name__.lower(), made)
    if isinstance(word, str):
        made = load(word)
        return Entrant(made.__name__.lower(), made, word)
    if isinstance(word, type) and issubclass(word, Optimizer) and OPTIMIZERS.get(word.__name__.lower()) is word:
        return Entrant(word.__name__.lower(), word)
    made = as_class(word, "optimizers")
    function = made.formula.function
    origin = f"{function.__module__}:{function.__qualname__}"
    return Entrant(made.__name__.lower(), made, origin, not _importable(function))


def as_class(thing: Any, place: str) -> Any:
    """The class that a formula makes, or that it is already."""
    from ..optim import Optimizer, optimizer

    if isinstance(thing, type) and issubclass(thing, Optimizer):
        return thing
    if isinstance(thing, type) or not callable(thing):
        name = getattr(thing, "__name__", repr(thing))
        raise SettingError(
            f"{place}: {name} is no optimizer that can race; give a name such as adam, a class of downslope.optim, or "
            "a formula `def rule(p, g, *, lr=0.1): return p - lr * g`"
        )
    return optimizer(thing)


def load(origin: str) -> Any:
    """The class from FILE.py:NAME or module:NAME. Raises RunError for what is not there or cannot be imported."""
    place, _, path = origin.rpartition(":")
    thing: Any = _module(place, origin)
    for name in path.split("."):
        if not hasattr(thing, name):
            own = [n for n, v in vars(thing).items() if callable(v) and getattr(v, "__module__", "") == thing.__name__]
            found = f"found {', '.join(own)}" if own else "found no function at all"
            raise RunError(f"{origin}: {place} has no {name} ({found})")
        thing = getattr(thing, name)
    return as_class(thing, origin)


def _module(place: str, origin: str) -> ModuleType:
    if not place.endswith(".py"):
        try:
            return importlib.import_module(place)
        except ImportError as error:
            raise RunError(f"{origin}: cannot be imported: {error}; a formula in a file is FILE.py:NAME") from error
    file = Path(place)
    if not file.is_file():
        raise RunError(f"{origin}: there is no file {place}")
    return user_code.run(file, f"formulas_{file.stem}")


def _importable(function: Any) -> bool:
    """Whether another process finds a function by its module and name. A script is not run again for it."""
    module = sys.modules.get(function.__module__)
    spec = getattr(module, "__spec__", None)
    return "<" not in function.__qualname__ and spec is not None and module is not sys.modules["__main__"]
