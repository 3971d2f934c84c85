"""The rules of thumb of cs231n's notes (neural-networks-3) and slides, with the numbers given there."""

from __future__ import annotations

import math
from statistics import median

from .record import Course, Look, Rule

TOOL = "cs231n"


def _ratio(look: Look) -> float:
    found = [
        float((look.after[n] - w).norm() / w.norm())
        for n, w in look.before.items()
        if w.ndim > 1 and float(w.norm()) > 0
    ]
    return median(found) if found else math.nan


def updates_large(looks: list[Look], course: Course) -> bool:
    """The update should be about 1e-3 of the weights; ten times that."""
    return bool(looks) and _ratio(looks[-1]) > 1e-2


def updates_small(looks: list[Look], course: Course) -> bool:
    return bool(looks) and _ratio(looks[-1]) < 1e-4


def first_loss(looks: list[Look], course: Course) -> bool:
    """The first loss is to be that of chance, log(classes); a quarter off."""
    if course.classes < 2 or not course.losses:
        return False
    chance = math.log(course.classes)
    return not abs(course.losses[0] - chance) <= 0.25 * chance


def three_times(looks: list[Look], course: Course) -> bool:
    """Slides: a cost over three times the original one: break off early."""
    return len(course.losses) > 1 and not course.losses[-1] <= 3 * course.losses[0]


def wide_gap(looks: list[Look], course: Course) -> bool:
    """Training accuracy far above validation accuracy: overfitting. "Far" is 10 points; the notes give no number."""
    return bool(course.train_accuracy) and course.train_accuracy[-1] - course.validation_accuracy[-1] > 0.1


RULES = [
    Rule(
        "first loss off chance by a quarter",
        TOOL,
        frozenset({"init-too-large", "init-too-small", "wrong-loss"}),
        first_loss,
    ),
    Rule("loss over 3 times the first", TOOL, frozenset({"lr-too-high", "loss-exploding"}), three_times),
    Rule("update over weight > 1e-2", TOOL, frozenset({"lr-too-high"}), updates_large),
    Rule("update over weight < 1e-4", TOOL, frozenset({"lr-too-low", "vanishing-gradients"}), updates_small),
    Rule("accuracy gap over 10 points", TOOL, frozenset({"overfitting"}), wide_gap),
]
