"""Gradient descent and its momenta."""

from __future__ import annotations

from ..compiler.functions import where


def sgd(p, g, *, lr=1e-3):
    """Robbins & Monro 1951, Annals of Mathematical Statistics 22(3): p - lr * g.

    torch.optim.SGD without momentum; lr is torch's default.
    """
    return p - lr * g


def sgd_momentum(p, g, momentum_buffer=0, *, t, lr=1e-3, momentum=0.9, dampening=0):
    """Polyak 1964, USSR Computational Mathematics and Mathematical Physics 4(5), as torch.optim.SGD(momentum=) has it.

    Unlike Sutskever et al. 2013, equations 1 and 2, lr stands outside the buffer, so a new lr acts at once on the whole
    buffer. The buffer starts at the first gradient, which dampening leaves alone. torch's momentum is 0 by default.
    """
    momentum_buffer = where(t == 1, g, momentum * momentum_buffer + (1 - dampening) * g)
    return p - lr * momentum_buffer, momentum_buffer


def sgd_nesterov(p, g, momentum_buffer=0, *, lr=1e-3, momentum=0.9):
    """Sutskever et al. 2013, ICML, equations 3 and 4, as torch.optim.SGD(nesterov=True) has it.

    p holds the look-ahead point, and lr stands outside the buffer; with a constant lr it is `nag`. torch refuses
    dampening here, so the buffer needs no special first step.
    """
    momentum_buffer = momentum * momentum_buffer + g
    return p - lr * (g + momentum * momentum_buffer), momentum_buffer


def momentum(p, g, velocity=0, *, lr=0.01, momentum=0.9):
    """Sutskever et al. 2013, ICML, equations 1 and 2: the learning rate inside the velocity.

    A new lr acts on new gradients only; with a constant lr it is `sgd_momentum`. momentum=0.9 is the customary value
    (Ruder 2016, arXiv:1609.04747, section 4.1).
    """
    velocity = momentum * velocity + lr * g
    return p - velocity, velocity


def nag(p, g, velocity=0, *, lr=0.01, momentum=0.9):
    """Nesterov 1983, Soviet Mathematics Doklady 27(2), as Sutskever et al. 2013, ICML, equations 3 and 4, write it.

    Published: v' = momentum * v + lr * gradient(theta - momentum * v); theta' = theta - v'.
    Here p is the look-ahead point, p = theta - momentum * v, so that g is the gradient at p. Then
    p' = theta' - momentum * v' = p + momentum * v - v' - momentum * v' = p - lr * g - momentum * v'.
    This is exact while momentum is constant, whatever lr does. theta is p + momentum * velocity; v = 0 makes the first
    p the first theta.
    """
    velocity = momentum * velocity + lr * g
    return p - lr * g - momentum * velocity, velocity


def qhm(p, g, momentum_buffer=0, *, lr=1.0, momentum=0.999, nu=0.7):
    """Ma & Yarats 2019, arXiv:1810.06801, equations 3 and 4: quasi-hyperbolic momentum.

    The buffer is an average, not a sum: an lr of `sgd_momentum` is to be divided by 1 - its momentum. The defaults are
    those the authors recommend; their package qhoptim has none. nu=0 is `sgd`, nu=1 momentum.
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    return p - lr * ((1 - nu) * g + nu * momentum_buffer), momentum_buffer
