"""Gradient descent and its momenta."""

from __future__ import annotations

from ..compiler.functions import sqrt, where


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


def aggmo(p, g, v1=0, v2=0, v3=0, *, lr=0.1, betas=(0.0, 0.9, 0.99)):
    """Lucas et al. 2019, arXiv:1804.00325, equation 2: the mean of three momenta, slow ones held back by fast ones.

    betas are the paper's and its authors' code's default, which has any number of them and no default for lr: 0.1 is
    where the paper's experiments look first. The velocities are sums, as in `sgd_momentum`.
    """
    v1 = betas[0] * v1 + g
    v2 = betas[1] * v2 + g
    v3 = betas[2] * v3 + g
    return p - lr / 3 * (v1 + v2 + v3), v1, v2, v3


def accsgd(p, g, momentum_buffer="p", *, lr=1e-2, kappa=1000.0, xi=10.0, constant=0.7):
    """Kidambi et al. 2018, arXiv:1803.05591, Algorithm 1: a short and a long step, and an average of both.

    As the authors' code with its defaults but for lr, which has none there; constant is its smallConst. kappa is the
    ratio of the long step to the short one, xi the statistical advantage, at most the root of kappa.
    """
    alpha = 1 - constant**2 * xi / kappa
    beta = 1 - alpha
    zeta = constant / (constant + beta)
    momentum_buffer = alpha * momentum_buffer + beta * (p - lr * kappa / constant * g)
    return zeta * (p - lr * g) + (1 - zeta) * momentum_buffer, momentum_buffer


def pid(p, g, i_buffer=0, d_buffer=0, grad_buffer=0, *, t, lr=1e-3, momentum=0.9, integral=5.0, derivative=10.0):
    """An et al. 2018, CVPR, "A PID controller approach for stochastic optimization of deep networks", equation 13.

    As the authors' code, whose I=5 and D=10 are the defaults here; its momentum has none and is 0.9 in its example. The
    gradient is the proportional term, momentum the integral one, and an average of its changes the derivative one; the
    first change is 0.
    """
    i_buffer = momentum * i_buffer + g
    d_buffer = momentum * d_buffer + (1 - momentum) * where(t == 1, 0, g - grad_buffer)
    return p - lr * (g + integral * i_buffer + derivative * d_buffer), i_buffer, d_buffer, g


def pnm(p, g, pos_momentum=0, neg_momentum=0, *, lr=1e-2, betas=(0.9, 1.0)):
    """Xie et al. 2021, arXiv:2103.17182, Algorithm 1: positive-negative momentum, which makes the noise larger.

    A momentum of the even steps and one of the odd, of which one is taken away from the other. As the authors' code
    with its betas; beta2 is the paper's beta0. lr has no default there. pos_momentum is that of this step, neg_momentum
    that of the step before; the authors' code swaps the tensors instead.
    """
    beta1, beta2 = betas
    now = beta1**2 * neg_momentum + (1 - beta1**2) * g
    direction = ((1 + beta2) * now - beta2 * pos_momentum) / sqrt((1 + beta2) ** 2 + beta2**2)
    return p - lr * direction, now, pos_momentum


def sgdw(p, g, m=0, *, lr=0.01, momentum=0.9, weight_decay=1e-2):
    """Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 1: momentum with decoupled weight decay, SGDW.

    lr stands inside the momentum, and lr and momentum are those of `momentum`. The paper multiplies the decay by its
    schedule alone; here it is multiplied by lr, as in torch.optim.AdamW, whose weight_decay it has.
    """
    m = momentum * m + lr * g
    return p - m - lr * weight_decay * p, m
