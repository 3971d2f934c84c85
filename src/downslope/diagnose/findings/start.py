"""How the weights began."""

from __future__ import annotations

import math
from statistics import median

from ..finding import Finding
from ..signals import Signals
from .reach import listed

SMALL, LARGE = 1e-3, 20.0
"""Fan-in times variance, over what keeps a signal's size (1, or 2 before ReLU). torch's own start is 1/6 to 1/3,
GPT-2's 0.02 is 1/40 at width 64, and trained weights stay within 1e-2 to 20 in the healthy runs of the tests."""
LESS, ALL_SMALL, MORE = 0.1, 1e-6, 4.0
"""Of layers one after the other: their median, and the product, in which a signal falls to a thousandth. torch's gain
for tanh, 5/3, is 2.8."""
KEPT = 0.05
"""How far samples differ before the last layer, over how far before the first: above, the signal has not died out. A
correct SIREN of six layers is at 0.5, weights of 1e-3 in two layers or a sine without its factor are below 1e-3."""


def constant(s: Signals) -> Finding | None:
    """Units that began equal and are equal still: they get equal gradients for ever.

    Weights of zeros that leave zero, as in residual branches and heads, have unequal rows after a step."""
    now = s.facts.get("alike_now")
    if now is None or s.steps < 5:
        return None
    found = [
        (p.name, p.std)
        for p, same in zip(s.parameters, now)
        if same and p.kind == "weight" and p.trained and p.order >= 0
    ]
    if not found:
        return None
    names = [name for name, _ in found]
    return Finding(
        "init-constant",
        f"the units of {listed(names)} began equal and are still equal after {s.steps} steps",
        "weights that start at a constant: equal units get equal gradients and never come apart",
        "draw the weights at random (torch.nn.init.kaiming_normal_ or xavier_normal_); only biases may start equal",
        since_step=0,
        confidence=0.98,
        evidence={"weights": names},
    )


def _ratios(s: Signals) -> dict[str, float]:
    """Measured over expected variance of the inner weights whose scale nothing sets anew."""
    found = {}
    for i in s.weights()[:-1]:
        p = s.parameters[i]
        if p.follows in ("batchnorm", "norm") or p.alike:
            continue
        found[p.name] = p.fan_in * p.std**2 / (2.0 if p.follows in ("relu", "gelu", "silu", "leaky_relu") else 1.0)
    return found


def _arrives(s: Signals) -> bool:
    """Did the signal come through in the first step, whatever the weights' variance lets one expect? Where layers are
    not modules, so that nobody saw: is a factor to be reckoned with that the variance does not have?"""
    seen = s.layers[0][1] if s.layers else {}
    names = [s.parameters[i].name.rpartition(".")[0] for i in s.weights()]
    spreads = [seen[name].spread_in for name in names if name in seen]
    if len(spreads) > 1:
        return spreads[-1] > KEPT * spreads[0]
    return any(s.parameters[i].follows == "factor" for i in s.weights())


def small(s: Signals) -> Finding | None:
    """Weights so small that the signal dies out from layer to layer, and the loss has not moved."""
    found = _ratios(s)
    low = {name: r for name, r in found.items() if r < SMALL}
    if s.steps < 20 or s.end() < 0.9 * s.start() or _arrives(s):
        return None
    each = median(found.values()) if found else math.nan
    if each < LESS and len(found) > 2 and math.prod(found.values()) < ALL_SMALL:
        low = low or found  # none by itself, but one after the other
    elif len(low) < 2 or len(low) < len(found) / 2:
        return None
    return Finding(
        "init-too-small",
        f"{listed(list(low))} began with {median(low.values()):.1e} of the variance that keeps a signal's size",
        "the signal and the gradient shrink by that at each layer, and the loss stands still",
        "draw the weights by He (before ReLU) or Xavier (before tanh)",
        since_step=0,
        confidence=0.9,
        evidence={"variance_over_expected": low},
    )


def large(s: Signals) -> Finding | None:
    """Weights so large that the first loss is far above that of knowing nothing."""
    found = _ratios(s)
    high = {name: r for name, r in found.items() if r > LARGE}
    nothing = s.ignorance()
    first = next((x for x in s.loss if not math.isnan(x)), math.nan)
    saturated = [layer for _, layers in s.layers[:1] for layer in layers.values() if layer.flat > 0.5]
    each = median(found.values()) if found else math.nan
    stacked = each > MORE and len(found) > 4 and s.end() > nothing  # none by itself, but one after the other
    high = high or (found if stacked else {})
    if not high or s.steps < 5 or not (saturated or stacked or not first < 3 * nothing):
        return None
    return Finding(
        "init-too-large",
        f"{listed(list(high))} began with {median(high.values()):.3g} times the variance that keeps a signal's size",
        f"the first loss was {first:.3g}"
        + (f", knowing nothing gives {nothing:.3g}" if math.isfinite(nothing) else ""),
        "draw the weights by He (before ReLU) or Xavier (before tanh)",
        since_step=0,
        confidence=0.9,
        evidence={"variance_over_expected": high, "first_loss": first},
    )
