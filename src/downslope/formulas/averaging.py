"""Rules that keep an average of the parameters."""

from __future__ import annotations

from ..compiler.functions import maximum, where


def asgd(p, g, eta="lr", mu=1, ax=0, *, t, lr=1e-2, lambd=1e-4, alpha=0.75, t0=1e6):
    """Polyak & Juditsky 1992, SIAM Journal on Control and Optimization 30(4), and Xu 2011, arXiv:1107.2490.

    The average is the former's, the rates are the latter's; settings, states and defaults are torch.optim.ASGD's.
    ax, the average of p from step t0 on, is kept but not used by the step. eta and mu, one number each for a parameter,
    are those of the next step, so a new lr acts one step later. lambd decays p in each step.
    """
    p = p * (1 - lambd * eta) - eta * g
    ax = where(mu == 1, p, ax + (p - ax) * mu)
    eta = lr / (1 + lambd * lr * t) ** alpha
    mu = 1 / maximum(1, t - t0)
    return p, eta, mu, ax
