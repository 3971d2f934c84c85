"""Adam and what came after it: a moving average of gradients over the root of one of their squares."""

from __future__ import annotations

from ..compiler.functions import abs, clip, exp, log, maximum, minimum, sign, sqrt, where


def adam(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1.

    Settings, states and defaults are torch.optim.Adam's and the paper's. eps is added to the corrected root; the more
    efficient order at the end of the paper's section 2 (TensorFlow's) adds it to the uncorrected one.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    m_hat = exp_avg / (1 - beta1**t)
    v_hat = exp_avg_sq / (1 - beta2**t)
    return p - lr * m_hat / (sqrt(v_hat) + eps), exp_avg, exp_avg_sq


def adamw(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2):
    """Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2: Adam with decoupled weight decay.

    As torch.optim.AdamW, defaults included: the decay is multiplied by lr, where the paper multiplies it by the
    schedule alone, so a weight_decay of the paper is to be divided by its lr.
    """
    p = p * (1 - lr * weight_decay)
    return adam(p, g, exp_avg, exp_avg_sq, t=t, lr=lr, betas=betas, eps=eps)


def amsgrad(p, g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 2: the second moment never falls.

    As torch.optim.Adam(amsgrad=True), which corrects the bias of both averages, the paper of neither. The maximum is of
    the uncorrected average, and is corrected afterwards; optax takes the maximum of the corrected one.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    max_exp_avg_sq = maximum(max_exp_avg_sq, exp_avg_sq)
    m_hat = exp_avg / (1 - beta1**t)
    v_hat = max_exp_avg_sq / (1 - beta2**t)
    return p - lr * m_hat / (sqrt(v_hat) + eps), exp_avg, exp_avg_sq, max_exp_avg_sq


def amsgradw(
    p, g, exp_avg=0, exp_avg_sq=0, max_exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2
):
    """Reddi, Kale & Kumar 2018, arXiv:1904.09237, with the weight decay of Loshchilov & Hutter 2019, arXiv:1711.05101.

    As torch.optim.AdamW(amsgrad=True), defaults included.
    """
    p = p * (1 - lr * weight_decay)
    return amsgrad(p, g, exp_avg, exp_avg_sq, max_exp_avg_sq, t=t, lr=lr, betas=betas, eps=eps)


def adamax(p, g, exp_avg=0, exp_inf=0, *, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8):
    """Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2.

    Settings, states and defaults are torch.optim.Adamax's. torch adds eps to |g| inside the maximum; the paper has no
    eps and divides 0 by 0 while all gradients are 0.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_inf = maximum(beta2 * exp_inf, abs(g) + eps)
    return p - lr / (1 - beta1**t) * exp_avg / exp_inf, exp_avg, exp_inf


def nadam(
    p, g, exp_avg=0, exp_avg_sq=0, mu_product=1, *, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3
):
    """Dozat 2016, ICLR workshop, "Incorporating Nesterov momentum into Adam", Algorithm 2 with its momentum schedule.

    Settings, states and defaults are torch.optim.NAdam's. mu_product, the product of all momenta so far, is one number
    for each parameter. torch's momentum_decay=0.004 is the 1/250 in the exponent of the schedule; Keras leaves it out.
    """
    beta1, beta2 = betas
    mu = beta1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    mu_product = mu_product * mu
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    m_bar = (1 - mu) / (1 - mu_product) * g + mu_next / (1 - mu_product * mu_next) * exp_avg
    return p - lr * m_bar / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps), exp_avg, exp_avg_sq, mu_product


def radam(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    """Liu et al. 2020, arXiv:1908.03265, Algorithm 2: Adam where its variance is tractable, momentum before that.

    Settings, states and defaults are torch.optim.RAdam's. The paper rectifies from a length rho above 4, torch above 5;
    torch adds eps to the uncorrected root, the paper has none.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    rho_inf = 2 / (1 - beta2) - 1
    rho = rho_inf - 2 * t * beta2**t / (1 - beta2**t)
    # at least 5, which changes nothing where they are used: elsewhere the root would be of a negative number
    long, longest = maximum(rho, 5), maximum(rho_inf, 5)
    rectify = sqrt((long - 4) * (long - 2) * longest / ((longest - 4) * (longest - 2) * long))
    step = where(rho > 5, rectify * sqrt(1 - beta2**t) / (sqrt(exp_avg_sq) + eps), 1)
    return p - lr * exp_avg / (1 - beta1**t) * step, exp_avg, exp_avg_sq


def yogi(
    p,
    g,
    exp_avg=0,
    exp_avg_sq="initial_accumulator",
    *,
    t,
    lr=1e-2,
    betas=(0.9, 0.999),
    eps=1e-3,
    initial_accumulator=1e-6,
):
    """Zaheer et al. 2018, NeurIPS, "Adaptive methods for nonconvex optimization", Algorithm 2.

    The second moment moves by at most (1 - beta2) * g**2, so that it cannot forget quickly. lr, betas and eps are the
    paper's. The paper starts both averages at 0 and corrects no bias. The authors' code (TensorFlow Addons), followed
    here, starts the second at 1e-6 and corrects both, before eps is added to the uncorrected root. torch_optimizer,
    pytorch_optimizer and optax also start the first average at 1e-6 and add eps to the corrected root.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = exp_avg_sq - (1 - beta2) * sign(exp_avg_sq - g**2) * g**2
    step = lr * sqrt(1 - beta2**t) / (1 - beta1**t)
    return p - step * exp_avg / (sqrt(exp_avg_sq) + eps), exp_avg, exp_avg_sq


def adabelief(p, g, exp_avg=0, exp_avg_var=0, *, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-16):
    """Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2: the mean square of the surprise, g - exp_avg.

    eps is added to the average in each step, and stays in it, and once more to the root. The paper has eps=1e-8, which
    the authors' package advises for convolutions; 1e-16 is that package's default since version 0.1. Its rectification,
    on by default, is not part of the paper's algorithm and is left out.
    """
    beta1, beta2 = betas
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_var = beta2 * exp_avg_var + (1 - beta2) * (g - exp_avg) ** 2 + eps
    m_hat = exp_avg / (1 - beta1**t)
    s_hat = exp_avg_var / (1 - beta2**t)
    return p - lr * m_hat / (sqrt(s_hat) + eps), exp_avg, exp_avg_var


def adan(
    p,
    g,
    exp_avg=0,
    exp_avg_diff=0,
    exp_avg_sq=0,
    previous_grad=0,
    *,
    t,
    lr=1e-3,
    betas=(0.98, 0.92, 0.99),
    eps=1e-8,
    weight_decay=0,
):
    """Xie et al. 2022, arXiv:2208.06677, Algorithm 1: Nesterov momentum from the differences of gradients.

    As the authors' code with its defaults: betas are what is kept, 1 - beta in the paper; the three averages are
    corrected, and eps stands outside the root, where the paper corrects nothing. The first difference is 0. The weight
    decay is the paper's proximal one, a division by 1 + lr * weight_decay after the step. previous_grad is g itself;
    the authors' code stores its negative.
    """
    beta1, beta2, beta3 = betas
    difference = where(t == 1, 0, g - previous_grad)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_diff = beta2 * exp_avg_diff + (1 - beta2) * difference
    exp_avg_sq = beta3 * exp_avg_sq + (1 - beta3) * (g + beta2 * difference) ** 2
    m_hat = exp_avg / (1 - beta1**t) + beta2 * exp_avg_diff / (1 - beta2**t)
    p = p - lr * m_hat / (sqrt(exp_avg_sq / (1 - beta3**t)) + eps)
    return p / (1 + lr * weight_decay), exp_avg, exp_avg_diff, exp_avg_sq, g


def adopt(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.9, 0.9999), eps=1e-6):
    """Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2: g is divided by the root of the average before it.

    The first step only measures g**2. The paper calls it step 0, and so the clipping bound, the fourth root of the
    step, is that of t - 1: 0 in the first step, which leaves p alone. Algorithm 1, and the authors' first code, do not
    clip; pytorch_optimizer takes the fourth root of t. The defaults are the authors' code's.
    """
    beta1, beta2 = betas
    bound = (t - 1) ** 0.25
    scaled = clip(g / maximum(sqrt(exp_avg_sq), eps), -bound, bound)
    exp_avg = beta1 * exp_avg + (1 - beta1) * scaled
    exp_avg_sq = where(t == 1, g**2, beta2 * exp_avg_sq + (1 - beta2) * g**2)
    return p - lr * exp_avg, exp_avg, exp_avg_sq


def ademamix(
    p,
    g,
    exp_avg=0,
    exp_avg_slow=0,
    exp_avg_sq=0,
    *,
    t,
    lr=1e-3,
    betas=(0.9, 0.999, 0.9999),
    alpha=2.0,
    eps=1e-8,
    weight_decay=0,
    alpha_warmup=0,
    beta3_warmup=0,
):
    """Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, Algorithm 1: AdamW with a second, slow average.

    Defaults are the authors' code's; the paper has alpha between 5 and 10, with both warm-ups as long as the training.
    The warm-ups are in steps, 0 for none: alpha rises from 0 linearly, beta3 from beta1 with a half-life that rises
    linearly (the paper's schedulers; the authors' code adds 1e-8 to the betas there). The slow average is not
    corrected.
    """
    beta1, beta2, beta3 = betas
    alpha_now = alpha * minimum(t / maximum(alpha_warmup, 1), 1)
    warm = minimum(t / maximum(beta3_warmup, 1), 1)
    beta3_now = where(t < beta3_warmup, exp(1 / ((1 - warm) / log(beta1) + warm / log(beta3))), beta3)
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_slow = beta3_now * exp_avg_slow + (1 - beta3_now) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    m_hat = exp_avg / (1 - beta1**t) + alpha_now * exp_avg_slow
    update = m_hat / (sqrt(exp_avg_sq / (1 - beta2**t)) + eps)
    return p - lr * (update + weight_decay * p), exp_avg, exp_avg_slow, exp_avg_sq


def qhadam(p, g, exp_avg=0, exp_avg_sq=0, *, t, lr=1e-3, betas=(0.995, 0.999), nus=(0.7, 1.0), eps=1e-8):
    """Ma & Yarats 2019, arXiv:1810.06801, QHAdam: Adam with quasi-hyperbolic terms.

    betas and nus are those the authors recommend; their package qhoptim has (0.9, 0.999) and (1, 1), which is `adam`.
    qhoptim stores the corrected averages, this the uncorrected ones, as Adam does; the steps are the same.
    """
    beta1, beta2 = betas
    nu1, nu2 = nus
    exp_avg = beta1 * exp_avg + (1 - beta1) * g
    exp_avg_sq = beta2 * exp_avg_sq + (1 - beta2) * g**2
    m = (1 - nu1) * g + nu1 * exp_avg / (1 - beta1**t)
    v = (1 - nu2) * g**2 + nu2 * exp_avg_sq / (1 - beta2**t)
    return p - lr * m / (sqrt(v) + eps), exp_avg, exp_avg_sq
