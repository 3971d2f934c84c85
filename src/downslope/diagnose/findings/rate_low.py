"""The learning rate is too low: higher ones fall further, from here, from the start, or in the run made again."""

from __future__ import annotations

import math
from statistics import median

from ..finding import Finding
from ..signals import Signals
from ..whatif import mean_loss
from .rate import LONG, asked, best_of, nan_to, own_of, ratio, told
from .still import plateau

CREEPS = 1e-3
"""Update over weight, at most: the usual size."""
SLOW = 5e-3
"""Update over weight up to which a higher rate is tried from the start."""
HIGHER, THREE = 0.4, 0.15
"""Of the way down that rates 10 and 3 times higher gain when the run is made again. At a third of a good rate runs lose
up to 0.35, at a tenth 0.5 and more."""
LINEAR = 6.0
"""A rate 10 times higher falls at least so many times as far: the run is still in a straight line from its start."""


def too_low(s: Signals) -> Finding | None:
    """The loss creeps: forked runs at 3 and 10 times the rate fall nearly 3 and 10 times as far from here; or from the
    first weights, higher, come lower in 40 steps than the run did in all of its own.

    While the rate rises in a warm-up only the run made again says so. At the end of a schedule it is low on purpose,
    unless it was there before the loss was."""
    start, end = s.start(), s.end()
    if s.steps < 60 or not start > 0 or not 0.1 * start < end < 1.5 * start:
        return None
    top = max(s.lr)
    rising = s.lr[-1] > 1.05 * s.lr[s.steps // 2]
    usual = [r for r in (ratio(x, s) for x in s.late()) if math.isfinite(r)]
    if not usual or median(usual) > SLOW:
        return None
    if rising:
        said = _made_again(s)
    elif s.lr[-1] < 0.5 * top:
        said = _ended(s, top)
    else:
        said = _from_here(s, median(usual)) or _made_again(s) or _from_start(s)
    if said is None:
        return None
    cause, lr, tried, sure = said
    return Finding(
        "lr-too-low",
        f"the learning rate ({s.lr[-1]:.3g}) is too low: {start:.3g} became {end:.3g} in {s.steps} steps",
        cause,
        f"lr {lr:.2g}" if s.lr[-1] >= 0.5 * top else f"a schedule that takes the whole run, from lr {lr:.2g}",
        since_step=0,
        confidence=sure,
        evidence={"update_over_weight": median(usual), "loss": list(s.loss)[:: max(1, s.steps // 100)]},
        tried=tried,
    )


Low = tuple[str, float, str, float]
SHORT = "each step is in the right direction and far too short"


def _from_here(s: Signals, usual: float) -> Low | None:
    if usual > CREEPS or s.end() < 0.3 * s.start():
        return None
    found = asked(s, (3.0, 10.0))
    if found is None:
        return None
    falls = {o.change.lr_factor: found.start - mean_loss(o.losses) for o in found.outcomes}
    own, three, ten = (falls.get(f, math.nan) for f in (1.0, 3.0, 10.0))
    sure = all(o.verdict == "better" for o in found.outcomes if o.change.lr_factor != 1.0)  # paired: noise is no matter
    if not (sure and ten > LINEAR * max(own, 0.0) and three > 2.0 * max(own, 0.0)):
        return None
    tried = f"in {found.steps} steps lr x 10 fell by {ten:.2g}, x 3 by {three:.2g}, as it is by {own:.2g}"
    return SHORT, s.lr[-1] * 10, tried, 0.9


def _from_start(s: Signals) -> Low | None:
    come_far = s.end() < 0.25 * s.start()  # if not as fast as it could
    if s.steps < LONG or come_far or not s.facts.get("own_loss", True):
        return None
    found = asked(s, ("start", 3.0, 10.0))
    best = best_of(found)
    if best is None or not best[1] < 0.6 * s.end() or not own_of(found) > best[1]:
        return None
    factor, loss = best
    tried = (
        f"from the same start, lr x {factor:g} came to {loss:.3g} in {found.steps} steps; the run is at {s.end():.3g}"
    )
    return SHORT, s.lr[-1] * factor, tried, 0.85


def _made_again(s: Signals) -> Low | None:
    made = s.again((1.0, 3.0, 10.0)) if s.again is not None and s.steps >= LONG else None
    if made is None or not made.whole or plateau(s) is not None:  # there a higher rate only leaves the flat earlier
        return None
    three, ten = made.gain(3.0), made.gain(10.0)
    if not max(nan_to(three, 0.0), nan_to(ten, 0.0)) > HIGHER or not three > THREE:
        return None
    factor = 10.0 if made.held(10.0) < made.held(3.0) else 3.0
    return SHORT, s.lr[-1] * factor, told(made, factor), 0.9


ENDED = "the schedule was at its end before the run was: it counts epochs and is called in each step"


def _ended(s: Signals, top: float) -> Low | None:
    """The rate fell to a hundredth within the first half, with the loss still high."""
    if s.steps < LONG or s.lr[s.steps // 2] > 0.01 * top:
        return None
    made, high = (None, None) if s.again is None else (s.again((1.0,)), s.again((1.0,), True))
    if made is not None and high is not None and made.whole:
        own, best = made.held(1.0), high.held(1.0)
        if not own - best > HIGHER * (made.start - best):
            return None
        tried = f"made again with lr {top:.2g} held it came to {best:.3g} on samples held out, as it was to {own:.3g}"
        return ENDED, top, tried, 0.9
    if not s.facts.get("own_loss", True):
        return None
    found = asked(s, ("start", 0.3))
    own = own_of(found)
    if not own < 0.75 * s.end():
        return None
    tried = (
        f"from the same start, lr {top:.2g} held came to {own:.3g} in {found.steps} steps; the run is at {s.end():.3g}"
    )
    return ENDED, top, tried, 0.85
