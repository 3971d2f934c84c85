"""A loss that does not fit what the model gives it, as the graph between them shows."""

from __future__ import annotations

from collections import Counter

from ..finding import Finding
from ..signals import LossSeen, Signals


def _common(s: Signals) -> LossSeen | None:
    """A loss as most were seen."""
    if not s.losses:
        return None
    before = Counter((seen.kind, seen.before) for seen in s.losses).most_common(1)[0][0]
    return next(seen for seen in s.losses if (seen.kind, seen.before) == before)


def softmax_twice(s: Signals) -> Finding | None:
    """Softmax, then a cross-entropy that takes its own; or the same with sigmoid. Exact: read off the graph.

    log_softmax twice is log_softmax, and no finding."""
    seen = _common(s)
    if seen is None or not seen.before:
        return None
    last = seen.before[0]
    if (seen.form, last) not in (("classes", "softmax"), ("binary", "sigmoid")):
        return None
    loss = "cross_entropy" if seen.kind == "classes" else "binary_cross_entropy_with_logits"
    return Finding(
        "softmax-twice",
        f"the scores go through {last}, and {loss} takes {last} of them again",
        f"the model ends in {last}, but the loss wants scores: its gradients are weak and the loss cannot come near 0",
        f"remove {last} from the end of the model; use it only for predictions",
        since_step=0,
        confidence=0.98,
        evidence={"loss": loss, "before": list(seen.before)},
    )


SQUASHED = ("relu", "sigmoid", "tanh")


def wrong_loss(s: Signals) -> Finding | None:
    """Scores that an activation has cut before a softmax, raw scores in a likelihood, one class, broadcast shapes."""
    seen = _common(s)
    if seen is None:
        return None
    cause = remedy = ""
    if seen.broadcast:
        verdict = "output and target have shapes that are broadcast against each other: every sample meets every target"
        cause = "one is of shape (batch, 1), the other (batch,)"
        remedy = "give both the same shape: output.squeeze(1), or target.unsqueeze(1)"
    elif seen.form == "classes" and seen.classes == 1:
        verdict = "cross-entropy over a single class, which is 0 whatever the model says"
        cause, remedy = "the model has one output", "use binary_cross_entropy_with_logits, or one output for each class"
    elif seen.form == "classes" and seen.before[:1] and seen.before[0] in SQUASHED:
        verdict = f"the scores that cross-entropy takes were cut by {seen.before[0]}"
        cause, remedy = "an activation after the last layer", f"remove {seen.before[0]} after the last layer"
    elif seen.form == "likelihood" and seen.before[:1] not in (("log_softmax",), ("log",), ("logsumexp",), ("sub",)):
        verdict = "nll_loss takes log-probabilities but gets " + (
            "probabilities" if "softmax" in seen.before else "scores"
        )
        cause, remedy = "log_softmax is missing before nll_loss", "use cross_entropy on the scores"
    else:
        return None
    return Finding(
        "wrong-loss",
        verdict,
        cause,
        remedy,
        since_step=0,
        confidence=0.95,
        evidence={"takes": seen.form, "before": list(seen.before), "classes": seen.classes},
    )
