"""Written by `python -m downslope.optim.stubs`; do not edit."""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, dtype
from torch.optim.optimizer import ParamsT

from ..schedules import Plateau, Schedule
from .backward import fuse_backward as fuse_backward
from .base import Optimizer as Optimizer
from .classes import Torch
from .route import Route as Route
from .route import Rule as Rule
from .route import for_model as for_model
from .sam import SAM as SAM

Setting = float | Tensor | Schedule | Plateau
StateDtype = dtype | str | dict[str, dtype | str] | None

TORCH: dict[str, Torch]
OPTIMIZERS: dict[str, type[Optimizer]]

def by_name(name: str) -> type[Optimizer]: ...
def optimizer(function: Callable[..., Any]) -> type[Optimizer]: ...

class SGD(Optimizer):
    """A drop-in for torch.optim.SGD.

    With momentum it is Polyak 1964 (`sgd_momentum`), with nesterov Sutskever 2013 (`sgd_nesterov`).

    Robbins & Monro 1951, Annals of Mathematical Statistics 22(3): p - lr * g.

    torch.optim.SGD without momentum; lr is torch's default.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        momentum: Setting = 0,
        dampening: Setting = 0,
        weight_decay: Setting = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Adagrad(Optimizer):
    """A drop-in for torch.optim.Adagrad.

    Duchi, Hazan & Singer 2011, JMLR 12, Figure 1 with diagonal matrices.

    Settings, states and defaults are torch.optim.Adagrad's. lr_decay is torch's addition; eps is the paper's delta.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        lr_decay: Setting = 0,
        weight_decay: Setting = 0,
        initial_accumulator_value: Setting = 0,
        eps: Setting = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Adadelta(Optimizer):
    """A drop-in for torch.optim.Adadelta.

    Zeiler 2012, arXiv:1212.5701, Algorithm 1.

    Settings, states and defaults are torch.optim.Adadelta's. The paper has no lr (it is 1 here) and tries rho=0.95; eps
    stands inside both roots and sets the size of the first steps.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        rho: Setting = 0.9,
        eps: Setting = 1e-06,
        weight_decay: Setting = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class RMSprop(Optimizer):
    """A drop-in for torch.optim.RMSprop.

    centered=True is Graves 2013 (`rmsprop_centered`); momentum acts on the scaled gradient.

    Tieleman & Hinton 2012, Coursera: Neural Networks for Machine Learning, lecture 6e.

    Settings, states and defaults are torch.optim.RMSprop's; the lecture has alpha=0.9 and no eps, which stands outside
    the root. The average starts at 0 and is not corrected: the first step is 1 / sqrt(1 - alpha) times lr.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        alpha: Setting = 0.99,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        momentum: Setting = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        *,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Adam(Optimizer):
    """A drop-in for torch.optim.Adam.

    amsgrad=True is Reddi, Kale & Kumar 2018 (`amsgrad`).

    Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1.

    Settings, states and defaults are torch.optim.Adam's and the paper's. eps is added to the corrected root; the more
    efficient order at the end of the paper's section 2 (TensorFlow's) adds it to the uncorrected one.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdamW(Optimizer):
    """A drop-in for torch.optim.AdamW.

    amsgrad=True is Reddi, Kale & Kumar 2018 with the same decay (`amsgradw`).

    Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2: Adam with decoupled weight decay.

    As torch.optim.AdamW, defaults included: the decay is multiplied by lr, where the paper multiplies it by the
    schedule alone, so a weight_decay of the paper is to be divided by its lr.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.01,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Adamax(Optimizer):
    """A drop-in for torch.optim.Adamax.

    Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2.

    Settings, states and defaults are torch.optim.Adamax's. torch adds eps to |g| inside the maximum; the paper has no
    eps and divides 0 by 0 while all gradients are 0.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.002,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class NAdam(Optimizer):
    """A drop-in for torch.optim.NAdam.

    Dozat 2016, ICLR workshop, "Incorporating Nesterov momentum into Adam", Algorithm 2 with its momentum schedule.

    Settings, states and defaults are torch.optim.NAdam's. mu_product, the product of all momenta so far, is one number
    for each parameter. torch's momentum_decay=0.004 is the 1/250 in the exponent of the schedule; Keras leaves it out.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.002,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        momentum_decay: Setting = 0.004,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class RAdam(Optimizer):
    """A drop-in for torch.optim.RAdam.

    Liu et al. 2020, arXiv:1908.03265, Algorithm 2: Adam where its variance is tractable, momentum before that.

    Settings, states and defaults are torch.optim.RAdam's. The paper rectifies from a length rho above 4, torch above 5;
    torch adds eps to the uncorrected root, the paper has none.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Rprop(Optimizer):
    """A drop-in for torch.optim.Rprop.

    Riedmiller & Braun 1993, IEEE ICNN, as Igel & Huesken 2003, Neurocomputing 50, simplify it (iRprop-).

    Settings, states and defaults are torch.optim.Rprop's; lr is only where the step sizes start. After a change of sign
    there is no step and no memory; the paper of 1993 takes its last step back. For whole batches, not for small ones.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        etas: tuple[Setting, Setting] = (0.5, 1.2),
        step_sizes: tuple[Setting, Setting] = (1e-06, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class ASGD(Optimizer):
    """A drop-in for torch.optim.ASGD.

    Polyak & Juditsky 1992, SIAM Journal on Control and Optimization 30(4), and Xu 2011, arXiv:1107.2490.

    The average is the former's, the rates are the latter's; settings, states and defaults are torch.optim.ASGD's.
    ax, the average of p from step t0 on, is kept but not used by the step. eta and mu, one number each for a parameter,
    are those of the next step, so a new lr acts one step later. lambd decays p in each step.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        lambd: Setting = 0.0001,
        alpha: Setting = 0.75,
        t0: Setting = 1000000.0,
        weight_decay: Setting = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
        *,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Adafactor(Optimizer):
    """A drop-in for torch.optim.Adafactor.

    Vectors have `adafactor_vector`. eps[0] of None is the precision of the parameter.

    Shazeer & Stern 2018, arXiv:1804.04235, Algorithm 4: the squares' average from those of its rows and columns.

    torch.optim.Adafactor, which has means where the paper has sums, bounds the estimate by eps[0] instead of adding it
    to the squares, and takes lr for the paper's 1e-2 and for the decay. The last two dimensions are factored.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        beta2_decay: Setting = -0.8,
        eps: tuple[Setting | None, Setting] = (None, 0.001),
        d: Setting = 1.0,
        weight_decay: Setting = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Muon(Optimizer):
    """A drop-in for torch.optim.Muon.

    adjust_lr_fn='match_rms_adamw' is Liu et al. 2025 (`moonlight`). For matrices alone: vectors, and by
    custom the first and the last layer, go to another optimizer.

    Jordan et al. 2024, kellerjordan.github.io/posts/muon: the momentum, made orthogonal.

    torch.optim.Muon, whose defaults these are; its author's code has lr=0.02 and no weight decay. Both iterate in
    bfloat16, which rounds the direction by about 1 %; here it has the parameter's precision. Convolutions, which torch
    refuses, are matrices of one row for each output channel, as the author's code has them.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        weight_decay: Setting = 0.1,
        momentum: Setting = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[Setting, Setting, Setting] = (3.4445, -4.775, 2.0315),
        eps: Setting = 1e-07,
        ns_steps: Setting = 5,
        adjust_lr_fn: str | None = None,
        *,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Momentum(Optimizer):
    """Sutskever et al. 2013, ICML, equations 1 and 2: the learning rate inside the velocity.

    A new lr acts on new gradients only; with a constant lr it is `sgd_momentum`. momentum=0.9 is the customary value
    (Ruder 2016, arXiv:1609.04747, section 4.1).
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        momentum: Setting = 0.9,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class NAG(Optimizer):
    """Nesterov 1983, Soviet Mathematics Doklady 27(2), as Sutskever et al. 2013, ICML, equations 3 and 4, write it.

    Published: v' = momentum * v + lr * gradient(theta - momentum * v); theta' = theta - v'.
    Here p is the look-ahead point, p = theta - momentum * v, so that g is the gradient at p. Then
    p' = theta' - momentum * v' = p + momentum * v - v' - momentum * v' = p - lr * g - momentum * v'.
    This is exact while momentum is constant, whatever lr does. theta is p + momentum * velocity; v = 0 makes the first
    p the first theta.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        momentum: Setting = 0.9,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class QHM(Optimizer):
    """Ma & Yarats 2019, arXiv:1810.06801, equations 3 and 4: quasi-hyperbolic momentum.

    The buffer is an average, not a sum: an lr of `sgd_momentum` is to be divided by 1 - its momentum. The defaults are
    those the authors recommend; their package qhoptim has none. nu=0 is `sgd`, nu=1 momentum.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        momentum: Setting = 0.999,
        nu: Setting = 0.7,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AggMo(Optimizer):
    """Lucas et al. 2019, arXiv:1804.00325, equation 2: the mean of three momenta, slow ones held back by fast ones.

    betas are the paper's and its authors' code's default, which has any number of them and no default for lr: 0.1 is
    where the paper's experiments look first. The velocities are sums, as in `sgd_momentum`.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        betas: tuple[Setting, Setting, Setting] = (0.0, 0.9, 0.99),
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AccSGD(Optimizer):
    """Kidambi et al. 2018, arXiv:1803.05591, Algorithm 1: a short and a long step, and an average of both.

    As the authors' code with its defaults but for lr, which has none there; constant is its smallConst. kappa is the
    ratio of the long step to the short one, xi the statistical advantage, at most the root of kappa.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        kappa: Setting = 1000.0,
        xi: Setting = 10.0,
        constant: Setting = 0.7,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class PID(Optimizer):
    """An et al. 2018, CVPR, "A PID controller approach for stochastic optimization of deep networks", equation 13.

    As the authors' code, whose I=5 and D=10 are the defaults here; its momentum has none and is 0.9 in its example. The
    gradient is the proportional term, momentum the integral one, and an average of its changes the derivative one; the
    first change is 0.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        momentum: Setting = 0.9,
        integral: Setting = 5.0,
        derivative: Setting = 10.0,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class PNM(Optimizer):
    """Xie et al. 2021, arXiv:2103.17182, Algorithm 1: positive-negative momentum, which makes the noise larger.

    A momentum of the even steps and one of the odd, of which one is taken away from the other. As the authors' code
    with its betas; beta2 is the paper's beta0. lr has no default there. pos_momentum is that of this step, neg_momentum
    that of the step before; the authors' code swaps the tensors instead.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        betas: tuple[Setting, Setting] = (0.9, 1.0),
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class SGDW(Optimizer):
    """Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 1: momentum with decoupled weight decay, SGDW.

    lr stands inside the momentum, and lr and momentum are those of `momentum`. The paper multiplies the decay by its
    schedule alone; here it is multiplied by lr, as in torch.optim.AdamW, whose weight_decay it has.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        momentum: Setting = 0.9,
        weight_decay: Setting = 0.01,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class RootMeanSquare(Optimizer):
    """Kingma & Ba 2015, arXiv:1412.6980, section 5 (AdaGrad): the second moment in the limit of beta2 = 1.

    Divides by the root of the mean of all squared gradients so far: `adagrad` with its lr times sqrt(t), so that the
    steps do not shrink; `rmsprop` forgets where this remembers. The mean is updated in place of a sum so that it stays
    in range. eps is Adam's, lr is RMSprop's.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class RMSpropTF(Optimizer):
    """Tieleman & Hinton 2012, Coursera lecture 6e, as TensorFlow 1 has it and EfficientNet is trained with.

    The average starts at 1, eps stands inside the root, and lr inside the momentum: all three unlike
    torch.optim.RMSprop, `rmsprop_momentum`. Defaults are those of timm's RMSpropTF, with TensorFlow's usual momentum.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        alpha: Setting = 0.9,
        momentum: Setting = 0.9,
        eps: Setting = 1e-10,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class MADGRAD(Optimizer):
    """Defazio & Jelassi 2021, arXiv:2101.11075, Algorithm 1: dual averaging with cube roots, and momentum.

    As the authors' code with its defaults, which adds eps to lr as well as to the root. The iterate is an average of
    points that are each computed from where the training began, x0: moving p by hand in between is undone.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        momentum: Setting = 0.9,
        eps: Setting = 1e-06,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class KATE(Optimizer):
    """Choudhury et al. 2024, arXiv:2403.02648, Algorithm 1: Adagrad without the root under g, so invariant to scale.

    As the authors' code with its defaults: m and b are the squares of the paper's. eta, in units of 1 / g**2, weighs
    the squares in the numerator, which keeps the steps from shrinking too fast; eps is the paper's delta.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        eta: Setting = 0.9,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class FTRL(Optimizer):
    """McMahan et al. 2013, KDD, "Ad click prediction: a view from the trenches", Algorithm 1: FTRL-Proximal.

    lambda_1 makes parameters exactly 0. The paper's alpha is lr here; its beta is 1, where most code has 0. The
    first step forgets p, which the paper starts at 0: parameters that are to be kept need another rule.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        beta: Setting = 1.0,
        lambda_1: Setting = 0.0,
        lambda_2: Setting = 0.0,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class SMORMS3(Optimizer):
    """Funk 2015, sifter.org, journal of 20 April: RMSprop with a memory as long as the gradients are alike.

    Names but for the averages, and defaults, are the author's. The squared mean over the mean square says how much of
    the gradient is signal: it bounds the rate, and it shortens the memory.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        eps: Setting = 1e-16,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AMSGrad(Optimizer):
    """Reddi, Kale & Kumar 2018, arXiv:1904.09237, Algorithm 2: the second moment never falls.

    As torch.optim.Adam(amsgrad=True), which corrects the bias of both averages, the paper of neither. The maximum is of
    the uncorrected average, and is corrected afterwards; optax takes the maximum of the corrected one.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Yogi(Optimizer):
    """Zaheer et al. 2018, NeurIPS, "Adaptive methods for nonconvex optimization", Algorithm 2.

    The second moment moves by at most (1 - beta2) * g**2, so that it cannot forget quickly. lr, betas and eps are the
    paper's. The paper starts both averages at 0 and corrects no bias. The authors' code (TensorFlow Addons), followed
    here, starts the second at 1e-6 and corrects both, before eps is added to the uncorrected root. torch_optimizer,
    pytorch_optimizer and optax also start the first average at 1e-6 and add eps to the corrected root.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 0.001,
        initial_accumulator: Setting = 1e-06,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdaBelief(Optimizer):
    """Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2: the mean square of the surprise, g - exp_avg.

    eps is added to the average in each step, and stays in it, and once more to the root. The paper has eps=1e-8, which
    the authors' package advises for convolutions; 1e-16 is that package's default since version 0.1. Its rectification,
    on by default, is not part of the paper's algorithm and is left out.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-16,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Adan(Optimizer):
    """Xie et al. 2022, arXiv:2208.06677, Algorithm 1: Nesterov momentum from the differences of gradients.

    As the authors' code with its defaults: betas are what is kept, 1 - beta in the paper; the three averages are
    corrected, and eps stands outside the root, where the paper corrects nothing. The first difference is 0. The weight
    decay is the paper's proximal one, a division by 1 + lr * weight_decay after the step. previous_grad is g itself;
    the authors' code stores its negative.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting, Setting] = (0.98, 0.92, 0.99),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class ADOPT(Optimizer):
    """Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2: g is divided by the root of the average before it.

    The first step only measures g**2. The paper calls it step 0, and so the clipping bound, the fourth root of the
    step, is that of t - 1: 0 in the first step, which leaves p alone. Algorithm 1, and the authors' first code, do not
    clip; pytorch_optimizer takes the fourth root of t. The defaults are the authors' code's.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.9999),
        eps: Setting = 1e-06,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdEMAMix(Optimizer):
    """Pagliardini, Ablin & Grangier 2024, arXiv:2409.03137, Algorithm 1: AdamW with a second, slow average.

    Defaults are the authors' code's; the paper has alpha between 5 and 10, with both warm-ups as long as the training.
    The warm-ups are in steps, 0 for none: alpha rises from 0 linearly, beta3 from beta1 with a half-life that rises
    linearly (the paper's schedulers; the authors' code adds 1e-8 to the betas there). The slow average is not
    corrected.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting, Setting] = (0.9, 0.999, 0.9999),
        alpha: Setting = 2.0,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        alpha_warmup: Setting = 0,
        beta3_warmup: Setting = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class QHAdam(Optimizer):
    """Ma & Yarats 2019, arXiv:1810.06801, QHAdam: Adam with quasi-hyperbolic terms.

    betas and nus are those the authors recommend; their package qhoptim has (0.9, 0.999) and (1, 1), which is `adam`.
    qhoptim stores the corrected averages, this the uncorrected ones, as Adam does; the steps are the same.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.995, 0.999),
        nus: tuple[Setting, Setting] = (0.7, 1.0),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class NAdamW(Optimizer):
    """Dahl et al. 2023, arXiv:2306.07179, the baseline of AlgoPerf: AdamW with Nesterov's look-ahead.

    Defaults are those of the benchmark's code. Unlike `nadam` it has no schedule of momenta, and what is ahead is
    corrected as the average itself is.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.01,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class LaProp(Optimizer):
    """Ziyin, Wang & Ueda 2020, arXiv:2002.04839, Algorithm 1: Adam's momentum, of gradients that are scaled already.

    As the authors' code with its defaults. lr stands inside the momentum, which exp_avg_lr, the average of the lr so
    far, corrects: with a constant lr that is the paper's 1 - beta1**t. The authors'
    weight decay, after the step and not multiplied by lr, is left out.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.0004,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-15,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdaPNM(Optimizer):
    """Xie et al. 2021, arXiv:2103.17182, Algorithm 2: AMSGrad with the momentum of `pnm`.

    As the authors' AdaPNM with its defaults; beta3 is the paper's beta0, how much of the other momentum is taken away.
    exp_avg is the momentum of this step, neg_exp_avg that of the step before; the authors' code swaps the tensors
    instead. The momentum is divided by 1 - beta1**t, as there, although it remembers with beta1**2.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting, Setting] = (0.9, 0.999, 1.0),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdamD(Optimizer):
    """St John 2021, arXiv:2110.10828, AdamD: Adam that corrects its second moment alone.

    The uncorrected first average makes the first steps short, as a warm-up does. Defaults are Adam's.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdamAtan2(Optimizer):
    """Everett et al. 2024, arXiv:2407.05872, section 5, Adam-atan2: no eps, and an update that cannot exceed a * pi/2.

    atan2 does not change when both averages are multiplied by a number, and is 0 where both are 0. a=1.27 makes an
    update of one standard deviation as long as Adam's; a and b are those of the package adam-atan2-pytorch.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        a: Setting = 1.27,
        b: Setting = 1.0,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdaX(Optimizer):
    """Li et al. 2020, arXiv:2004.09740, Algorithm 1: a second moment that remembers the past ever more strongly.

    betas and eps are the authors', lr is Adam's. exp_avg_sq grows by 1 + beta2 in each step, 2.7 times in 10,000; as
    in the paper it is corrected, and the first average is not.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.0001),
        eps: Setting = 1e-12,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdaBound(Optimizer):
    """Luo et al. 2019, arXiv:1902.09843, Algorithm 2: rates between bounds that close in on final_lr, from Adam to SGD.

    As the authors' code with its defaults: both averages are corrected, eps is added to the uncorrected root, and the
    rates are not divided by the root of t, as the paper divides them. final_lr follows the schedule of lr: it is
    multiplied by lr over the first lr above 0, where the authors' code has the constructor's.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        final_lr: Setting = 0.1,
        gamma: Setting = 0.001,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AMSBound(Optimizer):
    """Luo et al. 2019, arXiv:1902.09843, Algorithm 3: AdaBound whose second moment never falls, as AMSGrad's.

    As the authors' AdaBound(amsbound=True), with what `adabound` says.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        final_lr: Setting = 0.1,
        gamma: Setting = 0.001,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdaMod(Optimizer):
    """Ding et al. 2019, arXiv:1910.12249, Algorithm 1: no rate above the average of the rates before it.

    gamma is the paper's beta3. Names and defaults are the authors' code's, which like the paper corrects both averages;
    it adds eps to the uncorrected root, the paper to the corrected one.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        gamma: Setting = 0.999,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Padam(Optimizer):
    """Chen et al. 2018, arXiv:1806.06763, Algorithm 1: AMSGrad's second moment to a power between 0 and 1/2.

    partial is the paper's p: 1/2 is `amsgrad` but for eps, 0 momentum. As the authors' code with its defaults, which
    corrects both averages and adds eps to the root before the power; the paper has neither.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        partial: Setting = 0.25,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class DiffGrad(Optimizer):
    """Dubey et al. 2020, arXiv:1909.11015, equation 9: Adam, up to twice as slow where the gradient hardly changes.

    As the authors' corrected code (diffGrad_v2), defaults included: eps is added to the uncorrected root. The gradient
    before the first is 0. The friction is a sigmoid of the change, which depends on the scale of the loss.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class SignSGD(Optimizer):
    """Bernstein et al. 2018, arXiv:1802.04434, Algorithm 1: the sign of the gradient alone, without a state.

    The paper has no default; each element moves by lr in each step.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Signum(Optimizer):
    """Bernstein et al. 2018, arXiv:1802.04434, Algorithm 2: the sign of an average of gradients.

    Defaults are those of the authors' code (MXNet); each element moves by lr in each step, so lr is far smaller in
    practice. momentum=0 is signSGD, Algorithm 1.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        momentum: Setting = 0.9,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Lion(Optimizer):
    """Chen et al. 2023, arXiv:2302.06675, Algorithm 2.

    Defaults are the authors' code's. beta1 mixes the step, beta2 the average that is kept, and the step sees the old
    average. The authors advise an lr 3 to 10 times below AdamW's and a weight_decay as many times above.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.0001,
        betas: tuple[Setting, Setting] = (0.9, 0.99),
        weight_decay: Setting = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Tiger(Optimizer):
    """Su 2023, github.com/bojone/tiger: Lion with one beta, so that gradients can be accumulated in the momentum.

    Names and defaults are the authors' code's. That also multiplies lr by the root mean square of the parameter, or by
    a half for biases and norms, and skips gradients of nan: left out here, as in pytorch_optimizer.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        beta: Setting = 0.965,
        weight_decay: Setting = 0.01,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Grams(Optimizer):
    """Cao et al. 2024, arXiv:2412.17107, Algorithm 1: Adam's step, as long as it is, in the direction of the gradient.

    The sign is the gradient's, the size AdamW's; eps is the authors' code's, and the decay is decoupled. Where the
    gradient is 0 only the decay acts.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-06,
        weight_decay: Setting = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Ano(Optimizer):
    """Kegreisz 2025, arXiv:2508.18258, Algorithm 1: the sign of the momentum, with the size of the gradient itself.

    The opposite of `grams`: the direction is smooth, the size answers at once. The second moment is Yogi's with a
    decay; it is corrected. betas are the paper's.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.0001,
        betas: tuple[Setting, Setting] = (0.92, 0.99),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class PowerSign(Optimizer):
    """Bello et al. 2017, arXiv:1709.07417, PowerSign: e times the gradient where its average agrees, 1/e where not.

    A rule found by search; names and defaults are those of the authors' code (TensorFlow 1), without their decays of
    the sign.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        beta: Setting = 0.9,
        base: Setting = 2.718281828459045,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AddSign(Optimizer):
    """Bello et al. 2017, arXiv:1709.07417, AddSign: twice the gradient where its average agrees, none where not.

    A rule found by search; names and defaults are those of the authors' code (TensorFlow 1), without their decays of
    the sign.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        beta: Setting = 0.9,
        alpha: Setting = 1.0,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class LARS(Optimizer):
    """You, Gitman & Ginsburg 2017, arXiv:1708.03888, Algorithm 1: steps in proportion to the parameter's norm.

    momentum and trust_coefficient (the paper's eta) are the paper's, its weight_decay is 5e-4; lr, inside the momentum,
    has no default there. Where a norm is 0 the trust ratio is 1, as in the authors' code. Biases and norms, which most
    code leaves to plain momentum, are treated alike here: give them another rule by `Route`.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        momentum: Setting = 0.9,
        weight_decay: Setting = 0,
        trust_coefficient: Setting = 0.001,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class LAMB(Optimizer):
    """You et al. 2020, arXiv:1904.00962, Algorithm 2: AdamW's update, stretched to the length of the parameter.

    betas, eps and weight_decay are those of the paper's BERT, lr is Adam's. Both averages are corrected, as in the
    paper; its authors' first code, and pytorch_optimizer, correct neither and clamp the parameter's norm to 10. The
    ratio is 1 where a norm is 0. Biases and norms, whose decay and ratio the authors leave out, are treated alike here.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-06,
        weight_decay: Setting = 0.01,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class NovoGrad(Optimizer):
    """Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1: Adam with one second moment for a whole tensor.

    Names and defaults are the authors' code's (NeMo). exp_avg_sq, one number for each parameter, begins at the first
    norm, and the momentum is a sum: nothing is corrected. The decay goes into the momentum after the division.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.95, 0.98),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Fromage(Optimizer):
    """Bernstein et al. 2020, arXiv:2002.03432, Algorithm 1: a step of lr times the parameter's norm, then shrinking.

    As the authors' code with its default. The division keeps the norm where the step stands upright on it; where
    a norm is 0 the step is plain gradient descent's.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.01,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdamNorm(Optimizer):
    """Dubey, Singh & Chaudhuri 2022, arXiv:2210.06364, Algorithm 2: Adam with small gradients stretched to the average.

    The momentum sees the gradient with a norm that is at least exp_grad_norm, the average of the norms so far, one
    number for each parameter; the second moment sees it as it is. As the authors' code with its defaults (r, the
    paper's gamma, is fixed there), in which eps is added to the second moment in each step, as AdaBelief does, and once
    more to the root.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        r: Setting = 0.95,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class StableAdamW(Optimizer):
    """Wortsman et al. 2023, arXiv:2304.13013, Algorithm 2: AdamW, slower where squares outgrow their average.

    The rate of a tensor is divided by the root mean square of g / sqrt(exp_avg_sq), at least 1: Adafactor's clipping.
    The averages are those with a correction inside, as in the paper; the decay follows the reduced rate. Defaults are
    pytorch_optimizer's; the paper has beta2=0.99 as well, and an eps of 1e-6.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.99),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.01,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class MARS(Optimizer):
    """Yuan et al. 2024, arXiv:2411.10438, Algorithm 3: AdamW of gradients with their variance reduced, MARS-AdamW.

    As the authors' code with its defaults: the form that sees one gradient in each step, the gradient before the first
    is 0, and the corrected gradient's norm is clipped to 1, tensor by tensor. The authors leave tensors of one
    dimension to AdamW unless optimize_1d is set; here all are treated alike.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.003,
        betas: tuple[Setting, Setting] = (0.95, 0.99),
        gamma: Setting = 0.025,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class CAME(Optimizer):
    """Luo et al. 2023, arXiv:2307.02047, Algorithm 2: Adafactor with momentum, smaller where updates stray from it.

    As the authors' code (came-pytorch) with its defaults, lr from its example. The last two dimensions are factored.
    Roots are taken apart, as there: where a row has no gradient, the factors' product would be 0 in float32.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.0002,
        betas: tuple[Setting, Setting, Setting] = (0.9, 0.999, 0.9999),
        eps: tuple[Setting, Setting] = (1e-30, 1e-16),
        clip_threshold: Setting = 1.0,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class SM3(Optimizer):
    """Anil et al. 2019, arXiv:1901.11150, Algorithm SM3-II: Adagrad whose sums are bounded by row and column maxima.

    momentum is the paper's, an average of updates; lr and eps are pytorch_optimizer's. All dimensions but the first are
    columns, where the paper and most code keep one accumulator for each dimension. Of a vector it is Adagrad.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        momentum: Setting = 0.9,
        eps: Setting = 1e-30,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        decoupled_weight_decay: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class AdamMini(Optimizer):
    """Zhang et al. 2024, arXiv:2406.16793, Algorithm 1: Adam with one second moment for each row, an output neuron.

    As the authors' code (adam-mini) with its defaults treats embeddings, heads, values, projections and MLPs. It has
    one for each head of queries and keys, which it finds by their names, and gives biases Adam's; here rows are all.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.001,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class DoG(Optimizer):
    """Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, DoG: the distance from the start over the gradients' norm.

    As the authors' code (dog-optimizer) with its defaults, over all tensors of the optimizer, there of a param group.
    The authors ask for an average of the iterates: `ema=`.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        reps_rel: Setting = 1e-06,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class LDoG(Optimizer):
    """Ivgi, Hinder & Carmon 2023, arXiv:2302.12022, L-DoG: DoG for each tensor by itself.

    As the authors' code (dog-optimizer) with its defaults. The authors ask for an average of the iterates: `ema=`.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        reps_rel: Setting = 1e-06,
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class DAdaptSGD(Optimizer):
    """Defazio & Mishchenko 2023, arXiv:2301.07733, D-Adaptation for SGD: a lower bound of the distance is the rate.

    As the authors' code (dadaptation) with its defaults, but for growth_rate: warm up with a schedule on lr instead.
    The decay is coupled, and no part of the first gradient's norm.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        momentum: Setting = 0.0,
        d0: Setting = 1e-06,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class DAdaptAdam(Optimizer):
    """Defazio & Mishchenko 2023, arXiv:2301.07733, D-Adaptation for Adam: a lower bound of the distance is the rate.

    As the authors' code (dadaptation, decouple=True) with its defaults, but for growth_rate and the bias correction:
    warm up with a schedule on lr instead. The decay is decoupled, at the rate d times lr.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        d0: Setting = 1e-06,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Prodigy(Optimizer):
    """Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4: D-Adaptation for Adam that forgets its first steps.

    As the authors' code (prodigyopt) with its defaults, but for growth_rate, safeguard_warmup and the bias correction:
    warm up with a schedule on lr instead. The decay is decoupled, at the rate d times lr.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.0,
        d0: Setting = 1e-06,
        d_coef: Setting = 1.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Shampoo(Optimizer):
    """Gupta, Koren & Singer 2018, arXiv:1802.09568, Algorithm 1: each side divided by the fourth root of its squares.

    The sums begin at eps times the identity, and the roots are taken anew in every update_freq-th step, from the first
    on; section 5 takes the step from an average of gradients, as here. moskomule/shampoo.pytorch, whose lr and eps
    these are, has square roots and no average. Popular with `grafted=`, which gives it another rule's step length.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.1,
        momentum: Setting = 0.9,
        eps: Setting = 0.0001,
        update_freq: Setting = 10,
        weight_decay: Setting = 0.0,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class SOAP(Optimizer):
    """Vyas et al. 2024, arXiv:2409.11321, Algorithm 3: Adam in the slowly turning eigenbasis of Shampoo's sums.

    As the authors' code with its defaults: the first step only learns the basis, which one step of orthogonal iteration
    turns in every precondition_frequency-th step; columns are sorted, and the second moment with them. The code leaves
    sides longer than 10,000 alone; here both sides are always turned.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.003,
        betas: tuple[Setting, Setting] = (0.95, 0.95),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0.01,
        precondition_frequency: Setting = 10,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class Kron(Optimizer):
    """Li 2018, arXiv:1803.09383, PSGD with two triangular factors, fitted to the momentum: Kron.

    As kron-torch with its defaults. The factors learn in every step until flat_start, then ever more seldom, down to
    min_probability of the steps. They are balanced in every balance_every-th step, there in one of 100 by chance; the
    noise of the fit is a function of the step, and stays out of the update.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.0003,
        b1: Setting = 0.9,
        weight_decay: Setting = 0.0,
        precond_lr: Setting = 0.1,
        min_probability: Setting = 0.03,
        flat_start: Setting = 500,
        balance_every: Setting = 100,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class ScheduleFreeSGD(Optimizer):
    """Defazio et al. 2024, arXiv:2405.15682, equations 3 to 5: no schedule, and an average where one would end.

    p is the point y, where gradients are taken; x, where the model is to be scored, is what the optimizer's `eval()`
    puts in its place. Settings and defaults are those of the authors' package schedulefree; its weight_sum and lr_max
    are one number each for a parameter here.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 1.0,
        momentum: Setting = 0.9,
        weight_decay: Setting = 0,
        warmup_steps: Setting = 0,
        r: Setting = 0,
        weight_lr_power: Setting = 2,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...

