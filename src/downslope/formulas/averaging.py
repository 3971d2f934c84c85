"""Rules that keep an average of the parameters."""

from __future__ import annotations

from ..compiler.functions import maximum, minimum, sqrt, where


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


def schedule_free_sgd(
    p, g, z="p", weight_sum=0, lr_max=0, *, t, lr=1.0, momentum=0.9, weight_decay=0, warmup_steps=0, r=0,
    weight_lr_power=2,
):  # fmt: skip
    """Defazio et al. 2024, arXiv:2405.15682, equations 3 to 5: no schedule, and an average where one would end.

    p is the point y, where gradients are taken; x, where the model is to be scored, is what the optimizer's `eval()`
    puts in its place. Settings and defaults are those of the authors' package schedulefree; its weight_sum and lr_max
    are one number each for a parameter here.
    """
    lr = lr * minimum(1, t / maximum(warmup_steps, 1))
    lr_max = maximum(lr, lr_max)
    weight = t**r * lr_max**weight_lr_power
    weight_sum = weight_sum + weight
    share = where(weight_sum > 0, weight / weight_sum, 0)
    step = lr * (g + weight_decay * p)
    p = p + share * (z - p) - (1 - momentum * (1 - share)) * step
    return p, z - step, weight_sum, lr_max


def schedule_free_adamw(
    p, g, z="p", exp_avg_sq=0, weight_sum=0, lr_max=0, *, t, lr=2.5e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0,
    warmup_steps=0, r=0, weight_lr_power=2,
):  # fmt: skip
    """Defazio et al. 2024, arXiv:2405.15682, Algorithm 1: schedule-free AdamW.

    p is the point y, where gradients are taken; x, where the model is to be scored, is what the optimizer's `eval()`
    puts in its place. Settings and defaults are those of the authors' package schedulefree, which applies the weight
    decay at y; its weight_sum and lr_max are one number each for a parameter here.
    """
    beta1, beta2 = betas
    lr = lr * minimum(1, t / maximum(warmup_steps, 1))
    lr_max = maximum(lr, lr_max)
    weight = t**r * lr_max**weight_lr_power
    weight_sum = weight_sum + weight
    share = where(weight_sum > 0, weight / weight_sum, 0)
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    v_hat = exp_avg_sq / (1 - beta2**t)
    step = lr * (g / (sqrt(v_hat) + eps) + weight_decay * p)
    p = p + share * (z - p) - (1 - beta1 * (1 - share)) * step
    return p, z - step, exp_avg_sq, weight_sum, lr_max
