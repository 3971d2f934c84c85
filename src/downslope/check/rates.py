"""The learning-rate range test (Smith 2017, arXiv:1506.01186), and three real runs that say whether to believe it."""

from __future__ import annotations

import inspect
import math
from dataclasses import dataclass
from statistics import fmean, median

import torch

from ..training.data import Batch
from .context import Context
from .verdict import CannotTell, Notes, Verdict

BELOW, ABOVE = 3, 4  # decades of the sweep around the optimizer's own default
PER_DECADE = 10
SEEDS = 3
MEMORY = 0.7  # of the running average, corrected for its start
WORSE = 4.0  # times the lowest: diverged (as in fastai and Lightning)
STARTED = 0.1  # of the whole fall: where the usable interval begins
ASIDE = 10.0
"""The rate taken lies this far below that of the lowest loss: of seven published readings the only one that was good
for every seed with both SGD and Adam, in a comparison over 8 seeds; the steepest slope was off by up to 1,000."""
RUN, RUN_SEEDS = 50, 2
FELL = 0.98  # a run has learned something below this share of its first loss
BETTER = 0.8  # another run is clearly better below this share of the middle one


@dataclass(frozen=True)
class Sweep:
    """One sweep: where the loss begins to fall, where it is lowest, where it diverges (None: nowhere up to the end)."""

    begins: float
    lowest: float
    diverges: float | None


def learning_rate(context: Context) -> Verdict:
    """Sweep the rate upwards for several seeds; train below, inside and above what the sweeps call usable."""
    notes = Notes()
    rates = sweep_rates(context.optimizer)
    sweeps = [s for seed in range(SEEDS) if (s := sweep(context, rates, context.seed + seed)) is not None]
    if not sweeps:
        raise CannotTell("in no sweep did the loss fall", "look at the other checks first")
    begins, lowest = median(s.begins for s in sweeps), _mean([s.lowest for s in sweeps])
    edges = [s.diverges for s in sweeps if s.diverges is not None]
    inside = lowest / ASIDE
    ends = _mean(edges) if edges else rates[-1]
    tried = {"below": min(begins, inside) / ASIDE, "inside": inside, "above": ends}
    held = context.held
    start = fmean(_end(context, held, None, seed) for seed in range(RUN_SEEDS))
    results = {
        place: fmean(_end(context, held, rate, seed) for seed in range(RUN_SEEDS)) for place, rate in tried.items()
    }
    name = context.optimizer.__name__
    notes.figures = {
        "optimizer": name,
        "interval": [begins, lowest],
        "lowest": [s.lowest for s in sweeps],
        "diverges": edges,
        "tried": {place: {"lr": tried[place], "loss": results[place]} for place in tried},
        "first_loss": start,
    }
    span = _span([s.lowest for s in sweeps])
    edge = f"diverges at {_span(edges)}" if edges else f"does not diverge up to {rates[-1]:.2g}"
    runs = ", ".join(f"{_loss(results[p])} at {tried[p]:.2g}" for p in tried)
    text = (
        f"{name}: falls from {begins:.2g} on, lowest at {span}, {edge} ({len(sweeps)} seeds{context.cut_batch}); "
        f"{RUN} real steps from {start:.3g} end at {runs}"
    )
    best = min(results, key=lambda place: results[place])
    if not results[best] < start * FELL:
        notes.warn(f"{text}: no rate lowers the loss in so few steps", "train longer before choosing a rate")
    elif best != "inside" and results[best] < BETTER * results["inside"]:
        notes.warn(f"{text}: the sweep is wrong by {tried[best] / inside:.2g} times",
                   f"start near {tried[best]:.1g}, and search around it")  # fmt: skip
    elif results["inside"] < start * FELL:
        notes.ok(f"{text}: {inside:.1g} is a rate to start from")
    else:
        notes.unsure(f"{text}: they do not tell the rates apart")
    return notes.verdict()


def sweep_rates(optimizer: type[torch.optim.Optimizer]) -> list[float]:
    """Rates evenly spaced in the logarithm, around the optimizer's default (0.001 where it has none)."""
    given = inspect.signature(optimizer).parameters.get("lr")
    centre = given.default if given is not None and isinstance(given.default, int | float) else 1e-3
    steps = (BELOW + ABOVE) * PER_DECADE
    return [centre * 10 ** (i / PER_DECADE - BELOW) for i in range(steps + 1)]


def sweep(context: Context, rates: list[float], seed: int) -> Sweep | None:
    """A run whose rate rises with each step; None where its loss never falls."""

    def each(rule: torch.optim.Optimizer, step: int) -> None:
        for group in rule.param_groups:
            group["lr"] = rates[step]

    model = context.model(seed)
    low = math.inf

    def diverged(loss: float) -> bool:
        nonlocal low
        low = min(low, loss)
        return loss > 100 * max(abs(low), 1e-6)

    batches = context.short_batches(seed)
    losses = context.train(model, context.rule(rates[0]), batches, len(rates), diverged, each)
    return read(rates, losses)


def read(rates: list[float], losses: list[float]) -> Sweep | None:
    """The three marks of one sweep. A loss that is not finite counts as diverged, and as nothing else."""
    smooth: list[float] = []
    average = 0.0
    for i, loss in enumerate(losses):
        if not math.isfinite(loss):
            smooth.append(math.inf)
            break
        average = MEMORY * average + (1 - MEMORY) * loss
        smooth.append(average / (1 - MEMORY ** (i + 1)))
    finite = [value for value in smooth if math.isfinite(value)]
    if len(finite) < 2:
        return None
    start, low = fmean(finite[:PER_DECADE]), min(finite)
    at = smooth.index(low)
    if at == 0 or not low < start - 0.01 * abs(start):
        return None
    begins = next(i for i, value in enumerate(smooth) if value <= start - STARTED * (start - low))
    limit = min(start, WORSE * low) if low > 0 else start
    diverges = next((rates[i] for i in range(at + 1, len(smooth)) if smooth[i] > limit), None)
    return Sweep(rates[begins], rates[at], diverges)


def _end(context: Context, held: Batch, rate: float | None, seed: int) -> float:
    """The loss after a short run, or before it; infinite where the run diverged."""
    model = context.model(context.seed + seed)
    if rate is not None:
        batches = context.short_batches(context.seed + seed)
        losses = context.train(model, context.rule(rate), batches, RUN)
        if not math.isfinite(losses[-1]):
            return math.inf
    with torch.no_grad():
        loss = context.loss(model, held).item()
    return loss if math.isfinite(loss) else math.inf


def _mean(values: list[float]) -> float:
    return math.exp(fmean(map(math.log, values)))


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


def _loss(value: float) -> str:
    return f"{value:.3g}" if math.isfinite(value) else "diverged"
