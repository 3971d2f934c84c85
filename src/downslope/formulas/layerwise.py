"""Rules that look at a parameter as a whole: at its norm, at its gradient's, at the size of the update."""

from __future__ import annotations

from ..compiler.functions import maximum, mean, minimum, norm, sqrt, where


def lars(p, g, momentum_buffer=0, *, lr=0.1, momentum=0.9, weight_decay=0, trust_coefficient=1e-3):
    """You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1: steps in proportion to the parameter's norm.

    momentum and trust_coefficient (the paper's eta) are the paper's, its weight_decay is 5e-4; lr, inside the momentum,
    has no default there. Where a norm is 0 the trust ratio is 1, as in the authors' code. Biases and norms, which most
    code leaves to plain momentum, are treated alike here: give them another rule by `Route`.
    """
    param_norm, grad_norm = norm(p), norm(g)
    trust = where(
        (param_norm > 0) & (grad_norm > 0), trust_coefficient * param_norm / (grad_norm + weight_decay * param_norm), 1
    )
    momentum_buffer = momentum * momentum_buffer + lr * trust * (g + weight_decay * p)
    return p - momentum_buffer, momentum_buffer


def lamb(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
    """You et al. 2020, arXiv:1904.00962, Algorithm 2: AdamW's update, stretched to the length of the parameter.

    betas, eps and weight_decay are those of the paper's BERT, lr is Adam's. Both averages are corrected, as in the
    paper; its authors' first code, and pytorch_optimizer, correct neither and clamp the parameter's norm to 10. The
    ratio is 1 where a norm is 0. Biases and norms, whose decay and ratio the authors leave out, are treated alike here.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    update = exp_avg / (1 - beta1**t) / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps) + weight_decay * p
    param_norm, update_norm = norm(p), norm(update)
    trust = where((param_norm > 0) & (update_norm > 0), param_norm / update_norm, 1)
    return p - lr * trust * update, exp_avg, exp_avg_sq


def novograd(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.95, 0.98), eps=1e-8, weight_decay=0):
    """Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1: Adam with one second moment for a whole tensor.

    Names and defaults are the authors' code's (NeMo). exp_avg_sq, one number for each parameter, begins at the first
    norm, and the momentum is a sum: nothing is corrected. The decay goes into the momentum after the division.
    """
    beta1, beta2 = betas
    exp_avg_sq = where(t == 1, norm(g) ** 2, beta2 * exp_avg_sq + (1 - beta2) * norm(g) ** 2)
    exp_avg = beta1 * exp_avg + g / (sqrt(exp_avg_sq) + eps) + weight_decay * p
    return p - lr * exp_avg, exp_avg, exp_avg_sq


def fromage(p, g, *, lr=0.01):
    """Bernstein et al. 2020, arXiv:2002.03432, Algorithm 1: a step of lr times the parameter's norm, then shrinking.

    As the authors' code with its default. The division keeps the norm where the step stands upright on it; where
    a norm is 0 the step is plain gradient descent's.
    """
    param_norm, grad_norm = norm(p), norm(g)
    scale = where((param_norm > 0) & (grad_norm > 0), param_norm / grad_norm, 1)
    return (p - lr * scale * g) / sqrt(1 + lr**2)


def adamnorm(p, g, exp_avg=0, exp_avg_var=0, exp_grad_norm=0, *, t, lr=1e-3, betas=(0.9, 0.999), r=0.95, eps=1e-8):
    """Dubey, Singh & Chaudhuri 2022, arXiv:2210.06364, Algorithm 2: Adam with small gradients stretched to the average.

    The momentum sees the gradient with a norm that is at least exp_grad_norm, the average of the norms so far, one
    number for each parameter; the second moment sees it as it is. As the authors' code with its defaults (r, the
    paper's gamma, is fixed there), in which eps is added to the second moment in each step, as AdaBelief does, and once
    more to the root.
    """
    beta1, beta2 = betas
    grad_norm = norm(g)
    exp_grad_norm = r * exp_grad_norm + (1 - r) * grad_norm
    stretch = where((exp_grad_norm > grad_norm) & (grad_norm > 0), exp_grad_norm / grad_norm, 1)
    exp_avg = beta1 * exp_avg + (1 - beta1) * stretch * g
    exp_avg_var = beta2 * exp_avg_var + (1 - beta2) * g**2 + eps
    step = lr / (1 - beta1**t) * exp_avg / (sqrt(exp_avg_var / (1 - beta2**t)) + eps)
    return p - step, exp_avg, exp_avg_var, exp_grad_norm


def stableadamw(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.01):
    """Wortsman et al. 2023, arXiv:2304.13013, Algorithm 2: AdamW, slower where squares outgrow their average.

    The rate of a tensor is divided by the root mean square of g / sqrt(exp_avg_sq), at least 1: Adafactor's clipping.
    The averages are those with a correction inside, as in the paper; the decay follows the reduced rate. Defaults are
    pytorch_optimizer's; the paper has beta2=0.99 as well, and an eps of 1e-6.
    """
    beta1, beta2 = betas
    keep1 = beta1 * (1 - beta1 ** (t - 1)) / (1 - beta1**t)
    keep2 = beta2 * (1 - beta2 ** (t - 1)) / (1 - beta2**t)
    exp_avg = keep1 * exp_avg + (1 - keep1) * g
    exp_avg_sq = keep2 * exp_avg_sq + (1 - keep2) * g**2
    rate = lr / maximum(1, sqrt(mean(g**2 / maximum(exp_avg_sq, eps**2))))
    return p * (1 - rate * weight_decay) - rate * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


def mars(
    p, g, exp_avg=0, exp_avg_sq=0, last_grad=0, *, t, lr=3e-3, betas=(0.95, 0.99), gamma=0.025, eps=1e-8,
    weight_decay=0,
):  # fmt: skip
    """Yuan et al. 2024, arXiv:2411.10438, Algorithm 3: AdamW of gradients with their variance reduced, MARS-AdamW.

    As the authors' code with its defaults: the form that sees one gradient in each step, the gradient before the first
    is 0, and the corrected gradient's norm is clipped to 1, tensor by tensor. The authors leave tensors of one
    dimension to AdamW unless optimize_1d is set; here all are treated alike.
    """
    beta1, beta2 = betas
    corrected = g + gamma * beta1 / (1 - beta1) * (g - last_grad)
    corrected = corrected * minimum(1, 1 / norm(corrected))
    exp_avg = beta1 * exp_avg + (1 - beta1) * corrected
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * corrected**2
    update = exp_avg / (1 - beta1**t) / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps)
    return p - lr * (update + weight_decay * p), exp_avg, exp_avg_sq, g
