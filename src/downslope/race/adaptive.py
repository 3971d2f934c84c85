"""Samplers that learn from the finished points: Optuna's, asked for a round at a time."""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from .design import points
from .dimension import Dimension, Space
from .trial import Setting, rounded

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

    from .samplers import Finished

BATCH = 4
"""Points of an optimizer in a round. More would keep more workers busy, fewer would learn sooner: of 16 points, the
last four then know twelve."""
PER_DIMENSION = 2
"""Halton points for each dimension that the first suggestions are made from."""


def tpe(space: Space, finished: Sequence[Finished], seed: int, start: int, count: int) -> list[dict[str, Setting]]:
    """Tree-structured Parzen estimators (Bergstra et al. 2011, Advances in Neural Information Processing Systems 24),
    of all settings together (Falkner et al. 2018, arXiv:1807.01774)."""
    from optuna.samplers import TPESampler

    with quiet():
        sampler = TPESampler(n_startup_trials=1, multivariate=True, constant_liar=True, seed=_seed(seed, start))
    return _suggested(sampler, space, finished, seed, start, count)


def gp(space: Space, finished: Sequence[Finished], seed: int, start: int, count: int) -> list[dict[str, Setting]]:
    """A Gaussian process and its expected improvement, as Optuna has them: a Matérn kernel of order 5/2 with a length
    for each setting."""
    from optuna.samplers import GPSampler

    with quiet():
        sampler = GPSampler(n_startup_trials=1, seed=_seed(seed, start))
    return _suggested(sampler, space, finished, seed, start, count)


def _suggested(
    sampler: BaseSampler, space: Space, finished: Sequence[Finished], seed: int, start: int, count: int
) -> list[dict[str, Setting]]:
    """The next points. The first, and as many as a model needs, are those of the Halton sequence.

    Points that leave a setting at the optimizer's default, as the first does, do not say where in its range that is,
    and the model has none of them. Diverged trials are in it with the goodness of the untrained model, the worst that
    there is."""
    import optuna

    known = [(settings, goodness) for settings, goodness in finished if all(d.name in settings for d in space)]
    if start == 0 or len(known) < PER_DIMENSION * len(space) or not space:
        return points(space, seed, start, count)
    random.Random(_seed(seed, start)).shuffle(known)  # TPE weighs early ones less; here the order tells nothing
    space = tuple(covering(d, [settings[d.name] for settings, _ in known]) for d in space)
    kinds = {param(d): distribution(d) for d in space}
    with quiet():
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for settings, goodness in known:
            params = {param(d): to_param(d, settings[d.name]) for d in space}
            study.add_trial(optuna.trial.create_trial(params=params, distributions=kinds, value=goodness))
        tried = [settings for settings, _ in finished]
        found: list[dict[str, Setting]] = []
        for number in range(start, start + count):
            asked = study.ask(kinds).params  # it is running from now on, so that the next keeps away from it
            new = {d.name: from_param(d, asked[param(d)]) for d in space}
            if new in tried + found:  # a space of few choices repeats itself
                new = points(space, seed, number, 1)[0]
            found.append(new)
    return found


def param(dimension: Dimension) -> str:
    """What a setting is called in a study. Of momenta it is 1 - value that is spread evenly, on a log scale."""
    return f"1 - {dimension.name}" if dimension.scale == "one minus" else dimension.name


def distribution(dimension: Dimension) -> BaseDistribution:
    """A dimension as Optuna has it."""
    from optuna import distributions as of

    low, high, log = dimension.low, dimension.high, dimension.scale != "linear"
    if dimension.scale == "choices":
        return of.CategoricalDistribution(dimension.choices)
    if dimension.whole:
        return of.IntDistribution(int(low), int(high), log=log)
    if dimension.scale == "one minus":
        low, high = rounded(1 - high), rounded(1 - low)
    return of.FloatDistribution(low, high, log=log)


def to_param(dimension: Dimension, value: Setting) -> Any:
    """A setting's value as a study has it, within its distribution."""
    if dimension.scale == "choices":
        return value
    number = float(cast(float, value))
    if dimension.scale == "one minus":
        return min(max(rounded(1 - number), rounded(1 - dimension.high)), rounded(1 - dimension.low))
    return int(number) if dimension.whole else number


def from_param(dimension: Dimension, value: Any) -> Setting:
    """A study's value as a setting."""
    if dimension.scale == "choices":
        return cast(Setting, value)
    if dimension.whole:
        return int(value)
    return rounded(1 - value if dimension.scale == "one minus" else value)


def covering(dimension: Dimension, values: Sequence[Setting]) -> Dimension:
    """A dimension that may have been widened since: with all that was tried."""
    if dimension.scale == "choices" or not values:
        return dimension
    numbers = [float(cast(float, value)) for value in values]
    return replace(dimension, low=min(dimension.low, *numbers), high=max(dimension.high, *numbers))


def _seed(race: int, start: int) -> int:
    return race * 100_003 + start  # another one for each round


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without Optuna's log lines, and its words about parts of it that may change; and on one thread, which for
    matrices this small is ten times as fast, and gives the same digits whatever the number of cores."""
    import optuna
    from threadpoolctl import threadpool_limits

    before = optuna.logging.get_verbosity()
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        try:
            yield
        finally:
            optuna.logging.set_verbosity(before)
