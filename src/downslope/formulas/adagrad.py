"""Rates from the squares of the gradients: sums, means and moving averages."""

from __future__ import annotations

from ..compiler.functions import abs, minimum, sign, sqrt, where


def adagrad(p, g, sum="initial_accumulator_value", *, t, lr=1e-2, lr_decay=0, initial_accumulator_value=0, eps=1e-10):
    """Duchi, Hazan & Singer 2011, JMLR 12, Figure 1 with diagonal matrices.

    Settings, states and defaults are torch.optim.Adagrad's. lr_decay is torch's addition; eps is the paper's delta.
    """
    sum = sum + g**2
    return p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(sum) + eps), sum


def root_mean_square(p, g, mean_square=0, *, t, lr=1e-2, eps=1e-8):
    """Kingma & Ba 2015, arXiv:1412.6980, section 5 (AdaGrad): the second moment in the limit of beta2 = 1.

    Divides by the root of the mean of all squared gradients so far: `adagrad` with its lr times sqrt(t), so that the
    steps do not shrink; `rmsprop` forgets where this remembers. The mean is updated in place of a sum so that it stays
    in range. eps is Adam's, lr is RMSprop's.
    """
    mean_square = mean_square + (g**2 - mean_square) / t
    return p - lr * g / (sqrt(mean_square) + eps), mean_square


def adadelta(p, g, square_avg=0, acc_delta=0, *, lr=1.0, rho=0.9, eps=1e-6):
    """Zeiler 2012, arXiv:1212.5701, Algorithm 1.

    Settings, states and defaults are torch.optim.Adadelta's. The paper has no lr (it is 1 here) and tries rho=0.95; eps
    stands inside both roots and sets the size of the first steps.
    """
    square_avg = rho * square_avg + (1 - rho) * g**2
    delta = sqrt(acc_delta + eps) / sqrt(square_avg + eps) * g
    acc_delta = rho * acc_delta + (1 - rho) * delta**2
    return p - lr * delta, square_avg, acc_delta


def rmsprop(p, g, square_avg=0, *, lr=1e-2, alpha=0.99, eps=1e-8):
    """Tieleman & Hinton 2012, Coursera: Neural Networks for Machine Learning, lecture 6e.

    Settings, states and defaults are torch.optim.RMSprop's; the lecture has alpha=0.9 and no eps, which stands outside
    the root. The average starts at 0 and is not corrected: the first step is 1 / sqrt(1 - alpha) times lr.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g**2
    return p - lr * g / (sqrt(square_avg) + eps), square_avg


def rmsprop_centered(p, g, square_avg=0, grad_avg=0, *, lr=1e-2, alpha=0.99, eps=1e-8):
    """Graves 2013, arXiv:1308.0850, equations 38 to 41 without their momentum: divides by the standard deviation.

    As torch.optim.RMSprop(centered=True), whose eps is outside the root, where Graves has 1e-4 inside. The variance is
    a difference that rounding can make negative, as gradients that hardly change do; then p becomes nan, as torch's.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g**2
    grad_avg = alpha * grad_avg + (1 - alpha) * g
    return p - lr * g / (sqrt(square_avg - grad_avg**2) + eps), square_avg, grad_avg


def rmsprop_momentum(p, g, square_avg=0, momentum_buffer=0, *, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.9):
    """Tieleman & Hinton 2012, Coursera lecture 6e, with a momentum on the scaled gradient.

    As torch.optim.RMSprop(momentum=), where it is 0 by default: lr stands outside the buffer, which is a sum, so the
    steps grow by 1 / (1 - momentum). TensorFlow and optax have lr inside.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g**2
    momentum_buffer = momentum * momentum_buffer + g / (sqrt(square_avg) + eps)
    return p - lr * momentum_buffer, square_avg, momentum_buffer


def rmsprop_centered_momentum(
    p, g, square_avg=0, momentum_buffer=0, grad_avg=0, *, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0.9
):
    """Graves 2013, arXiv:1308.0850, equations 38 to 41, as torch.optim.RMSprop(centered=True, momentum=) has them.

    torch's lr stands outside the momentum and its eps outside the root, where Graves has both inside. nan as in
    `rmsprop_centered`.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g**2
    grad_avg = alpha * grad_avg + (1 - alpha) * g
    momentum_buffer = momentum * momentum_buffer + g / (sqrt(square_avg - grad_avg**2) + eps)
    return p - lr * momentum_buffer, square_avg, momentum_buffer, grad_avg


