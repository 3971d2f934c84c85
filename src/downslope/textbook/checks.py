"""The checks that verdicts are made of: each compares measured figures over seeds, with its interval, to what is said.

A check is met when its whole 95 % interval lies where the claim puts it, missed when all of it lies elsewhere, and open
when it straddles the border: then these seeds cannot tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import RunError, nearest
from ..race.statistics import Interval, share_interval, t_interval

MET, MISSED, OPEN = "met", "missed", "open"
Measures = Mapping[str, Sequence[float]]


class Checked(NamedTuple):
    """What became of a check: in words what was expected, its outcome, and the figures."""

    expected: str
    outcome: str
    found: str


@dataclass(frozen=True)
class Compared:
    """The measure `name` beside `than`: a number, or `times` another measure over the same seeds; plus `plus`."""

    name: str
    than: str | float
    times: float = 1.0
    plus: float = 0.0

    SIGN = ""

    def __call__(self, measures: Measures) -> Checked:
        low, high = self._gap(measures)
        return Checked(f"{self.name} {self.SIGN} {self._against()}", self._outcome(low, high), self._found(measures))

    def _outcome(self, low: float, high: float) -> str:
        raise NotImplementedError

    def _gap(self, measures: Measures) -> tuple[float, float]:
        """The interval of `name` less what it is held against; of the pairs, where both have a value for each seed."""
        own = _values(measures, self.name)
        if not isinstance(self.than, str):
            found, moved = interval(own), self.times * self.than + self.plus
            return found.low_or_mean - moved, found.high_or_mean - moved
        other = _values(measures, self.than)
        if len(own) != len(other):
            raise RunError(
                f"textbook: {self.name!r} has {len(own)} values and {self.than!r} {len(other)}; give one for every seed"
            )
        pairs = t_interval([a - self.times * b - self.plus for a, b in zip(own, other)])
        return (pairs.mean if pairs.low is None else pairs.low), (pairs.mean if pairs.high is None else pairs.high)

    def _against(self) -> str:
        words = self.than if isinstance(self.than, str) else number(self.than)
        words = words if self.times == 1.0 else f"{number(self.times)} × {words}"
        return words if not self.plus else f"{words} {'+' if self.plus > 0 else '−'} {number(abs(self.plus))}"

    def _found(self, measures: Measures) -> str:
        own = shown(interval(_values(measures, self.name)))
        if not isinstance(self.than, str):
            return own
        return f"{own} against {shown(interval(_values(measures, self.than)))}"


class Above(Compared):
    SIGN = ">"

    def _outcome(self, low: float, high: float) -> str:
        return MET if low > 0 else MISSED if high <= 0 else OPEN


class Below(Compared):
    SIGN = "<"

    def _outcome(self, low: float, high: float) -> str:
        return MET if high < 0 else MISSED if low >= 0 else OPEN


@dataclass(frozen=True)
class Close(Compared):
    """The measure `name` differs from `than` by less than `within`, whichever is larger."""

    within: float = 0.0

    SIGN = "="

    def _outcome(self, low: float, high: float) -> str:
        inside = -self.within < low and high < self.within
        return MET if inside else MISSED if low > self.within or high < -self.within else OPEN

    def _against(self) -> str:
        return f"{super()._against()} within {number(self.within)}"


Check = Compared


class Span(Interval):
    """An interval that is a point where one value alone was measured: an experiment that draws nothing."""

    @property
    def low_or_mean(self) -> float:
        return self.mean if self.low is None else self.low

    @property
    def high_or_mean(self) -> float:
        return self.mean if self.high is None else self.high


def interval(values: Sequence[float]) -> Span:
    """The mean of values over seeds with its 95 % interval: Wilson's where they are True and False, else Student's.

    A share that is the same for all seeds still has an interval: ten of ten do not say that the next one will."""
    if len(values) > 1 and all(isinstance(value, bool) for value in values):
        return Span(*share_interval(values))
    return Span(*t_interval(values))


def number(value: float) -> str:
    """A figure for people: four significant digits, without an exponent where it can be read without."""
    if value == 0 or 1e-4 <= abs(value) < 1e6:
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:.3g}"


def shown(found: Span) -> str:
    """A mean with its interval in brackets, where there is one."""
    if found.low is None or found.high is None or found.low == found.high:
        return number(found.mean)
    return f"{number(found.mean)} ({number(found.low)} to {number(found.high)})"


def _values(measures: Measures, name: str) -> Sequence[float]:
    if name not in measures:
        raise RunError(f"textbook: a check is about {name!r}, which was not measured; {nearest(name, measures)}")
    return measures[name]
