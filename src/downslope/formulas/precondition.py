"""Rules that precondition a matrix from both sides: what they learn of its rows and columns are square matrices."""

from __future__ import annotations

from ..compiler.functions import (
    abs,
    clip,
    column_max,
    diagonal,
    eigenvectors,
    exp,
    identity,
    inverse_root,
    maximum,
    mean,
    minimum,
    noise,
    permutation,
    qr,
    row_max,
    solve,
    spectral_bound,
    sqrt,
    upper_triangle,
    where,
)


def shampoo(
    p, g, left=0, right=0, left_root=0, right_root=0, momentum_buffer=0, *, t, lr=0.1, momentum=0.9, eps=1e-4,
    update_freq=10, weight_decay=0.0,
):  # fmt: skip
    """Gupta, Koren & Singer 2018, arXiv:1802.09568, Algorithm 1: each side divided by the fourth root of its squares.

    The sums begin at eps times the identity, and the roots are taken anew in every update_freq-th step, from the first
    on; section 5 takes the step from an average of gradients, as here. moskomule/shampoo.pytorch, whose lr and eps
    these are, has square roots and no average. Popular with `grafted=`, which gives it another rule's step length.
    """
    left = left + g @ g.T
    right = right + g.T @ g
    new = (t - 1) % update_freq == 0
    left_root = where(new, inverse_root(left + eps * identity(left), 4), left_root)
    right_root = where(new, inverse_root(right + eps * identity(right), 4), right_root)
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    step = left_root @ momentum_buffer @ right_root
    return p * (1 - lr * weight_decay) - lr * step, left, right, left_root, right_root, momentum_buffer


def soap(
    p, g, exp_avg=0, exp_avg_sq=0, left=0, right=0, left_basis=0, right_basis=0, *, t, lr=3e-3, betas=(0.95, 0.95),
    eps=1e-8, weight_decay=0.01, precondition_frequency=10,
):  # fmt: skip
    """Vyas et al. 2024, arXiv:2409.11321, Algorithm 3: Adam in the slowly turning eigenbasis of Shampoo's sums.

    As the authors' code with its defaults: the first step only learns the basis, which one step of orthogonal iteration
    turns in every precondition_frequency-th step; columns are sorted, and the second moment with them. The code leaves
    sides longer than 10,000 alone; here both sides are always turned.
    """
    beta1, beta2 = betas
    first, steps = t == 1, maximum(t - 1, 1)
    turns = (t > 1) & ((t - 1) % precondition_frequency == 0)
    exp_avg = where(first, 0 * g, beta1 * exp_avg + (1 - beta1) * g)
    square = where(first, 0 * g, beta2 * exp_avg_sq + (1 - beta2) * (left_basis.T @ g @ right_basis) ** 2)
    turned = left_basis.T @ exp_avg @ right_basis / (sqrt(square) + eps)
    rate = lr * sqrt(1 - beta2**steps) / (1 - beta1**steps)
    p = where(first, p, (p - rate * (left_basis @ turned @ right_basis.T)) * (1 - lr * weight_decay))
    left = beta2 * left + (1 - beta2) * (g @ g.T)
    right = beta2 * right + (1 - beta2) * (g.T @ g)
    left_order = permutation(diagonal(left_basis.T @ left @ left_basis))
    right_order = permutation(diagonal(right_basis.T @ right @ right_basis))
    exp_avg_sq = where(turns, left_order.T @ square @ right_order, square)
    left_basis = where(first, eigenvectors(left), where(turns, qr(left @ left_basis @ left_order), left_basis))
    right_basis = where(first, eigenvectors(right), where(turns, qr(right @ right_basis @ right_order), right_basis))
    return p, exp_avg, exp_avg_sq, left, right, left_basis, right_basis


def _nearer(q, a, b, precond_lr):
    """A factor after a step of the relative gradient, triangular as it is."""
    gradient = upper_triangle(a - b) / maximum(spectral_bound(a + b), 1e-37)
    return q - precond_lr * gradient @ q


def _largest(x):
    return row_max(column_max(abs(x)))


def kron(
    p, g, momentum_buffer=0, left="identity", right="identity", waited=0, *, t, lr=3e-4, b1=0.9, weight_decay=0.0,
    precond_lr=0.1, min_probability=0.03, flat_start=500, balance_every=100,
):  # fmt: skip
    """Li 2018, arXiv:1803.09383, PSGD with two triangular factors, fitted to the momentum: Kron.

    As kron-torch with its defaults. The factors learn in every step until flat_start, then ever more seldom, down to
    min_probability of the steps. They are balanced in every balance_every-th step, there in one of 100 by chance; the
    noise of the fit is a function of the step, and stays out of the update.
    """
    momentum_buffer = b1 * momentum_buffer + (1 - b1) * g
    average = momentum_buffer / (1 - b1**t)
    learns = (waited + 1) * clip(exp((flat_start + 1 - t) / 1000), min_probability, 1) >= 1
    balance = where(t % balance_every == 0, sqrt(_largest(right) / _largest(left)), 1)
    left, right = left * balance, right / balance
    v = noise(g, t)
    a = left @ (average + 2.0**-11.5 * mean(abs(average)) * v) @ right.T
    b = solve(right.T, solve(left.T, v).T).T
    left = where(learns, _nearer(left, a @ a.T, b @ b.T, precond_lr), left)
    right = where(learns, _nearer(right, a.T @ a, b.T @ b, precond_lr), right)
    step = left.T @ left @ average @ right.T @ right
    step = step * minimum(1, 1.1 / (sqrt(mean(step**2)) + 1e-12))
    p = p - lr * (step + weight_decay * p)
    return p, momentum_buffer, left, right, where(learns, 0, waited + 1)
