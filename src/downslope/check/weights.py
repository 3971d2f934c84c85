"""The scale of every layer's weights against the activation that follows, units that are all alike, useless biases."""

from __future__ import annotations

from statistics import median

import torch
from torch import nn

from ..training.data import Batch
from .context import Context
from .trace import awake, trace, traces
from .tree import double, rms
from .verdict import CannotTell, Notes, Verdict, listed

GAINS = {"relu": 2.0, "leaky_relu": 2.0, "prelu": 2.0, "gelu": 2.0, "silu": 2.0, "elu": 2.0, "mish": 2.0, "relu6": 2.0}
"""Fan-in times the variance of a weight that keeps the signal's size: 2 for half-wave activations (He et al. 2015,
eq. 10), 1 for those that are straight at zero and for none (Glorot & Bengio 2010)."""
LARGE = (10.0, 1000.0)
SMALL = 1e-3
"""Bounds of the measured over the expected. torch's own default is 1/3 of the variance that keeps a straight layer's
signal, 1/6 under ReLU, and trains; GPT-2's 0.02 is 1/40 at width 64."""


def weights(context: Context) -> Verdict:
    """Xavier or He: is each weight's variance that which its activation asks for? And do units differ?"""
    notes = Notes()
    runs = traces(context)
    alike = _alike(context)
    if alike:
        text = f"the units of {listed(alike)} start equal and are still equal after three steps"
        notes.fail(text, "draw the weights at random; equal units stay equal for ever")
    if not context.seeds_matter:
        notes.ok("the weights do not depend on the seed (trained before, or fixed): their scale is not judged")
        return notes.verdict()
    layers, zero = runs[0][0].layers, runs[0][1]
    judged = {}
    for i, layer in enumerate(layers):
        if layer.follows == "norm" or layer.function.startswith("conv_transpose") or f"{layer.name}.weight" in zero:
            continue
        variance = median(run.layers[i].weight.detach().double().square().mean().item() for run, _ in runs)
        judged[layer.name] = layer.weight[0].numel() * variance / GAINS.get(layer.follows, 1.0), layer.follows
    if not judged:
        raise CannotTell("every layer is followed by a norm, which sets the scale by itself")
    notes.figures = {"measured_over_expected": {name: ratio for name, (ratio, _) in judged.items()}}
    for name, (ratio, follows) in judged.items():
        rule = "He" if follows in GAINS else "Xavier"
        text = f"{name}: {ratio:.3g} times the variance of {rule} (before {follows or 'the output'})"
        remedy = f"draw it with torch.nn.init.{'kaiming' if rule == 'He' else 'xavier'}_normal_"
        if ratio > LARGE[0]:
            (notes.fail if ratio > LARGE[1] else notes.warn)(text, remedy)
        elif ratio < SMALL and name != layers[-1].name:
            notes.warn(text, remedy)
    ratios = [ratio for ratio, _ in judged.values()]
    spread = f"from {min(ratios):.2g} to {max(ratios):.2g}" if len(ratios) > 1 else f"{ratios[0]:.2g}"
    notes.ok(f"variance over that of He or Xavier {spread} in {len(judged)} layers (torch's default: 0.17 to 0.33)")
    return notes.verdict()


def _alike(context: Context) -> list[str]:
    """Weights whose units start equal and stay equal in training."""

    def equal(p: torch.Tensor) -> bool:
        return p.ndim > 1 and len(p) > 1 and p.requires_grad and bool((p == p[:1]).all())

    model = context.model()
    names = [name for name, p in model.named_parameters() if equal(p)]
    if not names:
        return []
    inner = names if len(names) < len([p for p in model.parameters() if p.ndim > 1]) else names[:-1] or names
    context.train(model, lambda ps: torch.optim.Adam(ps, lr=1e-2), context.batches(), 3)
    after = dict(model.named_parameters())
    return [name for name in inner if equal(after[name])]


def biases(context: Context) -> Verdict:
    """Biases that the norm behind them takes away: moving them changes nothing, and they get no gradient."""
    model, batch, same = _precise(context)
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._NormBase)]
    found = [n for n, p in model.named_parameters() if n.endswith("bias") and p.ndim == 1 and p.requires_grad]
    if not found:
        return _said("no layer has a bias")
    seen = trace(context, model, batch)
    parameters = dict(model.named_parameters())
    scale = max((rms(g) for g in seen.gradients.values() if g is not None), default=0.0)
    quiet = [n for n in found if (g := seen.gradients[n]) is not None and rms(g) < same * scale]
    cancelled = []
    for name in quiet:
        p = parameters[name]
        with torch.no_grad():
            kept = p.clone()
            p.add_(torch.randn_like(p))
            moved = context.loss(model, batch).item()
            p.copy_(kept)
        if abs(moved - seen.loss) <= same * max(1e-12, abs(seen.loss)):
            cancelled.append(name)
    notes = Notes()
    notes.figures = {"cancelled": cancelled, "biases": len(found)}
    if cancelled and norms:
        notes.warn(f"{listed(cancelled)}: moved by 1, the loss stays the same; the norm behind takes it away",
                   "give the layers before a norm bias=False")  # fmt: skip
    elif cancelled:
        notes.warn(f"{listed(cancelled)}: moved by 1, the loss stays the same", "leave these biases out")
    notes.ok(f"all {len(found)} biases change the loss")
    return notes.verdict()


def _precise(context: Context) -> tuple[nn.Module, Batch, float]:
    """A model and batch in float64 where the task runs in it, and how near two losses are then the same."""
    batch = context.few(64)
    model, _ = awake(context.model())
    try:
        finer = model.double(), (double(batch[0]), double(batch[1]))
        context.loss(*finer)
    except Exception:  # such as a loss with float32 constants
        return awake(context.model())[0], batch, 1e-5
    return *finer, 1e-7


def _said(text: str) -> Verdict:
    notes = Notes()
    notes.ok(text)
    return notes.verdict()
