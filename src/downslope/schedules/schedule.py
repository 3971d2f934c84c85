"""The one class of schedules: the name of its constructor and the arguments of the call."""

from __future__ import annotations

import inspect
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from ..errors import SettingError
from .arguments import checked, count

C = TypeVar("C", bound=Callable[..., Any])


class Kind(NamedTuple):
    constructor: Callable[..., Any]
    curve: Callable[..., float]  # (step, *arguments) -> value


KINDS: dict[str, Kind] = {}


@dataclass(frozen=True, repr=False)
class Schedule:
    """A hyper-parameter as a function of the step; made by `cosine(...)`, `linear(...)` and the like.

    `schedule(n)` is the value in the optimizer step n, counted from 0. A schedule never changes and keeps no state: it
    may be shared, compared, hashed, copied, pickled (`by` only with a function that pickle finds by its name). Its repr
    is the call that makes it. Raises SettingError for a negative step, and where the value is not finite.
    """

    kind: str
    arguments: tuple[tuple[str, Any], ...]

    def __call__(self, step: int) -> float:
        n = step_number(self, step)
        try:
            value = KINDS[self.kind].curve(n, **dict(self.arguments))
        except OverflowError:
            value = math.inf
        if not math.isfinite(value):
            raise SettingError(
                f"{self!r}: is {value} at step {n}; change it, or end it before: .then(constant(...), at=...)"
            )
        return value

    def then(self, other: Any, *, at: int) -> Any:
        """This schedule before step `at`, and from there on the other one, which begins at its own step 0.

        The same as `chain(self, at, other)`, with its errors.
        """
        from .compose import chain

        parts: tuple[Any, ...] = dict(self.arguments)["parts"] if self.kind == "chain" else (self,)
        flat = len(parts) > 1 and isinstance(at, int) and at > parts[-2]
        return chain(*parts, at, other) if flat else chain(self, at, other)

    def __repr__(self) -> str:
        return call_text(KINDS[self.kind].constructor, dict(self.arguments))

    def __copy__(self) -> Schedule:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Schedule:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        function = dict(self.arguments).get("function")
        if function is not None:
            try:
                pickle.dumps(function)
            except Exception as error:
                raise SettingError(
                    f"{self!r}: cannot be pickled, because pickle does not find {name_of(function)} by its name; "
                    f"define it with `def` at the top level of a module, or use another schedule"
                ) from error
        return Schedule, (self.kind, self.arguments)


def kind(curve: Callable[..., float]) -> Callable[[C], C]:
    """Enters a constructor and its curve in the table of kinds, under the constructor's name."""

    def enter(constructor: C) -> C:
        KINDS[constructor.__name__] = Kind(constructor, curve)
        return constructor

    return enter


def make(name: str, **arguments: Any) -> Schedule:
    """The schedule of this kind with these arguments, each after its rule."""
    return Schedule(name, tuple(checked(name, arguments).items()))


def step_number(schedule: Any, step: Any) -> int:
    if type(step) is int and step >= 0:
        return step
    return count(0)(repr(schedule), "step", step)


def name_of(function: Any) -> str:
    return getattr(function, "__qualname__", None) or repr(function)


def call_text(constructor: Callable[..., Any], arguments: dict[str, Any]) -> str:
    """The call of the constructor with these arguments, without those that are at their default."""
    words: list[str] = []
    for parameter in inspect.signature(constructor).parameters.values():
        value = arguments[parameter.name]
        text = name_of(value) if parameter.name == "function" else repr(value)
        if parameter.kind is parameter.VAR_POSITIONAL:
            words += map(repr, value)
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            words.append(text)
        elif value != parameter.default:
            words.append(f"{parameter.name}={text}")
    return f"{constructor.__name__}({', '.join(words)})"
