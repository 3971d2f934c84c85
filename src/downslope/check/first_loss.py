"""The loss of a new model against the loss of knowing nothing."""

from __future__ import annotations

import math
from statistics import fmean, stdev

import torch

from .context import Context
from .fit import blind_loss, fit
from .verdict import CannotTell, Notes, Verdict

SEEDS = 5
EXCESS = (1.0, 4.0)
"""In nats above log(classes). Scores of deviation s add about s**2 / 2: a last layer by He adds 1 at most, weights of
deviation 1 behind 64 units add tens. Karpathy's recipe (2019) asks for equality; torch's default misses it by 0.02."""
TIMES = (5.0, 100.0)  # for values: over the loss of the targets' mean; a start two deviations off it gives 5


def first_loss(context: Context) -> Verdict:
    """Five seeds on one batch; the expected loss is the task's own, of equal scores or of the targets' mean."""
    kind = fit(context)
    batch = context.few(256)
    blind = blind_loss(context, kind, batch)
    if blind is None or not math.isfinite(blind):
        raise CannotTell("the expected loss is not known for this kind of output and target")
    seeds = SEEDS if context.seeds_matter else 1
    with torch.no_grad():
        losses = [context.loss(context.model(context.seed + s), batch).item() for s in range(seeds)]
    mean, error = fmean(losses), stdev(losses) / math.sqrt(seeds) if seeds > 1 else 0.0
    notes = Notes()
    notes.figures = {"loss": mean, "standard_error": error, "expected": blind}
    measured = f"{mean:.4g} ± {error:.2g} over {seeds} seeds" if seeds > 1 else f"{mean:.4g}, the same for every seed"
    if kind.kind == "values":
        ratio = (mean - 2 * error) / blind if blind > 0 else 1.0
        text = f"{measured}; predicting the targets' mean gives {blind:.4g}"
        grade = _grade(ratio, TIMES)
        remedy = "standardise the targets, or start the last bias at their mean"
    else:
        unit = math.log(kind.classes) if kind.classes else math.log(2)
        name = f"log {kind.classes or 2}" if abs(blind - unit) < 1e-2 else "equal scores"
        text = f"{measured}; expected {blind:.4g} ({name})"
        excess = (mean - 2 * error - blind) * unit / blind if blind > 0 else 0.0
        grade = _grade(excess, EXCESS)
        remedy = "make the last layer's weights smaller, its bias zero or the logarithm of the label shares"
    if not math.isfinite(mean):
        notes.fail(f"the loss at the start is {mean}", "look for overflow, and at the scale of weights and inputs")
    elif grade:
        getattr(notes, grade)(text, remedy)
    notes.ok(text)
    return notes.verdict()


def _grade(value: float, bounds: tuple[float, float]) -> str:
    return "fail" if value > bounds[1] else "warn" if value > bounds[0] else ""
