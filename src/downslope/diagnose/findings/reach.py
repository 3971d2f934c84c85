"""Parameters that training does not reach."""

from __future__ import annotations

import math
from statistics import median
from typing import Any

import numpy as np

from ..finding import Finding
from ..signals import Signals


def not_in_optimizer(s: Signals) -> Finding | None:
    """They ask for a gradient and are in the loss's graph, but nothing moves them. Frozen ones do not ask."""
    now, then = s.facts.get("versions_now"), s.facts["versions"]
    if s.steps < 5 or now is None:
        return None
    still = [
        p.name
        for p, a, b in zip(s.parameters, then, now)
        if p.asks and not p.trained and p.order >= 0 and a == b  # else another optimizer has them
    ]
    if not still:
        return _unregistered(s)
    total = sum(np.prod(p.shape) for p in s.parameters if p.asks)
    share = sum(np.prod(p.shape) for p in s.parameters if p.name in still) / max(1, total)
    return Finding(
        "parameters-not-in-optimizer",
        f"{len(still)} parameters that get gradients are in no optimizer ({listed(still)}), {share:.0%} of all",
        "the optimizer was made from a part of the model, or before a layer was added or replaced",
        "make the optimizer from model.parameters() after the model is whole; freeze what is to stay by "
        "requires_grad_(False)",
        since_step=0,
        confidence=0.85,
        evidence={"parameters": still, "share": float(share)},
    )


def _unregistered(s: Signals) -> Finding | None:
    """The loss has parameters that are not the model's, and nobody moves them."""
    held = [(p, version) for ref, version in s.facts.get("strangers", ()) if (p := ref()) is not None]
    still = [tuple(p.shape) for p, version in held if p._version == version]
    if not still:
        return None
    return Finding(
        "parameters-not-in-optimizer",
        f"the loss has {len(still)} parameters that model.parameters() does not give, of shapes "
        f"{listed([str(shape) for shape in still])}; nothing moves them",
        "layers are kept in a plain list or dictionary, or made outside the model",
        "keep them in torch.nn.ModuleList or ModuleDict, before the optimizer is made",
        since_step=0,
        confidence=0.9,
        evidence={"shapes": [list(shape) for shape in still]},
    )


def no_gradient(s: Signals) -> Finding | None:
    """In the optimizer and never a gradient: None, or zero throughout, in all samples.

    Excused: a bias before a batch norm (its gradient is zero but for rounding), an embedding, what starts behind a
    weight of zeros as residual branches do (its gradient comes later), and where all gradients are zero."""
    if len(s.samples) < 5 or s.steps < 20:
        return None
    grads = np.stack([sample.grad for sample in s.samples])
    last = grads[len(grads) // 2 :]
    if not (np.nan_to_num(last) > 0).any():
        return _none_at_all(s, grads)
    found, absent = [], []
    for i, p in enumerate(s.parameters):
        if (
            not p.trained
            or not p.asks
            or p.kind == "embedding"
            or (p.kind == "bias" and p.follows in ("batchnorm", "norm"))
        ):
            continue
        if np.isnan(grads[:, i]).all():
            absent.append(p.name)
        elif p.kind in ("weight", "norm") and p.order >= 0 and not (np.nan_to_num(grads[:, i]) > 0).any():
            found.append(p.name)
    relu = {p.name for p in s.parameters if p.follows == "relu"}
    if any(all(r.all() for r in rows) for name, rows in s.dead.items() if name in relu):
        found = []  # nothing comes through a layer whose units are all dead: that is said by itself
    if not absent and not found:
        return None
    names = absent or found
    how = "never got a gradient" if absent else "got a gradient of zero at every step"
    return Finding(
        "no-gradient",
        f"{len(names)} parameters in the optimizer {how}: {listed(names)}",
        "the loss does not depend on them: the layer is not used in forward, or detach(), .data, no_grad() or an "
        "operation without a slope (argmax, round, a comparison) cuts them off",
        "use them in forward, remove what cuts the graph, or freeze them on purpose",
        since_step=0,
        confidence=0.9,
        severe=len(names) > 1 or bool(found),
        evidence={"none": absent, "zero": found},
    )


def _none_at_all(s: Signals, grads: Any) -> Finding | None:
    """The optimizer never saw a gradient, though backward made some: they were cleared in between."""
    made = [x.before_clip for x in s.samples if math.isfinite(x.before_clip)]
    if (np.nan_to_num(grads) > 0).any() or not made or not median(made) > 0:
        return None
    return Finding(
        "no-gradient",
        f"no parameter had a gradient in any of {len(grads)} steps that were looked at, though backward made them",
        "optimizer.zero_grad() stands between backward and step",
        "call zero_grad() before backward, or after step",
        since_step=0,
        confidence=0.98,
        evidence={"steps": len(grads), "norm after backward": median(made)},
    )


def listed(names: list[str], limit: int = 4) -> str:
    """Some names in words."""
    return ", ".join(names[:limit]) + (f" and {len(names) - limit} more" if len(names) > limit else "")
