"""Numbers that are not finite, and where they came from."""

from __future__ import annotations

from ..finding import Finding
from ..signals import Signals
from .reach import listed

LARGEST = {"float16": "65,504", "bfloat16": "3.4e38"}


def judge(s: Signals) -> Finding | None:
    """The first loss or gradient that was not finite, with the operation and layer that a replay found."""
    found = s.not_finite
    if found is None:
        return None
    what = "the loss" if found["where"] == "loss" else f"the gradient of {listed(found.get('gradients', []))}"
    cause, remedy = (
        "it is the loss function that makes it: its inputs are finite",
        "look at what the loss divides by or takes log of",
    )
    if found.get("inputs"):
        cause, remedy = (
            "the inputs of that batch are not finite",
            "look for missing values in the data; drop or fill them",
        )
    elif found.get("weights"):
        cause = f"the weights were not finite before that step ({listed(found['weights'])}): an earlier update did it"
        remedy = "lower the learning rate, warm it up, or clip the gradient"
    elif found.get("operation"):
        at = f" in {found['layer']}" if found["layer"] else ""
        made = f"{found['operation']}{at} makes it from finite inputs, the largest {found['largest_input']:.3g}"
        largest = LARGEST.get(found.get("dtype", ""))
        cause = made if largest is None else f"overflow in {found['dtype']}, whose largest number is {largest}: {made}"
        remedy = (
            "keep its inputs in its range: add a small constant, clamp, or scale them"
            if largest is None
            else f"bfloat16 or float32 for {found['layer'] or 'that operation'}, or a norm or smaller weights before it"
        )
    elif found.get("unseen"):
        cause = "an update before it that was too long, most often; what made it was not looked at"
        remedy = "lower the learning rate, warm it up, or clip the gradient"
    elif found.get("skipped"):
        what = f"no step was taken in {found['skipped']} backward passes, as {what}"
        cause = "gradients overflow in half precision at every scale that the GradScaler has come down to"
        remedy = "bfloat16, which has float32's range; or a lower loss scale to begin with, a norm, smaller weights"
    elif found["where"] == "gradient":
        cause = "a slope that is infinite, such as that of sqrt or norm at 0, or a gradient that overflowed"
        remedy = "add a small constant inside sqrt, norm or a division"
    return Finding(
        "not-finite",
        f"{what} was not finite at step {found['step']}"
        + (f" in process {found['process']}" if "process" in found else ""),
        cause,
        remedy,
        since_step=found["step"],
        confidence=0.95,
        evidence=dict(found),
    )
