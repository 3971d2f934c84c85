"""Steps that follow the sign of a gradient, not its size."""

from __future__ import annotations

from ..compiler.functions import abs, clip, sign, sqrt, where


def rprop(p, g, prev=0, step_size="lr", *, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    """Riedmiller & Braun 1993, IEEE ICNN, as Igel & Huesken 2003, Neurocomputing 50, simplify it (iRprop-).

    Settings, states and defaults are torch.optim.Rprop's; lr is only where the step sizes start. After a change of sign
    there is no step and no memory; the paper of 1993 takes its last step back. For whole batches, not for small ones.
    """
    agree = g * prev
    step_size = clip(step_size * where(agree > 0, etas[1], where(agree < 0, etas[0], 1)), step_sizes[0], step_sizes[1])
    prev = where(agree < 0, 0, g)
    return p - sign(prev) * step_size, prev, step_size


def signum(p, g, momentum_buffer=0, *, lr=1e-2, momentum=0.9):
    """Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2: the sign of an average of gradients.

    Defaults are those of the authors' code (MXNet); each element moves by lr in each step, so lr is far smaller in
    practice. momentum=0 is signSGD, Algorithm 1.
    """
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g
    return p - lr * sign(momentum_buffer), momentum_buffer


def lion(p, g, exp_avg=0, *, lr=1e-4, betas=(0.9, 0.99), weight_decay=0):
    """Chen et al. 2023, arXiv:2302.06675, Algorithm 2.

    Defaults are the authors' code's. beta1 mixes the step, beta2 the average that is kept, and the step sees the old
    average. The authors advise an lr 3 to 10 times below AdamW's and a weight_decay as many times above.
    """
    beta1, beta2 = betas
    update = sign(beta1 * exp_avg + (1 - beta1) * g)
    exp_avg = beta2 * exp_avg + (1 - beta2) * g
    return p - lr * (update + weight_decay * p), exp_avg


def sign_sgd(p, g, *, lr=1e-3):
    """Bernstein et al. 2018, arXiv:1802.04434, Algorithm 1: the sign of the gradient alone, without a state.

    The paper has no default; each element moves by lr in each step.
    """
    return p - lr * sign(g)


def tiger(p, g, m=0, *, lr=1e-3, beta=0.965, weight_decay=0.01):
    """Su 2023, github.com/bojone/tiger: Lion with one beta, so that gradients can be accumulated in the momentum.

    Names and defaults are the authors' code's. That also multiplies lr by the root mean square of the parameter, or by
    a half for biases and norms, and skips gradients of nan: left out here, as in pytorch_optimizer.
    """
    m = beta * m + (1 - beta) * g
    return p - lr * (sign(m) + weight_decay * p), m


def grams(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-6, weight_decay=0):
    """Cao et al. 2024, arXiv:2412.17107, Algorithm 1: Adam's step, as long as it is, in the direction of the gradient.

    The sign is the gradient's, the size AdamW's; eps is the authors' code's, and the decay is decoupled. Where the
    gradient is 0 only the decay acts.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    size = abs(exp_avg / (1 - beta1**t)) / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps)
    return p - lr * (sign(g) * size + weight_decay * p), exp_avg, exp_avg_sq


def ano(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-4, betas=(0.92, 0.99), eps=1e-8):
    """Kegreisz 2025, arXiv:2508.18258, Algorithm 1: the sign of the momentum, with the size of the gradient itself.

    The opposite of `grams`: the direction is smooth, the size answers at once. The second moment is Yogi's with a
    decay; it is corrected. betas are the paper's.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * sign(g**2 - exp_avg_sq) * g**2
    return p - lr * sign(exp_avg) * abs(g) / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps), exp_avg, exp_avg_sq


def powersign(p, g, m=0, *, lr=0.1, beta=0.9, base=2.718281828459045):
    """Bello et al. 2017, arXiv:1709.07417, PowerSign: e times the gradient where its average agrees, 1/e where not.

    A rule found by search; names and defaults are those of the authors' code (TensorFlow 1), without their decays of
    the sign.
    """
    m = beta * m + (1 - beta) * g
    return p - lr * base ** (sign(g) * sign(m)) * g, m


def addsign(p, g, m=0, *, lr=0.1, beta=0.9, alpha=1.0):
    """Bello et al. 2017, arXiv:1709.07417, AddSign: twice the gradient where its average agrees, none where not.

    A rule found by search; names and defaults are those of the authors' code (TensorFlow 1), without their decays of
    the sign.
    """
    m = beta * m + (1 - beta) * g
    return p - lr * (alpha + sign(g) * sign(m)) * g, m
