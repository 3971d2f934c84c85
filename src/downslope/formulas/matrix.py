"""Rules that see a parameter as a matrix: its first dimension the rows, all others the columns."""

from __future__ import annotations

from ..compiler.functions import columns, maximum, newton_schulz, rows, sqrt

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def muon(
    p, g, momentum_buffer=0, *, lr=1e-3, weight_decay=0.1, momentum=0.95, ns_coefficients=COEFFICIENTS, eps=1e-7,
    ns_steps=5,
):  # fmt: skip
    """Jordan et al. 2024, kellerjordan.github.io/posts/muon: the momentum, made orthogonal.

    torch.optim.Muon, whose defaults these are; its author's code has lr=0.02 and no weight decay. Both iterate in
    bfloat16, which rounds the direction by about 1 %; here it has the parameter's precision. Convolutions, which torch
    refuses, are matrices of one row for each output channel, as the author's code has them.
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    direction = newton_schulz((1 - momentum) * g + momentum * momentum_buffer, ns_coefficients, ns_steps, eps)
    scale = sqrt(maximum(1, rows(p) / columns(p)))
    return p * (1 - lr * weight_decay) - lr * scale * direction, momentum_buffer


def muon_polyak(
    p, g, momentum_buffer=0, *, lr=1e-3, weight_decay=0.1, momentum=0.95, ns_coefficients=COEFFICIENTS, eps=1e-7,
    ns_steps=5,
):  # fmt: skip
    """Jordan et al. 2024, kellerjordan.github.io/posts/muon, without Nesterov's look-ahead.

    torch.optim.Muon(nesterov=False).
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    direction = newton_schulz(momentum_buffer, ns_coefficients, ns_steps, eps)
    scale = sqrt(maximum(1, rows(p) / columns(p)))
    return p * (1 - lr * weight_decay) - lr * scale * direction, momentum_buffer


def moonlight(
    p, g, momentum_buffer=0, *, lr=1e-3, weight_decay=0.1, momentum=0.95, ns_coefficients=COEFFICIENTS, eps=1e-7,
    ns_steps=5,
):  # fmt: skip
    """Liu et al. 2025, arXiv:2502.16982, equation 4: Muon with steps as long as AdamW's, whose lr and decay it shares.

    torch.optim.Muon(adjust_lr_fn="match_rms_adamw"). 0.2 is the root mean square of AdamW's updates that they found.
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    direction = newton_schulz((1 - momentum) * g + momentum * momentum_buffer, ns_coefficients, ns_steps, eps)
    scale = 0.2 * sqrt(maximum(rows(p), columns(p)))
    return p * (1 - lr * weight_decay) - lr * scale * direction, momentum_buffer


def moonlight_polyak(
    p, g, momentum_buffer=0, *, lr=1e-3, weight_decay=0.1, momentum=0.95, ns_coefficients=COEFFICIENTS, eps=1e-7,
    ns_steps=5,
):  # fmt: skip
    """Liu et al. 2025, arXiv:2502.16982, equation 4, without Nesterov's look-ahead.

    torch.optim.Muon(nesterov=False, adjust_lr_fn="match_rms_adamw").
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    direction = newton_schulz(momentum_buffer, ns_coefficients, ns_steps, eps)
    scale = 0.2 * sqrt(maximum(rows(p), columns(p)))
    return p * (1 - lr * weight_decay) - lr * scale * direction, momentum_buffer
