"""Rules that keep second moments for rows and columns instead of elements: their states are a fraction of Adam's."""

from __future__ import annotations

from ..compiler.functions import (
    column_max,
    columns,
    maximum,
    mean,
    minimum,
    norm,
    row_max,
    row_mean,
    rows,
    sqrt,
)


def rms(x):
    """The root mean square of a tensor."""
    return norm(x) / sqrt(rows(x) * columns(x))


def adafactor(
    p, g, row_var=0, col_var=0, *, t, lr=1e-2, beta2_decay=-0.8, eps=(2.0**-23, 1e-3), d=1.0, weight_decay=0.0
):
    """Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 4: the squares' average from those of its rows and columns.

    torch.optim.Adafactor, which has means where the paper has sums, bounds the estimate by eps[0] instead of adding it
    to the squares, and takes lr for the paper's 1e-2 and for the decay. The last two dimensions are factored.
    """
    eps1, eps2 = eps
    share = t**beta2_decay
    row_var = row_var + share * (mean(g**2, -1) - row_var)
    col_var = col_var + share * (mean(g**2, -2) - col_var)
    variance = row_var * col_var / maximum(mean(row_var, -2), eps1)
    update = g / sqrt(maximum(variance, eps1**2))
    rate = maximum(eps2, rms(p)) * minimum(lr, 1 / sqrt(t)) / maximum(1, rms(update) / d)
    return p * (1 - lr * weight_decay) - rate * update, row_var, col_var


def adafactor_vector(
    p, g, variance=0, *, t, lr=1e-2, beta2_decay=-0.8, eps=(2.0**-23, 1e-3), d=1.0, weight_decay=0.0
):  # fmt: skip
    """Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 5: Adafactor's rule for vectors, which have nothing to factor.

    torch.optim.Adafactor, see `adafactor`.
    """
    eps1, eps2 = eps
    share = t**beta2_decay
    variance = variance + share * (g**2 - variance)
    update = g / sqrt(maximum(variance, eps1**2))
    rate = maximum(eps2, rms(p)) * minimum(lr, 1 / sqrt(t)) / maximum(1, rms(update) / d)
    return p * (1 - lr * weight_decay) - rate * update, variance


def came(
    p, g, exp_avg=0, exp_avg_sq_row=0, exp_avg_sq_col=0, exp_avg_res_row=0, exp_avg_res_col=0, *, lr=2e-4,
    betas=(0.9, 0.999, 0.9999), eps=(1e-30, 1e-16), clip_threshold=1.0, weight_decay=0.0,
):  # fmt: skip
    """Luo et al. 2023, arXiv:2307.02047, Algorithm 2: Adafactor with momentum, smaller where updates stray from it.

    As the authors' code (came-pytorch) with its defaults, lr from its example. The last two dimensions are factored.
    Roots are taken apart, as there: where a row has no gradient, the factors' product would be 0 in float32.
    """
    beta1, beta2, beta3 = betas
    square = g**2 + eps[0]
    exp_avg_sq_row = beta2 * exp_avg_sq_row + (1 - beta2) * mean(square, -1)
    exp_avg_sq_col = beta2 * exp_avg_sq_col + (1 - beta2) * mean(square, -2)
    update = g / sqrt(exp_avg_sq_row / mean(exp_avg_sq_row, -2)) / sqrt(exp_avg_sq_col)
    update = update / maximum(1, rms(update) / clip_threshold)
    exp_avg = beta1 * exp_avg + (1 - beta1) * update
    instability = (update - exp_avg) ** 2 + eps[1]
    exp_avg_res_row = beta3 * exp_avg_res_row + (1 - beta3) * mean(instability, -1)
    exp_avg_res_col = beta3 * exp_avg_res_col + (1 - beta3) * mean(instability, -2)
    step = exp_avg / sqrt(exp_avg_res_row / mean(exp_avg_res_row, -2)) / sqrt(exp_avg_res_col)
    p = p * (1 - lr * weight_decay) - lr * step
    return p, exp_avg, exp_avg_sq_row, exp_avg_sq_col, exp_avg_res_row, exp_avg_res_col


def came_vector(
    p, g, exp_avg=0, exp_avg_sq=0, *, lr=2e-4, betas=(0.9, 0.999, 0.9999), eps=(1e-30, 1e-16), clip_threshold=1.0,
    weight_decay=0.0,
):  # fmt: skip
    """Luo et al. 2023, arXiv:2307.02047: CAME's rule for vectors, without the factors and the confidence.

    As the authors' code (came-pytorch) has it.
    """
    beta1, beta2, _ = betas
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * (g**2 + eps[0])
    update = g / sqrt(exp_avg_sq)
    exp_avg = beta1 * exp_avg + (1 - beta1) * update / maximum(1, rms(update) / clip_threshold)
    return p * (1 - lr * weight_decay) - lr * exp_avg, exp_avg, exp_avg_sq


def sm3(p, g, row_accumulator=0, column_accumulator=0, momentum_buffer=0, *, lr=0.1, momentum=0.9, eps=1e-30):
    """Anil et al. 2019, arXiv:1901.11150, Algorithm SM3-II: Adagrad whose sums are bounded by row and column maxima.

    momentum is the paper's, an average of updates; lr and eps are pytorch_optimizer's. All dimensions but the first are
    columns, where the paper and most code keep one accumulator for each dimension. Of a vector it is Adagrad.
    """
    bound = minimum(row_accumulator, column_accumulator) + g**2
    momentum_buffer = momentum * momentum_buffer + (1 - momentum) * g / sqrt(bound + eps)
    return p - lr * momentum_buffer, row_max(bound), column_max(bound), momentum_buffer


def adam_mini(p, g, m=0, vmean=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """Zhang et al. 2024, arXiv:2406.16793, Algorithm 1: Adam with one second moment for each row, an output neuron.

    As the authors' code (adam-mini) with its defaults treats embeddings, heads, values, projections and MLPs. It has
    one for each head of queries and keys, which it finds by their names, and gives biases Adam's; here rows are all.
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    vmean = beta2 * vmean + (1 - beta2) * row_mean(g**2)
    rate = lr / (1 - beta1**t) / (sqrt(vmean) / sqrt(1 - beta2**t) + eps)
    return p * (1 - lr * weight_decay) - rate * m, m, vmean


def adam_mini_vector(p, g, m=0, vmean=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0):
    """Zhang et al. 2024, arXiv:2406.16793, Algorithm 1: Adam-mini's rule for a vector, one second moment for all of it.

    As the authors' code has it for norms.
    """
    beta1, beta2 = betas
    m = beta1 * m + (1 - beta1) * g
    vmean = beta2 * vmean + (1 - beta2) * mean(g**2)
    rate = lr / (1 - beta1**t) / (sqrt(vmean) / sqrt(1 - beta2**t) + eps)
    return p * (1 - lr * weight_decay) - rate * m, m, vmean
