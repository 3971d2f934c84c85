"""Do activations and gradients reach every layer of a new model?"""

from __future__ import annotations

import math
from statistics import median

from .context import Context
from .trace import Layer, traces
from .verdict import CannotTell, Notes, Verdict, listed

FADE, GONE = 1e-3, 1e-6
"""Ratio of the weakest layer's signal to the strongest before (after) it. torch's default initialisation under ReLU
keeps a factor 0.41 a layer: five layers keep 1e-2 and train, fifteen keep 1e-6 and do not."""
SATURATED = (0.5, 0.9)
SILENT = (0.5, 0.95)


def activations(context: Context) -> Verdict:
    """How far the samples still differ in each layer, how large values are, and how many have lost their slope."""
    runs = [found for found, _ in traces(context)]
    notes = Notes()
    layers = runs[0].layers
    if len(layers) == 0:
        raise CannotTell("no linear or convolutional layer was seen in the forward pass")
    size = [median(run.layers[i].rms for run in runs) for i in range(len(layers))]
    spread = [median(run.layers[i].spread for run in runs) for i in range(len(layers))]
    notes.figures = {"layers": [{"name": a.name, "rms": r, "spread": s} for a, r, s in zip(layers, size, spread)]}
    if not all(map(math.isfinite, size)):
        bad = [a.name for a, r in zip(layers, size) if not math.isfinite(r)]
        notes.fail(f"not finite in {listed(bad)}", "look for an overflow, a division by zero or a logarithm of zero")
        return notes.verdict()
    # a norm sets the scale anew, so only the layers after the last one are compared
    top, low = 0.0, (1.0, "")
    high = (1.0, "")
    base = 0.0
    for layer, r, s in zip(layers, size, spread):
        if layer.follows == "norm":
            top = base = 0.0
            continue
        if top and s / top < low[0]:
            low = (s / top, layer.name)
        if base and r / base > high[0]:
            high = (r / base, layer.name)
        top, base = max(top, s), base or r
    _grade(notes, low[0], f"samples differ {low[0]:.1e} times as much in {low[1]} as before it", _INIT)
    _grade(notes, 1 / high[0], f"values in {high[1]} are {high[0]:.1e} times those of the first layer", _INIT)
    for i, act in enumerate(runs[0].saturated):
        share = median(run.saturated[i].share for run in runs)
        text = f"{share:.0%} of the values of {act.function} after {act.layer} are saturated"
        if share > SATURATED[0] and act.layer != layers[-1].name:
            (notes.fail if share > SATURATED[1] else notes.warn)(text, "use smaller weights or inputs, or Xavier")
    notes.ok(f"{len(layers)} layers, root mean square from {min(size):.2g} to {max(size):.2g}")
    return notes.verdict()


def gradients(context: Context) -> Verdict:
    """Does a gradient come to every parameter and every unit, and is it of one size over the depth?"""
    runs = traces(context)
    notes = Notes()
    first, zero = runs[0]
    model = context.model()
    names = [name for name, _ in model.named_parameters()]
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    if len(frozen) == len(names):
        notes.fail("no parameter asks for a gradient", "leave requires_grad on in what is to be trained")
        return notes.verdict()
    missing = [name for name, g in first.gradients.items() if g is None]
    wrong = [name for name, g in first.gradients.items() if g is not None and not bool(g.isfinite().all())]
    still = [n for n, g in first.gradients.items() if g is not None and not g.any() and not n.endswith("bias")]
    if wrong:
        notes.fail(f"the gradient of {listed(wrong)} is not finite", "look for sqrt, log or a division at zero")
        return notes.verdict()
    if missing and len(missing) == len(first.gradients):
        notes.fail("no parameter gets a gradient", "look for detach(), .data, item() or no_grad() in model and loss")
    elif missing:
        notes.warn(f"no gradient comes to {listed(missing)}", "use them in forward, or freeze or remove them")
    if still:
        notes.warn(f"the gradient of {listed(still)} is zero throughout", "look for dead units or a cut-off branch")
    reached = [layer for layer in first.layers if layer.gradient is not None and layer.weight.requires_grad]
    size = [median(_gradient(run.layers, layer.name) for run, _ in runs) for layer in reached]
    notes.figures = {
        "layers": [{"name": a.name, "gradient": g, "silent": a.silent} for a, g in zip(reached, size)],
        "frozen": frozen,
        "zero_weights": sorted(zero),
    }
    if reached and size[-1] > 0:
        weak, strong = min(size), max(size)
        names = [layer.name for layer in reached]
        at = names[size.index(weak)], names[size.index(strong)]
        if weak > 0:
            text = f"{at[0]} gets {weak / size[-1]:.1e} of the last layer's gradient"
            _grade(notes, 10 * weak / size[-1], text, _INIT)
        _grade(notes, 10 * size[-1] / strong, f"{at[1]} gets {strong / size[-1]:.1e} times the last layer's", _INIT)
    for layer in reached:
        silent = median(_silent(run.layers, layer.name) for run, _ in runs)
        if silent > SILENT[0]:
            text = f"{silent:.0%} of the units of {layer.name} get no gradient from any of the samples"
            (notes.fail if silent > SILENT[1] else notes.warn)(text, "start the biases at zero and the weights by He")
    kept = f", {len(frozen)} frozen" if frozen else ""
    begin = f", {len(zero)} that start at zero tried with noise in their place" if zero else ""
    notes.ok(f"reach all {len(first.gradients)} parameters{kept}{begin}")
    return notes.verdict()


_INIT = "draw weights by He (ReLU) or Xavier (tanh), or put a norm between layers"


def _grade(notes: Notes, ratio: float, text: str, remedy: str) -> None:
    if ratio < FADE:
        (notes.fail if ratio < GONE else notes.warn)(text, remedy)


def _gradient(layers: list[Layer], name: str) -> float:
    return max((layer.gradient or 0.0 for layer in layers if layer.name == name), default=0.0)


def _silent(layers: list[Layer], name: str) -> float:
    return min((layer.silent for layer in layers if layer.name == name), default=0.0)