class ScheduleFreeAdamW(Optimizer):
    """Defazio et al. 2024, arXiv:2405.15682, Algorithm 1: schedule-free AdamW.

    p is the point y, where gradients are taken; x, where the model is to be scored, is what the optimizer's `eval()`
    puts in its place. Settings and defaults are those of the authors' package schedulefree, which applies the weight
    decay at y; its weight_sum and lr_max are one number each for a parameter here.
    """

    def __init__(
        self,
        params: ParamsT = ...,
        lr: Setting = 0.0025,
        betas: tuple[Setting, Setting] = (0.9, 0.999),
        eps: Setting = 1e-08,
        weight_decay: Setting = 0,
        warmup_steps: Setting = 0,
        r: Setting = 0,
        weight_lr_power: Setting = 2,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        max_norm: float | None = None,
        clip_value: float | None = None,
        ema: float | None = None,
        skip_nonfinite: bool = False,
        cautious: bool = False,
        centralize: bool = False,
        lookahead: int | tuple[int, float] | None = None,
        nesterov_form: float | None = None,
        grafted: Optimizer | Rule | None = None,
        state_dtype: StateDtype = None,
        param_mode: Literal["nearest", "stochastic", "split"] = "nearest",
        rounding_seed: int = 0,
    ) -> None: ...
