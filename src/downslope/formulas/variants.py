"""Adam with its parts in another order, or its gradient corrected on the way in."""

from __future__ import annotations

from ..compiler.functions import atan2, maximum, sqrt, where


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


def adamd(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """St John 2021, arXiv:2110.10828, AdamD: Adam that corrects its second moment alone.

    The uncorrected first average makes the first steps short, as a warm-up does. Defaults are Adam's.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    return p - lr * exp_avg / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps), exp_avg, exp_avg_sq


def adam_atan2(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), a=1.27, b=1.0):
    """Everett et al. 2024, arXiv:2407.05872, section 5, Adam-atan2: no eps, and an update that cannot exceed a * pi/2.

    atan2 does not change when both averages are multiplied by a number, and is 0 where both are 0. a=1.27 makes an
    update of one standard deviation as long as Adam's; a and b are those of the package adam-atan2-pytorch.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    m_hat = exp_avg / (1 - beta1**t)
    v_hat = exp_avg_sq / (1 - beta2**t)
    return p - lr * a * atan2(m_hat, b * sqrt(v_hat)), exp_avg, exp_avg_sq


def adax(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 1e-4), eps=1e-12):
    """Li et al. 2020, arXiv:2004.09740, Algorithm 1: a second moment that remembers the past ever more strongly.

    betas and eps are the authors', lr is Adam's. exp_avg_sq grows by 1 + beta2 in each step, 2.7 times in 10,000; as
    in the paper it is corrected, and the first average is not.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = (1 + beta2) * exp_avg_sq + beta2 * g**2
    return p - lr * exp_avg / (sqrt(exp_avg_sq / ((1 + beta2) ** t - 1)) + eps), exp_avg, exp_avg_sq
