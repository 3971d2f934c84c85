"""What is wrong with the loop itself: gradients that pile up, schedulers, modes."""

from __future__ import annotations

from ..finding import Finding
from ..signals import Signals

MOST = 0.8
"""Of the steps. A loop with such a slip has it at each step; one that does it now and then means it."""


def not_zeroed(s: Signals) -> Finding | None:
    """Each step adds to the gradient of the steps before it: no backward since the last step began from zero."""
    count = s.counts["not_zeroed"]
    seen = s.counts["seen_backward"]
    if seen < 5 or count < MOST * (seen - 1):
        return None
    return Finding(
        "gradients-not-zeroed",
        f"gradients were not set to zero in {count} of {seen} steps, so that each step is the sum of all before",
        "optimizer.zero_grad() is missing from the loop, or is called on another optimizer",
        "call optimizer.zero_grad() once for each optimizer.step(), before backward",
        since_step=1,
        confidence=0.99,
        evidence={"steps": count, "of": seen},
    )


def never_stepped(s: Signals) -> Finding | None:
    """A scheduler that was made for this optimizer and never called, though its time has come.

    An epoch may be long: it counts as late after two scorings with training after them, or past its own horizon."""
    for each in s.facts.get("schedulers", ()):
        epochs = max(s.counts["scored"], s.counts["scored_in_training"], len(s.validation))
        late = epochs >= 3 or (each["horizon"] and s.steps >= each["horizon"]) or s.steps >= 10_000
        if each["calls"] <= 0 and late and s.steps > 10:
            return Finding(
                "scheduler-never-stepped",
                f"{each['name']} was made for this optimizer but never called in {s.steps} steps",
                "scheduler.step() is missing from the loop",
                "call scheduler.step() after optimizer.step(), or once an epoch as the schedule counts",
                since_step=0,
                confidence=0.95,
                severe=False,
                evidence={"scheduler": each["name"], "calls": each["calls"], "steps": s.steps},
            )
    return None


def before_optimizer(s: Signals) -> Finding | None:
    """The learning rate moved between the making of the scheduler and the first step."""
    if not s.facts.get("lr_moved_first") or s.steps < 2:
        return None
    return Finding(
        "scheduler-before-optimizer",
        f"the learning rate was moved before the first step, from {s.facts['lr_at_start'][0]:.3g} to {s.lr[0]:.3g}",
        "scheduler.step() is called before optimizer.step(), so that the schedule's first value is never used",
        "call scheduler.step() after optimizer.step()",
        since_step=0,
        confidence=0.9,
        severe=False,
        evidence={"lr_at_start": s.facts["lr_at_start"][0], "lr_first": s.lr[0]},
    )


def scored_in_training(s: Signals) -> Finding | None:
    """Forward passes without gradients, between steps, in training mode, of a model to which that matters.

    Two rounds at least: batch-norm statistics are recomputed so once, on purpose."""
    rounds = s.counts["scored_in_training"]
    if not s.facts.get("two_modes") or rounds < 2 or rounds <= s.counts["scored"]:
        return None
    what = "batch norm takes the scored data's statistics into its own" if s.facts["batchnorm"] else "dropout is on"
    return Finding(
        "evaluated-in-training-mode",
        f"the model was scored in training mode {rounds} times "
        f"({s.counts['scored_in_training_batches']} batches): {what}",
        "model.eval() is missing before the scoring",
        "call model.eval() before it and model.train() after it",
        confidence=0.9,
        evidence={"rounds": rounds, "batches": s.counts["scored_in_training_batches"]},
    )


def trained_in_evaluation(s: Signals) -> Finding | None:
    """The model's own switch is at evaluation while it is trained, after some steps where it was not."""
    count, seen = s.counts["steps_in_evaluation"], s.counts["seen_backward"]
    if not s.facts.get("two_modes") or seen < 10 or not 0.1 * seen < count < seen:
        return None
    return Finding(
        "trained-in-evaluation-mode",
        f"{count} of {seen} steps were trained in evaluation mode, the others were not",
        "model.train() is missing after the scoring: dropout is off, batch norm learns no statistics any more",
        "call model.train() at the start of each epoch",
        confidence=0.9,
        evidence={"steps": count, "of": seen},
    )
