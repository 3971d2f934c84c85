"""One symptom, or tight family, a file. The table says what there is, from causes to consequences.

`judge` asks all of them, worst first: the table's order. A finding that another one explains is not listed by itself
but named there, so that a learning rate that is too high is not also seven other things."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from ..finding import Finding
from ..signals import Signals
from . import (
    batchnorm,
    data,
    depth,
    finite,
    fit,
    loop,
    loss,
    noise,
    outputs,
    rate_high,
    rate_low,
    reach,
    settings,
    start,
    still,
    units,
)

Judge = Callable[[Signals], Finding | None]


@dataclass(frozen=True)
class Symptom:
    """A title, what judges it, and the symptoms that come of it."""

    title: str
    judge: Judge
    explains: tuple[str, ...] = ()


STANDING = ("plateau", "stuck-large-gradients", "labels-unlearnable", "one-class", "underfitting", "batch-too-small")
RATE = ("lr-too-high", "lr-too-low")
DEPTH = ("vanishing-gradients", "exploding-gradients", "saturated-units", "dead-relu")
BLOWN = ("not-finite", "loss-exploding", "loss-spikes", "clipping-always")
ALL = (*RATE, *DEPTH, *BLOWN, *STANDING)

SYMPTOMS: dict[str, Symptom] = {
    "gradients-not-zeroed": Symptom("Gradients are not set to zero", loop.not_zeroed, ALL),
    "sorted-data": Symptom("The data are sorted by their labels", data.sorted_data, ALL),
    "same-batches": Symptom("All processes train on the same batches", data.same_batches),
    "softmax-twice": Symptom(
        "Softmax is applied twice", outputs.softmax_twice, (*RATE, *STANDING, "vanishing-gradients")
    ),
    "wrong-loss": Symptom("The loss does not fit the output", outputs.wrong_loss, ALL),
    "init-constant": Symptom("Units start equal", start.constant, (*RATE, *DEPTH, *STANDING, "no-gradient")),
    "no-gradient": Symptom("Parameters that never get a gradient", reach.no_gradient, (*STANDING, *RATE)),
    "parameters-not-in-optimizer": Symptom(
        "Parameters that are in no optimizer", reach.not_in_optimizer, (*STANDING, *RATE, "dead-relu")
    ),
    "trained-in-evaluation-mode": Symptom(
        "Trained in evaluation mode", loop.trained_in_evaluation, ("batch-norm-gap",)
    ),
    "evaluated-in-training-mode": Symptom("Scored in training mode", loop.scored_in_training, ("batch-norm-gap",)),
    "scheduler-never-stepped": Symptom("A scheduler that is never stepped", loop.never_stepped, (*RATE, *STANDING)),
    "scheduler-before-optimizer": Symptom("The scheduler is stepped before the optimizer", loop.before_optimizer),
    "inputs-unnormalised": Symptom("Inputs are not normalised", data.inputs, ALL),
    "init-too-large": Symptom("Weights start too large", start.large, ALL),
    "init-too-small": Symptom("Weights start too small", start.small, ("vanishing-gradients", *RATE, *STANDING)),
    "weight-decay-on-norms": Symptom(
        "Weight decay on norms and biases", settings.decay, ("dead-relu", "vanishing-gradients", *STANDING)
    ),
    "vanishing-gradients": Symptom("Gradients vanish over depth", depth.vanishing, (*RATE, *STANDING)),
    "lr-too-high": Symptom(
        "The learning rate is too high", rate_high.too_high, (*DEPTH, *BLOWN, *STANDING, "batch-norm-gap")
    ),
    "exploding-gradients": Symptom("Gradients explode over depth", depth.exploding, (*BLOWN, *STANDING)),
    "loss-exploding": Symptom(
        "The loss explodes", loss.exploding, ("not-finite", "loss-spikes", *DEPTH, *STANDING, "clipping-always")
    ),
    "not-finite": Symptom("Numbers that are not finite", finite.judge, ("loss-exploding", "loss-spikes", *STANDING)),
    "saturated-units": Symptom("Saturated sigmoids or tanhs", units.saturated, ("lr-too-low", *STANDING)),
    "dead-relu": Symptom("Dead ReLUs", units.dead, ("lr-too-low", *STANDING)),
    "batch-norm-batch-too-small": Symptom(
        "Batches too small for batch norm", batchnorm.small_batch, ("batch-norm-gap", "batch-too-small", "underfitting")
    ),
    "batch-norm-gap": Symptom("Batch norm's statistics are not the batches'", batchnorm.gap),
    "clipping-always": Symptom("Nearly all gradients are clipped", settings.clipping, ("lr-too-low", "plateau")),
    "lr-too-low": Symptom("The learning rate is too low", rate_low.too_low, STANDING),
    "labels-unlearnable": Symptom("Labels that cannot be learned", data.labels, ("overfitting", *STANDING)),
    "stuck-large-gradients": Symptom("Stuck with large gradients", still.stuck, ("plateau", "one-class")),
    "plateau": Symptom("A plateau", still.plateau, ("one-class",)),
    "one-class": Symptom("One class is predicted for all", data.one_class),
    "overfitting": Symptom("Overfitting", fit.over),
    "underfitting": Symptom("Underfitting", fit.under, ("batch-too-small",)),
    "loss-spikes": Symptom("Spikes in the loss", loss.spikes),
    "batch-too-small": Symptom("Batches are small against the gradient's noise", noise.judge),
}
"""From causes to consequences; the first of several findings is the likeliest root."""

BY_LOSSES = ("loss-exploding", "not-finite", "overfitting", "loss-spikes")
"""What is judged by the losses alone."""
FLAT = (*BY_LOSSES, "sorted-data", "same-batches", "softmax-twice", "wrong-loss", "one-class", "gradients-not-zeroed")
"""What is judged where the parameters that the model shows are not those of the graph: torch's first FSDP."""

