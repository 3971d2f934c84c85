"""Adam with each element's rate held in bounds, slowed down, or only partly adapted."""

from __future__ import annotations

from ..compiler.functions import abs, clip, exp, maximum, minimum, sqrt, where


def adabound(
    p, g, exp_avg=0, exp_avg_sq=0, base_lr=0, *, t, lr=1e-3, betas=(0.9, 0.999), final_lr=0.1, gamma=1e-3, eps=1e-8
):
    """Luo et al. 2019, arXiv:1902.09843, Algorithm 2: rates between bounds that close in on final_lr, from Adam to SGD.

    As the authors' code with its defaults: both averages are corrected, eps is added to the uncorrected root, and the
    rates are not divided by the root of t, as the paper divides them. final_lr follows the schedule of lr: it is
    multiplied by lr over the first lr above 0, where the authors' code has the constructor's.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    base_lr = where(base_lr == 0, lr, base_lr)
    final = where(base_lr > 0, final_lr * lr / base_lr, 0)
    lower, upper = final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t))
    step = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    return p - clip(step / (sqrt(exp_avg_sq) + eps), lower, upper) * exp_avg, exp_avg, exp_avg_sq, base_lr


def amsbound(
    p, g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, base_lr=0, *, t, lr=1e-3, betas=(0.9, 0.999), final_lr=0.1,
    gamma=1e-3, eps=1e-8,
):  # fmt: skip
    """Luo et al. 2019, arXiv:1902.09843, Algorithm 3: AdaBound whose second moment never falls, as AMSGrad's.

    As the authors' AdaBound(amsbound=True), with what `adabound` says.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    base_lr = where(base_lr == 0, lr, base_lr)
    final = where(base_lr > 0, final_lr * lr / base_lr, 0)
    lower, upper = final * (1 - 1 / (gamma * t + 1)), final * (1 + 1 / (gamma * t))
    step = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    p = p - clip(step / (sqrt(max_exp_avg_sq) + eps), lower, upper) * exp_avg
    return p, exp_avg, exp_avg_sq, max_exp_avg_sq, base_lr


def adamod(p, g, exp_avg=0, exp_avg_sq=0, exp_avg_lr=0, *, t, lr=1e-3, betas=(0.9, 0.999), gamma=0.999, eps=1e-8):
    """Ding et al. 2019, arXiv:1910.12249, Algorithm 1: no rate above the average of the rates before it.

    gamma is the paper's beta3. Names and defaults are the authors' code's, which like the paper corrects both averages;
    it adds eps to the uncorrected root, the paper to the corrected one.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    rate = lr * sqrt(1 - beta2**t) / (1 - beta1**t) / (sqrt(exp_avg_sq) + eps)
    exp_avg_lr = gamma * exp_avg_lr + (1 - gamma) * rate
    return p - minimum(rate, exp_avg_lr) * exp_avg, exp_avg, exp_avg_sq, exp_avg_lr


def padam(p, g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t, lr=1e-1, betas=(0.9, 0.999), partial=0.25, eps=1e-8):
    """Chen et al. 2018, arXiv:1806.06763, Algorithm 1: AMSGrad's second moment to a power between 0 and 1/2.

    partial is the paper's p: 1/2 is `amsgrad` but for eps, 0 momentum. As the authors' code with its defaults, which
    corrects both averages and adds eps to the root before the power; the paper has neither.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    step = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    p = p - step * exp_avg / (sqrt(max_exp_avg_sq) + eps) ** (2 * partial)
    return p, exp_avg, exp_avg_sq, max_exp_avg_sq


def diffgrad(p, g, exp_avg=0, exp_avg_sq=0, previous_grad=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """Dubey et al. 2020, arXiv:1909.11015, equation 9: Adam, up to twice as slow where the gradient hardly changes.

    As the authors' corrected code (diffGrad_v2), defaults included: eps is added to the uncorrected root. The gradient
    before the first is 0. The friction is a sigmoid of the change, which depends on the scale of the loss.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    friction = 1 / (1 + exp(-abs(previous_grad - g)))
    step = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    return p - step * friction * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq, g
