"""SageMaker Debugger's built-in rules, from `debugger-built-in-rules.md` of AWS's documents, with their defaults.

Left out: TensorVariance (no thresholds by default), StalledTrainingRule and the profiler's (of time, not of training),
Confusion and SimilarAcrossRuns (need a second table or run), NLPSequenceRatio (padding of texts), those for trees."""

from __future__ import annotations

import torch

from .record import Course, Look, Rule

Tensor = torch.Tensor
TOOL = "SageMaker Debugger"


def inactive(x: Tensor, on: Tensor) -> float:
    """The share, in percent, of units that are `on` for less than 1 % of the samples."""
    channels = 1 if x.ndim == 4 else -1
    return (
        float((on.movedim(channels, -1).reshape(-1, x.shape[channels]).double().mean(0) < 0.01).double().mean()) * 100
    )


def dead_relu(looks: list[Look], course: Course) -> bool:
    return bool(looks) and any(inactive(x, x > 0) > 50 for x in looks[-1].relus.values())


def saturated(looks: list[Look], course: Course) -> bool:
    if not looks:
        return False
    tanhs = (inactive(x, x.abs() < 9.4999) for x in looks[-1].tanhs.values())
    sigmoids = (inactive(x, (x > -23) & (x < 16.99999)) for x in looks[-1].sigmoids.values())
    return any(share > 50 for share in (*tanhs, *sigmoids))


def exploding_tensor(looks: list[Look], course: Course) -> bool:
    found = [*looks[-1].gradients.values(), *looks[-1].outputs.values(), *looks[-1].after.values()] if looks else []
    return any(not bool(t.isfinite().all()) for t in found)


def vanishing_gradient(looks: list[Look], course: Course) -> bool:
    return bool(looks) and any(float(g.abs().mean()) < 1e-7 for g in looks[-1].gradients.values())


def poor_initialisation(looks: list[Look], course: Course) -> bool:
    """Variances of the layers' weights, and the span of gradients from the 5th to the 95th percentile; loss patience 5
    in the first 10 steps."""
    if not looks or looks[-1].step > 10:
        return False
    variances = [float(w.var()) for w in looks[-1].before.values() if w.ndim > 1]
    if variances and max(variances) > 10 * min(variances):
        return True
    spans = [
        g.float().flatten().quantile(torch.tensor([0.05, 0.95]))
        for g in looks[-1].gradients.values()
        if g.ndim > 1 and g.numel() < 1e6
    ]
    return any(float(high - low) < 1e-3 for low, high in spans)


def update_ratio(low: bool) -> object:
    def fires(looks: list[Look], course: Course) -> bool:
        if not looks:
            return False
        look = looks[-1]
        for name, before in look.before.items():
            ratio = float((look.after[name] - before).norm() / (before.norm() + 1e-9))
            if ratio < 1e-8 if low else ratio > 10:
                return True
        return False

    return fires


def all_zero(looks: list[Look], course: Course) -> bool:
    return bool(looks) and any(not bool(t.any()) for t in (*looks[-1].gradients.values(), *looks[-1].outputs.values()))


def unchanged(looks: list[Look], course: Course) -> bool:
    if len(looks) < 3:
        return False
    a, b, c = (look.after for look in looks[-3:])
    return any(torch.allclose(a[n], b[n]) and torch.allclose(b[n], c[n]) for n in a)


def class_imbalance(looks: list[Look], course: Course) -> bool:
    if len(course.counts) < 2 or sum(course.counts.values()) < 500:
        return False
    numbers = course.counts.values()
    missed = [1 - course.right[c] / n for c, n in course.counts.items() if n]
    return max(numbers) / max(1, min(numbers)) > 10 or max(missed) > 0.7


def not_decreasing(looks: list[Look], course: Course) -> bool:
    """Every 10 steps the loss has to fall by 0.1 %."""
    found = course.losses
    return len(found) > 10 and len(found) % 10 == 1 and not found[-1] < found[-11] * (1 - 0.001)


def overfit(looks: list[Look], course: Course) -> bool:
    return bool(course.train) and (course.validation[-1] - course.train[-1]) / abs(course.train[-1]) > 0.1


def overtraining(looks: list[Look], course: Course) -> bool:
    """No gain of 0.01 for 5 training or 10 validation rounds."""
    for found, patience in ((course.train, 5), (course.validation, 10)):
        if len(found) > patience and min(found[-patience:]) > min(found[:-patience]) - 0.01:
            return True
    return False


def input_images(looks: list[Look], course: Course) -> bool:
    return bool(looks) and looks[-1].inputs.ndim == 4 and abs(float(looks[-1].inputs.mean())) > 0.2


RULES = [
    Rule("ExplodingTensor", TOOL, frozenset({"not-finite", "exploding-gradients", "loss-exploding"}), exploding_tensor),
    Rule(
        "PoorWeightInitialization",
        TOOL,
        frozenset({"init-constant", "init-too-small", "init-too-large"}),
        poor_initialisation,
    ),
    Rule("VanishingGradient", TOOL, frozenset({"vanishing-gradients"}), vanishing_gradient),
    Rule("DeadRelu", TOOL, frozenset({"dead-relu"}), dead_relu),
    Rule("SaturatedActivation", TOOL, frozenset({"saturated-units"}), saturated),
    Rule("WeightUpdateRatio > 10", TOOL, frozenset({"lr-too-high"}), update_ratio(False)),  # type: ignore[arg-type]
    Rule(
        "WeightUpdateRatio < 1e-8",
        TOOL,
        frozenset({"lr-too-low", "no-gradient", "parameters-not-in-optimizer"}),
        update_ratio(True),
    ),  # type: ignore[arg-type]
    Rule("UnchangedTensor", TOOL, frozenset({"no-gradient", "parameters-not-in-optimizer", "lr-too-low"}), unchanged),
    Rule("AllZero", TOOL, frozenset({"dead-relu", "init-constant", "no-gradient"}), all_zero),
    Rule("CheckInputImages", TOOL, frozenset({"inputs-unnormalised"}), input_images),
    Rule("ClassImbalance", TOOL, frozenset({"one-class"}), class_imbalance),
    Rule("Overfit", TOOL, frozenset({"overfitting"}), overfit),
    Rule("Overtraining", TOOL, frozenset({"overfitting", "plateau"}), overtraining),
    Rule(
        "LossNotDecreasing",
        TOOL,
        frozenset({"plateau", "lr-too-low", "stuck-large-gradients", "labels-unlearnable"}),
        not_decreasing,
    ),
]
