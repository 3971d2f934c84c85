"""Rules that find their own step length: distances and gradients of all tensors together say how far it is."""

from __future__ import annotations

from ..compiler.functions import abs, maximum, norm, overall, sqrt, sum, where


def dog(p, g, x0="p", rbar=0, grad_sum="eps", *, t, lr=1.0, reps_rel=1e-6, eps=1e-8, weight_decay=0.0):
    """Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, DoG: the distance from the start over the gradients' norm.

    As the authors' code (dog-optimizer) with its defaults, over all tensors of the optimizer, there of a param group.
    The authors ask for an average of the iterates: `ema=`.
    """
    g = g + weight_decay * p
    distance = sqrt(overall(norm(p - x0) ** 2))
    rbar = where(t == 1, reps_rel * (1 + sqrt(overall(norm(p) ** 2))), maximum(rbar, distance))
    grad_sum = grad_sum + overall(norm(g) ** 2)
    return p - lr * rbar / sqrt(grad_sum) * g, x0, rbar, grad_sum


def ldog(p, g, x0="p", rbar=0, grad_sum="eps", *, t, lr=1.0, reps_rel=1e-6, eps=1e-8, weight_decay=0.0):
    """Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, L-DoG: DoG for each tensor by itself.

    As the authors' code (dog-optimizer) with its defaults. The authors ask for an average of the iterates: `ema=`.
    """
    g = g + weight_decay * p
    rbar = where(t == 1, reps_rel * (1 + norm(p)), maximum(rbar, norm(p - x0)))
    grad_sum = grad_sum + norm(g) ** 2
    return p - lr * rbar / sqrt(grad_sum) * g, x0, rbar, grad_sum


def dadapt_sgd(
    p, g, s=0, x0="p", numerator_weighted=0, d="d0", g0_norm=0, *, lr=1.0, momentum=0.0, d0=1e-6, weight_decay=0.0
):
    """Defazio & Mishchenko 2023, arXiv:2301.07733, D-Adaptation for SGD: a lower bound of the distance is the rate.

    As the authors' code (dadaptation) with its defaults, but for growth_rate: warm up with a schedule on lr instead.
    The decay is coupled, and no part of the first gradient's norm.
    """
    g0_norm = where(g0_norm == 0, sqrt(overall(norm(g) ** 2)), g0_norm)
    g = g + weight_decay * p
    rate = where(g0_norm > 0, d * lr / g0_norm, 0)
    numerator_weighted = numerator_weighted + rate * overall(sum(g * s))
    s = s + rate * g
    length = sqrt(overall(norm(s) ** 2))
    d = where(length > 0, maximum(d, 2 * numerator_weighted / length), d)
    return momentum * p + (1 - momentum) * (x0 - s), s, x0, numerator_weighted, d, g0_norm


def dadapt_adam(
    p, g, exp_avg=0, exp_avg_sq=0, s=0, numerator_weighted=0, d="d0", *, lr=1.0, betas=(0.9, 0.999), eps=1e-8,
    d0=1e-6, weight_decay=0.0,
):  # fmt: skip
    """Defazio & Mishchenko 2023, arXiv:2301.07733, D-Adaptation for Adam: a lower bound of the distance is the rate.

    As the authors' code (dadaptation, decouple=True) with its defaults, but for growth_rate and the bias correction:
    warm up with a schedule on lr instead. The decay is decoupled, at the rate d times lr.
    """
    beta1, beta2 = betas
    keep, rate = sqrt(beta2), d * lr
    gain = overall(sum(g * s / (sqrt(exp_avg_sq) + eps)))
    numerator_weighted = keep * numerator_weighted + (1 - keep) * rate * gain
    exp_avg = beta1 * exp_avg + (1 - beta1) * rate * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    s = keep * s + (1 - keep) * rate * g
    length = overall(sum(abs(s)))
    d = where(length > 0, maximum(d, numerator_weighted / ((1 - keep) * length)), d)
    p = p * (1 - rate * weight_decay) - exp_avg / (sqrt(exp_avg_sq) + eps)
    return p, exp_avg, exp_avg_sq, s, numerator_weighted, d


def prodigy(
    p, g, exp_avg=0, exp_avg_sq=0, s=0, p0="p", d="d0", d_numerator=0, *, lr=1.0, betas=(0.9, 0.999), eps=1e-8,
    weight_decay=0.0, d0=1e-6, d_coef=1.0,
):  # fmt: skip
    """Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4: D-Adaptation for Adam that forgets its first steps.

    As the authors' code (prodigyopt) with its defaults, but for growth_rate, safeguard_warmup and the bias correction:
    warm up with a schedule on lr instead. The decay is decoupled, at the rate d times lr.
    """
    beta1, beta2 = betas
    keep, rate, scale = sqrt(beta2), d * lr, d / d0
    exp_avg = beta1 * exp_avg + (1 - beta1) * d * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * d**2 * g**2
    s = keep * s + scale * rate * g
    d_numerator = keep * d_numerator + scale * rate * overall(sum(g * (p0 - p)))
    length = overall(sum(abs(s)))
    d = where(length > 0, maximum(d, d_coef * d_numerator / length), d)
    p = p * (1 - rate * weight_decay) - rate * exp_avg / (sqrt(exp_avg_sq) + d * eps)
    return p, exp_avg, exp_avg_sq, s, p0, d, d_numerator
