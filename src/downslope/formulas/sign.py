"""Steps that follow the sign of a gradient, not its size."""

from __future__ import annotations

from ..compiler.functions import clip, sign, where


def rprop(p, g, prev=0, step_size="lr", *, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    """Riedmiller & Braun 1993, IEEE ICNN, as Igel & Huesken 2003, Neurocomputing 50, simplify it (iRprop-).

    Settings, states and defaults are torch.optim.Rprop's; lr is only where the step sizes start. After a change of sign
    there is no step and no memory; the paper of 1993 takes its last step back. For whole batches, not for small ones.
    """
    agree = g * prev
    step_size = clip(step_size * where(agree > 0, etas[1], where(agree < 0, etas[0], 1)), step_sizes[0], step_sizes[1])
    prev = where(agree < 0, 0, g)
    return p - sign(prev) * step_size, prev, step_size


def signum(p, g, momentum_buffer=0, *, lr=1e-2, momentum=0.9):
    """Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2: the sign of an average of gradients.

    Defaults are those of the authors' code (MXNet); each element moves by lr in each step, so lr is far smaller in
    practice. momentum=0 is signSGD, Algorithm 1.
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    return p - lr * sign(momentum_buffer), momentum_buffer


def lion(p, g, exp_avg=0, *, lr=1e-4, betas=(0.9, 0.99), weight_decay=0):
    """Chen et al. 2023, arXiv:2302.06675, Algorithm 2.

    Defaults are the authors' code's. beta1 mixes the step, beta2 the average that is kept, and the step sees the old
    average. The authors advise an lr 3 to 10 times below AdamW's and a weight_decay as many times above.
    """
    beta1, beta2 = betas
    update = sign(beta1 * exp_avg + (1 - beta1) * g)
    exp_avg = beta2 * exp_avg + (1 - beta2) * g
    return p - lr * (update + weight_decay * p), exp_avg
