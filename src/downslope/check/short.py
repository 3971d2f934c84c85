"""Short runs of training: can one small batch be learned, and do the inputs help?"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import repeat
from statistics import fmean, stdev

import torch

from ..training.data import Batch
from .context import Context, only_output
from .fit import blind_loss, fit
from .trace import traces
from .tree import change, count, leaves, take
from .verdict import CannotTell, Notes, Verdict

ROWS = 16
RATES = (1e-3, 1e-2, 1e-1)
TRIAL, STEPS = 25, 150
LEARNED = 0.1  # of the loss of knowing nothing
NOTHING = 0.9  # above this share nothing was learned
RUNS, SEEDS = (50, 150), 2
"""Steps of a run; the longer one where the shorter leaves it open, as in language, whose letter counts come first."""
GAIN = 0.01


def overfit(context: Context) -> Verdict:
    """Adam on one batch of 16, with its own targets and with them exchanged between the samples.

    Learning both proves that the model has room and gradients lead somewhere; not that inputs tell about targets."""
    notes = Notes()
    batch = context.few(ROWS)
    blind = _blind(context, batch)
    start = context.loss(context.model(), batch).item()
    level = blind if blind is not None and 0 < blind < math.inf else start
    reached, steps, going, right = _fit_one(context, batch, level * LEARNED)
    share = reached / level if level > 0 else 0.0
    notes.figures = {"start": start, "reached": reached, "steps": steps, "of_knowing_nothing": share}
    text = f"the loss of {ROWS} samples went from {start:.3g} to {reached:.2g} in {steps} steps"
    numbers = sum(leaf.numel() for leaf in leaves(batch[1]))
    free = sum(p.numel() for p in context.model().parameters() if p.requires_grad)
    if right:
        text += ", every answer right"
    if share <= LEARNED or reached <= 0 or right:
        notes.ok(text + _exchanged(context, batch, level, notes))
    elif min(reached / start if start > 0 else 1, share) < NOTHING:
        why = f"{free} parameters may be too few for {numbers} targets" if free <= numbers else "not learned by heart"
        notes.unsure(f"{text}: {'still falling' if going else why}")
    elif free <= numbers:
        notes.unsure(f"{text}: {free} parameters for {numbers} targets")
    else:
        notes.fail(f"{text}, at lr {' and '.join(f'{r:g}' for r in RATES)}: it cannot learn even these",
                   "look at the loss, the last layer, frozen weights, and whether inputs differ")  # fmt: skip
    return notes.verdict()


def _blind(context: Context, batch: Batch) -> float | None:
    try:
        return blind_loss(context, fit(context), batch)
    except CannotTell:  # several outputs: the first loss stands for it
        return None


def _exchanged(context: Context, batch: Batch, level: float, notes: Notes) -> str:
    size = count(batch)
    if not size:
        return ""
    mixed = batch[0], take(batch[1], torch.arange(size).roll(size // 2))
    reached, _, _, right = _fit_one(context, mixed, level * LEARNED)
    notes.figures["exchanged"] = reached
    learned = right or reached <= level * LEARNED
    said = "as well: room enough, which says nothing about the data" if learned else "not in as many steps"
    return f"; with exchanged targets {said} ({reached:.2g})"


def _fit_one(context: Context, batch: Batch, goal: float) -> tuple[float, int, bool, bool]:
    """The lowest loss, the steps to it, whether it was still falling, and whether every class came out right; at the
    rate that falls fastest."""
    model = context.model()

    def run(rate: float, steps: int) -> list[float]:
        nonlocal model
        model = context.model()
        return context.train(
            model, lambda ps: torch.optim.Adam(ps, lr=rate), repeat(batch), steps, lambda loss: loss <= goal
        )

    trials = {rate: run(rate, TRIAL) for rate in RATES}
    best = min(trials, key=lambda r: min(_finite(trials[r]), default=math.inf))
    losses = trials[best]
    if min(_finite(losses), default=math.inf) > goal:
        losses = run(best, STEPS)
    good = _finite(losses) or [math.inf]
    low = min(good)
    quarter = good[: -len(good) // 4] or good
    return low, good.index(low), low < 0.97 * min(quarter), _all_right(context, model, batch)


@torch.no_grad()
def _all_right(context: Context, model: torch.nn.Module, batch: Batch) -> bool:
    """Whether a model of classes names every one of them; a smoothed loss does not come near zero."""
    try:
        kind = fit(context)
    except CannotTell:
        return False
    target = leaves(batch[1])
    if kind.kind != "classes" or target[0].is_floating_point():
        return False
    named = only_output(model(batch[0])).argmax(kind.dim)
    return bool((named.flatten() == target[0].flatten()).all())


def _finite(losses: list[float]) -> list[float]:
    return [loss for loss in losses if math.isfinite(loss)]


def inputs_used(context: Context) -> Verdict:
    """Does a short run end lower with the inputs than with zeros in their place, on the same seeds?"""
    notes = Notes()
    held = context.unseen

    def zeroed(inputs: object) -> object:
        return change(inputs, torch.zeros_like)

    def run(seed: int, rate: float, steps: int, blank: bool) -> float:
        model = context.model(seed)
        batches: Iterable[Batch] = context.short_batches(seed)
        if blank:
            batches = ((zeroed(inputs), target) for inputs, target in batches)
        context.train(model, lambda ps: torch.optim.Adam(ps, lr=rate), batches, steps)
        with torch.no_grad():
            return context.loss(model, (zeroed(held[0]) if blank else held[0], held[1])).item()

    rate = min(RATES[:2], key=lambda r: _rank(run(context.seed, r, RUNS[0], False)))
    for steps in RUNS:
        pairs = [[run(context.seed + s, rate, steps, blank) for blank in (False, True)] for s in range(SEEDS)]
        gains = [1 - real / blank if blank else 0.0 for real, blank in pairs]
        gain, error = fmean(gains), stdev(gains) / math.sqrt(len(gains))
        helped = gain > GAIN and gain > 2 * error
        if helped or context.cut:
            break
    real, blank = (fmean(side) for side in zip(*pairs))
    notes.figures = {"loss": real, "loss_of_zeros": blank, "gain": gain, "standard_error": error, "steps": steps}
    which = "loss" if context.data.validation is None else "validation loss"
    text = (
        f"after {steps} steps{context.cut_batch} the {which} is {real:.3g} with inputs, {blank:.3g} with zeros for them"
    )
    if not math.isfinite(gain):
        raise CannotTell(f"{text}: a run diverged at lr {rate:g}")
    if helped:
        notes.ok(text)
    elif _constant(context, held) and not traces(context)[0][0].layers:
        notes.warn(f"{text}: the model has no layer, and one answer to all inputs", "right for a bare function only")
    elif _constant(context, held):
        notes.fail(f"{text}, and the output is the same for every input", "look at how forward uses its inputs")
    else:
        notes.warn(
            f"{text}: the inputs did not help", "train longer; else look whether inputs and targets still pair up"
        )
    return notes.verdict()


def _rank(loss: float) -> float:
    return loss if math.isfinite(loss) else math.inf


@torch.no_grad()
def _constant(context: Context, batch: Batch) -> bool:
    """Whether the output of a new model in evaluation mode does not move with its inputs at all."""
    model = context.model().eval()
    output = only_output(model(batch[0]))
    other = only_output(model(change(batch[0], lambda leaf: leaf.flip(0))))
    return output.shape == other.shape and torch.equal(output, other)
