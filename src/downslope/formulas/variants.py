"""Adam with its parts in another order, or its gradient corrected on the way in."""

from __future__ import annotations

from ..compiler.functions import maximum, sqrt, where


def nadamw(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    """Dahl et al. 2023, arXiv:2306.07179, the baseline of AlgoPerf: AdamW with Nesterov's look-ahead.

    Defaults are those of the benchmark's code. Unlike `nadam` it has no schedule of momenta, and what is ahead is
    corrected as the average itself is.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    m_hat = (beta1 * exp_avg + (1 - beta1) * g) / (1 - beta1**t)
    v_hat = exp_avg_sq / (1 - beta2**t)
    return p * (1 - lr * weight_decay) - lr * m_hat / (sqrt(v_hat) + eps), exp_avg, exp_avg_sq


def laprop(p, g, exp_avg=0, exp_avg_sq=0, exp_avg_lr=0, *, t, lr=4e-4, betas=(0.9, 0.999), eps=1e-15):
    """Ziyin, Wang & Ueda 2020, arXiv:2002.04839, Algorithm 1: Adam's momentum, of gradients that are scaled already.

    As the authors' code with its defaults. lr stands inside the momentum, which exp_avg_lr, the average of the lr so
    far, corrects: with a constant lr that is the paper's 1 - beta1**t. The authors'
    weight decay, after the step and not multiplied by lr, is left out.
    """
    beta1, beta2 = betas
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    exp_avg = beta1 * exp_avg + (1 - beta1) * lr * g / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps)
    exp_avg_lr = beta1 * exp_avg_lr + (1 - beta1) * lr
    return p - where(lr == 0, 1, lr / exp_avg_lr) * exp_avg, exp_avg, exp_avg_sq, exp_avg_lr


def adapnm(
    p, g, exp_avg=0, neg_exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999, 1.0), eps=1e-8
):
    """Xie et al. 2021, arXiv:2103.17182, Algorithm 2: AMSGrad with the momentum of `pnm`.

    As the authors' AdaPNM with its defaults; beta3 is the paper's beta0, how much of the other momentum is taken away.
    exp_avg is the momentum of this step, neg_exp_avg that of the step before; the authors' code swaps the tensors
    instead. The momentum is divided by 1 - beta1**t, as there, although it remembers with beta1**2.
    """
    beta1, beta2, beta3 = betas
    now = beta1**2 * neg_exp_avg + (1 - beta1**2) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    update = ((1 + beta3) * now - beta3 * exp_avg) / sqrt((1 + beta3) ** 2 + beta3**2) / (1 - beta1**t)
    p = p - lr * update / (sqrt(max_exp_avg_sq / (1 - beta2**t)) + eps)
    return p, now, exp_avg, exp_avg_sq, max_exp_avg_sq