DROWNED = (*RATE, *DEPTH, "plateau", "stuck-large-gradients", "one-class", "labels-unlearnable")
"""What comes of weight decay that has pulled the weights to nothing, which is `underfitting`."""
DIED = ("dead-relu", "saturated-units")
KILLERS = ("labels-unlearnable", "underfitting", "loss-spikes")
"""What may have cost units their slope on the way, if it was there before: then it is named first."""


def judge(signals: Signals, of: Collection[str] = SYMPTOMS) -> tuple[list[Finding], list[str]]:
    """The findings, worst first, and a note of each judge that failed. One that is explained is not asked: some cost
    forked runs."""
    found: list[Finding] = []
    explained: dict[str, list[str]] = {}
    notes = []
    decayed = fit.drowned(signals)
    for slug, symptom in SYMPTOMS.items():
        if slug not in of or (slug in explained and slug in (*RATE, *STANDING)) or (decayed and slug in DROWNED):
            continue
        try:
            finding = symptom.judge(signals)
        except Exception as error:
            notes.append(f"{slug} could not be judged ({type(error).__name__}: {error})")
            continue
        if finding is None:
            continue
        if slug in explained:
            for by in explained[slug]:
                at = next(i for i, f in enumerate(found) if f.symptom == by)
                found[at] = replace(found[at], alternatives=(*found[at].alternatives, f"{slug} came of it"))
            continue
        found.append(finding)
        later = slug in DIED and finding.since_step
        for other in symptom.explains:
            if not (later and other in KILLERS):
                explained.setdefault(other, []).append(slug)
    return _causes_first(found), notes


def _causes_first(found: list[Finding]) -> list[Finding]:
    """With units that died on the way behind what was there before they did."""

    def before(a: Finding, b: Finding) -> bool:
        return a.symptom in KILLERS and a.since_step is not None and a.since_step < (b.since_step or 0)

    late = [f for f in found if f.symptom in DIED and any(before(other, f) for other in found)]
    return [f for f in found if f not in late] + late