def rmsprop_tf(p, g, square_avg=1, momentum_buffer=0, *, lr=1e-2, alpha=0.9, momentum=0.9, eps=1e-10):
    """Tieleman & Hinton 2012, Coursera lecture 6e, as TensorFlow 1 has it and EfficientNet is trained with.

    The average starts at 1, eps stands inside the root, and lr inside the momentum: all three unlike
    torch.optim.RMSprop, `rmsprop_momentum`. Defaults are those of timm's RMSpropTF, with TensorFlow's usual momentum.
    """
    square_avg = alpha * square_avg + (1 - alpha) * g**2
    momentum_buffer = momentum * momentum_buffer + lr * g / sqrt(square_avg + eps)
    return p - momentum_buffer, square_avg, momentum_buffer


def madgrad(p, g, grad_sum_sq=0, s=0, x0="p", *, t, lr=1e-2, momentum=0.9, eps=1e-6):
    """Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1: dual averaging with cube roots, and momentum.

    As the authors' code with its defaults, which adds eps to lr as well as to the root. The iterate is an average of
    points that are each computed from where the training began, x0: moving p by hand in between is undone.
    """
    rate = (lr + eps) * sqrt(t)
    grad_sum_sq = grad_sum_sq + rate * g**2
    s = s + rate * g
    z = x0 - s / (grad_sum_sq ** (1 / 3) + eps)
    return momentum * p + (1 - momentum) * z, grad_sum_sq, s, x0


def kate(p, g, m=0, b=0, *, lr=1e-3, eta=0.9, eps=1e-8):
    """Choudhury et al. 2024, arXiv:2403.02648, Algorithm 1: Adagrad without the root under g, so invariant to scale.

    As the authors' code with its defaults: m and b are the squares of the paper's. eta, in units of 1 / g**2, weighs
    the squares in the numerator, which keeps the steps from shrinking too fast; eps is the paper's delta.
    """
    b = b + g**2
    m = m + eta * g**2 + g**2 / (b + eps)
    return p - lr * sqrt(m) * g / (b + eps), m, b


def ftrl(p, g, z=0, n=0, *, lr=0.1, beta=1.0, lambda_1=0.0, lambda_2=0.0):
    """McMahan et al. 2013, KDD, "Ad click prediction: a view from the trenches", Algorithm 1: FTRL-Proximal.

    lambda_1 makes parameters exactly 0. The paper's alpha is lr here; its beta is 1, where most code has 0. The
    first step forgets p, which the paper starts at 0: parameters that are to be kept need another rule.
    """
    sigma = (sqrt(n + g**2) - sqrt(n)) / lr
    z = z + g - sigma * p
    n = n + g**2
    shrunk = (sign(z) * lambda_1 - z) / ((beta + sqrt(n)) / lr + lambda_2)
    return where(abs(z) <= lambda_1, 0, shrunk), z, n


def smorms3(p, g, mem=1, g_avg=0, square_avg=0, *, lr=1e-3, eps=1e-16):
    """Funk 2015, sifter.org, journal of 20 April: RMSprop with a memory as long as the gradients are alike.

    Names but for the averages, and defaults, are the author's. The squared mean over the mean square says how much of
    the gradient is signal: it bounds the rate, and it shortens the memory.
    """
    share = 1 / (mem + 1)
    g_avg = (1 - share) * g_avg + share * g
    square_avg = (1 - share) * square_avg + share * g**2
    signal = g_avg**2 / (square_avg + eps)
    p = p - g * minimum(lr, signal) / (sqrt(square_avg) + eps)
    return p, 1 + mem * (1 - signal), g_avg, square_avg
