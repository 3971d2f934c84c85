"""The learning rate is too high: a lower one does better, in the run made again or in short forks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median

import numpy as np

from ..again import LEAST, Again
from ..finding import Finding
from ..signals import Signals
from . import noise
from .loss import sharp
from .rate import LONG, asked, best_of, nan_to, own_of, ratio, told
from .still import stuck

LARGE = 0.03
"""Update over weight, in the median of the weight matrices. cs231n's rule of thumb is 1e-3, healthy runs pass 1e-2 at
their start; only with a loss that goes nowhere does it count."""
MOVES = 0.01
"""The largest from which the run is made again at lower rates, which tells."""
EDGE = 1.5
"""The curvature that the optimizer feels over its own limit. Full-batch descent hovers at 1 in health."""
LOWER = ("start", 0.001, 0.01, 0.1)
LOST = 0.08
"""Of the way down that a lower rate gives back when the run is made again. Healthy runs, those at the highest rate that
does well among them, lose 0.05 at most, runs at five times that rate mostly 0.1 and more."""


@dataclass(frozen=True)
class Course:
    """How a run went, as far as its rate may be the cause."""

    start: float
    end: float
    blocks: list[float]
    largest: float  # update over weight, of any step that was looked at
    usual: float  # of the late ones, in the median
    turning: bool  # gradients oppose each other from step to step
    blown: bool  # not finite, or well above its start
    lost: bool  # blown, or near its start
    fallen: bool  # thrown back from where it was
    slow: bool  # high for its length
    rests: bool  # without much of a gain in its last half

    @classmethod
    def of(cls, s: Signals) -> Course:
        start, end, blocks = s.start(), s.end(), s.blocks()
        early = [r for r in (ratio(x, s) for x in s.samples[:30]) if math.isfinite(r)]
        late = [r for r in (ratio(x, s) for x in s.late()) if math.isfinite(r)]
        cosines = [d / math.sqrt(a * b) for _, _, d, a, b in s.dots if 0 < a * b < math.inf]
        bad = s.not_finite is not None and not s.not_finite.get("inputs")  # of bad inputs no rate is the cause
        blown = bad or end > 1.2 * start
        return cls(
            start,
            end,
            blocks,
            largest=max(early + late, default=math.nan),
            usual=median(late) if late else math.nan,
            turning=len(cosines) >= 3 and median(cosines) < -0.3,
            blown=blown,
            lost=blown or not end < 0.85 * start,
            fallen=_fallen_back(s),
            slow=s.steps >= LONG and end > 0.3 * start and not sharp(s),  # after a spike, the spike is to be explained
            rests=s.steps >= 100 and bool(blocks) and blocks[5] - blocks[-1] < 0.1 * start and end > 0.05 * start,
        )


def too_high(s: Signals) -> Finding | None:
    """A lower rate does better: in the run made again; or, where that cannot be, in short forks, of a run whose steps
    are a large part of the weights, or turn around, and whose loss goes nowhere, up, or up again after it was low."""
    if s.steps < 5 or not s.samples or s.facts.get("maximize") or s.start() < 0:
        return None
    c = Course.of(s)
    made = _lower(s, bad=c.lost or c.slow) if c.largest > MOVES or c.turning else None
    if made is None:
        return _by_forks(s, c)
    thrown = c.blown or c.fallen  # by chance, perhaps, which need not come again
    if math.isnan(_regained(s, made)):
        return None if made.whole and not thrown else _by_forks(s, c)
    if not thrown and (stuck(s) is not None or noise.judge(s) is not None):
        return None  # a lower rate helps there, too; the walls of a valley and the noise of batches say why
    factor = _lowest(made)
    return _high(s, c, told(made, factor), factor)


def _by_forks(s: Signals, c: Course) -> Finding | None:
    """A fork from the start takes 40 steps. That it beats a run of hundreds needs a reason; a healthy run has none."""
    share = math.nan
    large = (c.lost or c.fallen or c.slow) and (c.largest > LARGE or c.turning)
    if not large and not (c.rests and (c.usual > LARGE or c.turning)):
        share = s.edge() if c.rests and s.edge is not None else math.nan
        if not share > EDGE:
            return None
    start, slow = c.start, c.slow
    found = asked(s, LOWER)
    best = best_of(found)
    low = min(c.end, start) if math.isfinite(c.end) else start
    own = s.facts.get("own_loss", True)
    if not own and found is not None:  # losses of forks are other ones: compared among themselves alone
        start, low, slow = found.start, 0.85 * found.start, False
    sure = best is not None and (
        (c.blown and best[1] < 1.1 * start)
        or (c.lost and best[1] < 0.95 * min(low, nan_to(s.ignorance(), low)))
        or (slow and best[1] < 0.75 * c.end)
    )
    tried = factor = None
    if sure and best is not None and found is not None:
        factor, loss = best
        tried = (
            f"from the same start, lr x {factor:g} came to {loss:.3g} in {found.steps} steps; the run is at {c.end:.3g}"
        )
    elif c.rests and (c.usual > LARGE or c.turning or share > EDGE):
        here = asked(s, (0.01, 0.1))
        best = best_of(here)
        if best is not None and best[1] < 0.5 * own_of(here):
            factor, loss = best
            as_is = own_of(here)
            tried = (
                f"from here, lr x {factor:g} came to {loss:.3g} in {here.steps} steps, the rate as it is to {as_is:.3g}"
            )
    if tried is None and not c.fallen and (found is not None or not (c.lost or (c.rests and c.usual > LARGE))):
        return None
    if tried is None and not (c.blown or c.fallen or c.largest > LARGE or share > EDGE):
        return None  # opposite gradients alone, of steps that are no part of the weights, where nothing can be tried
    return _high(s, c, tried, factor, share)


def _high(s: Signals, c: Course, tried: str | None, factor: float | None, share: float = math.nan) -> Finding:
    how = (
        "opposite gradients from step to step"
        if c.turning
        else f"updates of {np.nanmax([c.largest, c.usual]):.1g} of the weights"
    )
    if share > EDGE:
        how = f"a curvature {share:.2g} times what the optimizer is stable at"
    came = f"the loss went from {c.start:.3g} to {c.end:.3g}"
    if c.fallen and tried is None:
        back = max(_after_low(c.blocks))
        came = f"the loss had come from {c.start:.3g} to {min(c.blocks):.3g} and was thrown back to {back:.3g}"
    return Finding(
        "lr-too-high",
        f"the learning rate ({max(s.lr):.3g}) is too high: {came}, with {how}",
        "steps overshoot: the loss oscillates, or has been thrown to where it cannot learn",
        f"lr {max(s.lr) * (factor or 0.1):.2g}" + ("" if factor else " or lower") + ", less momentum, or a warm-up",
        since_step=0,
        confidence=0.95 if tried else 0.75,
        evidence={
            "update_over_weight": [ratio(x, s) for x in s.samples[:50]],
            "curvature_over_the_limit": share,
            "loss": list(s.loss)[:300],
        },
        tried=tried,
    )


def _lower(s: Signals, bad: bool) -> Again | None:
    """The run made again at lower rates; at far lower ones where it went badly and none of the first does better."""
    if s.again is None or s.steps < LEAST:
        return None
    made: Again | None = s.again((1.0, 0.3, 0.1))
    if made is not None and bad and math.isnan(_regained(s, made)):
        made = s.again((0.03, 0.01))
    return made


def _lowest(made: Again) -> float:
    """The lower rate that comes lowest."""
    return min((factor for factor in made.runs if factor < 1), key=made.held)


def _regained(s: Signals, made: Again) -> float:
    """What the best of the lower rates gains, if that is enough to call the run's too high; else nan.

    What only generalises better, by having come less far in its training, shows the same where the run's own rate was
    at its best: that is overfitting, and no matter of the rate."""
    best = _lowest(made)
    gained, worse = made.gain(best), made.trained(best) - made.trained(1.0)
    if worse > 0 and not (worse < made.start / 3 and made.gain(best, early=True) > LOST):
        return math.nan
    return gained if gained > LOST and _was_so(s, made, best) else math.nan


def _was_so(s: Signals, made: Again, best: float) -> bool:
    """Did the run itself end above what the lower rate comes to, on what it trained on and on the validation data?

    A rate at its edge does well in one run and badly in another."""
    last = s.losses[-1] if s.losses else None
    if not s.facts.get("own_loss", True) or (last is not None and last.summed):
        return True
    margin = LOST / 2 * max(made.start - made.held(best), 0.2 * made.start)
    scored = [v for _, v in s.validation][-1:]
    return not s.end() < made.trained(best) + margin and not any(v < made.held(best) + margin for v in scored)


def _after_low(blocks: list[float]) -> list[float]:
    """What came after the lowest tenth of the run."""
    return blocks[blocks.index(min(blocks)) + 1 :]


def _fallen_back(s: Signals) -> bool:
    """Had the loss come a good way, and was it thrown back by a third of that, in the median of a tenth of the run?"""
    blocks, start = s.blocks(), s.start()
    if s.steps < 100 or not blocks or not all(map(math.isfinite, blocks)) or sharp(s):
        return False
    gained, after = start - min(blocks), _after_low(blocks)
    error = 1.25 * s.noise() / math.sqrt(s.steps / 10)
    return gained > 0.2 * start and bool(after) and max(after) - min(blocks) > max(gained / 3, 5 * error)
