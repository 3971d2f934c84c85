"""UMLAUT's heuristics (Schoop, Huang & Hartmann 2021), from its `heuristics.py`, as far as they apply to torch."""

from __future__ import annotations

import math

from .record import Course, Look, Rule

TOOL = "UMLAUT"


def input_range(looks: list[Look], course: Course) -> bool:
    """Inputs not in [-1, 1]; numbers of tokens are none."""
    if not looks or not looks[-1].inputs.is_floating_point():
        return False
    return float(looks[-1].inputs.abs().max()) > 1


def not_a_number(looks: list[Look], course: Course) -> bool:
    inputs = looks[-1].inputs if looks else None
    bad = inputs is not None and inputs.is_floating_point() and bool(inputs.isnan().any())
    return bad or (bool(course.losses) and math.isnan(course.losses[-1]))


def high_rate(looks: list[Look], course: Course) -> bool:
    return bool(looks) and looks[-1].lr > 0.01


def low_rate(looks: list[Look], course: Course) -> bool:
    return bool(looks) and looks[-1].lr < 1e-7


def overfitting(looks: list[Look], course: Course) -> bool:
    """Validation loss up while training loss is down, over one epoch."""
    v, t = course.validation, course.train
    return len(v) > 1 and v[-1] > v[-2] and t[-1] < t[-2]


def suspicious(looks: list[Look], course: Course) -> bool:
    """Validation accuracy over 95 %, or 5 points over that of training."""
    if not course.validation_accuracy:
        return False
    value = course.validation_accuracy[-1]
    return value > 0.95 or value - course.train_accuracy[-1] > 0.05


def last_activation(looks: list[Look], course: Course) -> bool:
    """The last layer has an activation that is no softmax."""
    return course.last in ("ReLU", "Sigmoid", "Tanh")


def stacked(looks: list[Look], course: Course) -> bool:
    """Linear layers with nothing between them."""
    return course.stacked


def dropout(looks: list[Look], course: Course) -> bool:
    return course.dropout > 0.5


RULES = [
    Rule("NaN in loss or input", TOOL, frozenset({"not-finite"}), not_a_number),
    Rule("last layer has an activation", TOOL, frozenset({"wrong-loss", "softmax-twice"}), last_activation),
    Rule("missing activations", TOOL, frozenset({"underfitting"}), stacked),
    Rule("inputs not in [-1, 1]", TOOL, frozenset({"inputs-unnormalised"}), input_range),
    Rule("lr > 0.01", TOOL, frozenset({"lr-too-high"}), high_rate),
    Rule("lr < 1e-7", TOOL, frozenset({"lr-too-low"}), low_rate),
    Rule("dropout > 0.5", TOOL, frozenset({"underfitting"}), dropout),
    Rule("validation loss up, training loss down", TOOL, frozenset({"overfitting"}), overfitting),
    Rule("validation accuracy > 95 %", TOOL, frozenset(), suspicious),
]
