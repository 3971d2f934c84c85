"""References of the rules for matrices, of those with states for rows and columns, and of those without a rate."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any
from unittest import mock

import adam_mini
import came_pytorch
import dadaptation
import dog
import prodigyopt
import pytorch_optimizer
import torch

from downslope.compiler.ops import noise
from reference import Reference, Transcribed, of_torch

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of torch.jit, by torch.compile
    import kron_torch.kron

Tensor = torch.Tensor
MATRICES = ((7, 6), (3, 9))
BOTH = ((7, 6), (3, 9), (5,))
VECTORS = ((7,), ())


def shampoo(
    p: Tensor,
    g: Tensor,
    memory: dict,
    lr: float = 0.1,
    momentum: float = 0.9,
    eps: float = 1e-4,
    update_freq: int = 10,
    weight_decay: float = 0.0,
) -> Tensor:
    """Gupta et al. 2018, Algorithm 1, with its section 5's average; powers by singular values."""

    def power(sums: Tensor) -> Tensor:
        u, s, _ = torch.linalg.svd(sums + eps * torch.eye(len(sums)))
        return u @ torch.diag(s**-0.25) @ u.T

    step = memory["step"] = memory.get("step", 0) + 1
    memory["left"] = memory.get("left", 0) + g @ g.T
    memory["right"] = memory.get("right", 0) + g.T @ g
    if step % update_freq == 1 or update_freq == 1:
        memory["roots"] = [power(memory["left"]), power(memory["right"])]
    m = memory["m"] = torch.lerp(g, memory.get("m", torch.zeros_like(p)), momentum)
    left, right = memory["roots"]
    return p - lr * weight_decay * p - lr * left @ m @ right


class Soap(pytorch_optimizer.SOAP):
    """The package's, but that its QR decomposition has the precision of the parameters, not float32's."""

    def get_orthogonal_matrix_qr(self, state: dict, *_: Any) -> list[Tensor]:
        matrices, squares = [], state["exp_avg_sq"]
        for place, (sums, basis) in enumerate(zip(state["GG"], state["Q"])):
            product = sums @ basis
            order = (basis * product).sum(0).argsort(descending=True)
            squares = squares.index_select(place, order)
            matrices.append(torch.linalg.qr(product[:, order])[0])
        state["exp_avg_sq"] = squares
        return matrices


class Kron(kron_torch.kron.Kron):
    """The package's in float64 and without its compiler: its noise is ours and stays out of the step, as its author's
    does, and it balances at fixed steps."""

    def __init__(
        self, params: Any, flat_start: int = 500, min_probability: float = 0.03, balance_every: int = 100, **own: Any
    ):
        def probability(step: Tensor) -> Tensor:
            return torch.exp(-0.001 * (step.double() - flat_start)).clamp(min_probability, 1.0)

        self._prob_step = torch.tensor(0)
        super().__init__(params, preconditioner_update_probability=probability, precond_dtype=torch.float64, **own)
        package = kron_torch.kron
        self.names = {
            name: getattr(package, name)._torchdynamo_orig_callable
            for name in ("_balance_Q", "_update_precond", "_precond_grad", "_clip_update_rms")
        }
        learn = self.names["_update_precond"]
        self.names["_update_precond"] = lambda q, how, g, *rest: learn(q, how, g.clone(), *rest)
        self.names["_solve_triangular_right"] = lambda x, a: torch.linalg.solve_triangular(a, x, upper=True, left=False)
        self.rng.random = lambda: float(int(self._prob_step) % balance_every != 0)  # type: ignore[method-assign]

    def step(self, closure: None = None) -> None:
        count = int(self._prob_step) + 1
        ours = mock.patch.object(torch, "randn_like", lambda g: noise(g, count))
        with mock.patch.multiple(kron_torch.kron, **self.names), mock.patch("builtins.print"), ours:
            super().step()


def mini(params: Any, **settings: Any) -> torch.optim.Optimizer:
    """Matrices under a name that the package knows for an MLP's, vectors under one that it does not know."""
    named = [("mlp" if p.ndim == 2 else "scale", p) for p in params]
    kept = {}

    class One(torch.optim.Optimizer):
        def __init__(self) -> None:
            super().__init__(params, {})
            for name, p in named:
                kept[p] = adam_mini.Adam_mini([(name, p)], verbose=False, **settings)

        def step(self, closure: None = None) -> None:
            for p, one in kept.items():
                one.step()
                self.state[p] = one.state[p]

    return One()


def quiet(make: Callable[..., torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    def call(params: Any, **settings: Any) -> torch.optim.Optimizer:
        with mock.patch("builtins.print"):
            return make(params, **settings)

    return call


class Counted(torch.optim.Optimizer):
    """A package's numbers of a param group, among each parameter's state."""

    def __init__(self, params: Any, make: Callable[..., torch.optim.Optimizer], names: tuple[str, ...], **own: Any):
        params = list(params)
        super().__init__(params, {})
        self.inner, self.names = make(params, **own), names

    def step(self, closure: None = None) -> None:
        with torch.no_grad():
            self.inner.step()
        for p in self.param_groups[0]["params"]:
            group = self.inner.param_groups[0]
            self.state[p] = {**self.inner.state[p], **{name: group[name] for name in self.names}}


def by_group(make: Callable[..., torch.optim.Optimizer], *names: str) -> Callable[..., torch.optim.Optimizer]:
    return partial(Counted, make=quiet(make), names=names)


FLOAT32 = (2.0**-23, 1e-3)
FACTORED = (
    {"lr": 0.1, "beta2_decay": -0.5, "eps": (1e-3, 1e-1), "d": 1.5, "weight_decay": 0.3},
    {"lr": 0.5, "eps": (1e-30, 1e-6), "d": 3.0},
)
CONFIDENT = ({"lr": 0.02, "betas": (0.8, 0.9, 0.95), "eps": (1e-3, 1e-6), "clip_threshold": 0.5, "weight_decay": 0.3},)
ROWS = ({"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3},)
PRODIGY = ({"lr": 0.5, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3, "d0": 1e-3, "d_coef": 2.0},)
DISTANCE = ({"lr": 0.5, "reps_rel": 1e-2, "eps": 1e-3, "weight_decay": 0.1},)


def adafactor(formula: str, states: str, shapes: tuple[tuple[int, ...], ...]) -> Reference:
    found = of_torch(formula, "Adafactor", *FACTORED, states=states)
    make = partial(torch.optim.Adafactor, foreach=False)

    def given(params: Any, eps: tuple[float, float] = FLOAT32, **settings: Any) -> torch.optim.Optimizer:
        return make(params, eps=eps, **settings)

    return Reference(formula, given, found.settings, found.source, found.states, shapes)


def kept(*names: str) -> dict[str, str]:
    return {name: name for name in names}


MATRICES_TABLE = (
    adafactor("adafactor", "row_var col_var", (*MATRICES, (2, 4, 3))),
    adafactor("adafactor_vector", "variance", VECTORS),
    Reference(
        "came",
        partial(came_pytorch.CAME, lr=2e-4),
        ({}, *({k: v for k, v in each.items()} for each in CONFIDENT)),
        "came_pytorch.CAME, by the authors",
        kept("exp_avg"),
        (*MATRICES, (2, 4, 3)),
    ),
    Reference(
        "came_vector",
        partial(came_pytorch.CAME, lr=2e-4),
        ({}, *CONFIDENT),
        "came_pytorch.CAME, by the authors",
        kept("exp_avg", "exp_avg_sq"),
        VECTORS,
    ),
    Reference(
        "sm3",
        partial(pytorch_optimizer.SM3, momentum=0.9, foreach=False),
        ({}, {"lr": 0.5, "momentum": 0.5, "eps": 1e-3}),
        "pytorch_optimizer.SM3",
        {
            "row_accumulator": "accumulator_0",
            "column_accumulator": "accumulator_1",
            "momentum_buffer": "momentum_buffer",
        },
        MATRICES,
    ),
    Reference(
        "adam_mini",
        mini,
        ({}, *ROWS),
        "adam_mini.Adam_mini, by the authors, of an MLP's weights",
        kept("m", "vmean"),
        MATRICES,
    ),
    Reference(
        "adam_mini_vector",
        mini,
        ({}, *ROWS),
        "adam_mini.Adam_mini, by the authors, of a norm's weights",
        kept("m", "vmean"),
        VECTORS,
    ),
    Reference(
        "dog",
        by_group(dog.DoG, "rbar", "G"),
        ({}, *DISTANCE),
        "dog.DoG, by the authors",
        {"rbar": "rbar", "grad_sum": "G"},
        BOTH,
        together=True,
    ),
    Reference("ldog", by_group(dog.LDoG), ({}, *DISTANCE), "dog.LDoG, by the authors", {}, BOTH),
    Reference(
        "dadapt_sgd",
        by_group(dadaptation.DAdaptSGD, "d", "numerator_weighted", "g0_norm"),
        ({}, {"lr": 0.5, "momentum": 0.9, "d0": 1e-3, "weight_decay": 0.1}),
        "dadaptation.DAdaptSGD, by the authors",
        kept("s", "x0", "d", "numerator_weighted", "g0_norm"),
        BOTH,
        together=True,
    ),
    Reference(
        "dadapt_adam",
        by_group(partial(dadaptation.DAdaptAdam, decouple=True), "d", "numerator_weighted"),
        ({}, {"lr": 0.5, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.3, "d0": 1e-3}),
        "dadaptation.DAdaptAdam(decouple=True), by the authors",
        kept("exp_avg", "exp_avg_sq", "s", "d", "numerator_weighted"),
        BOTH,
        together=True,
    ),
    Reference(
        "prodigy",
        by_group(prodigyopt.Prodigy, "d", "d_numerator"),
        ({}, *PRODIGY),
        "prodigyopt.Prodigy, by the authors",
        kept("exp_avg", "exp_avg_sq", "d", "d_numerator"),
        BOTH,
        together=True,
    ),
    Reference(
        "shampoo",
        partial(Transcribed, rule=shampoo),
        ({}, {"lr": 0.5, "momentum": 0.5, "eps": 1e-2, "update_freq": 1, "weight_decay": 0.1}, {"update_freq": 3}),
        "transcribed from Gupta et al. 2018, Algorithm 1",
        {"left": "left", "right": "right", "momentum_buffer": "m"},
        MATRICES,
        rtol=1e-6,  # roots of matrices whose eigenvalues lie ten decades apart
    ),
    Reference(
        "soap",
        partial(Soap, precondition_1d=False),
        (
            {},
            {"lr": 0.02, "betas": (0.8, 0.9), "eps": 1e-3, "weight_decay": 0.3, "precondition_frequency": 3},
            {"precondition_frequency": 1},
        ),
        "pytorch_optimizer.SOAP with its QR in float64",
        kept("exp_avg"),
        ((6, 6), (4, 4)),
        rtol=1e-8,
        smooth=True,  # of a singular matrix every basis of the kernel is as good as another
    ),
    Reference(
        "kron",
        Kron,
        (
            {},
            {"lr": 0.02, "b1": 0.5, "weight_decay": 0.1, "precond_lr": 0.3, "balance_every": 7},
            {"flat_start": -1000, "min_probability": 0.2},
        ),
        "kron_torch.Kron, after the author's psgd_torch, with the same noise",
        kept("momentum_buffer"),
        MATRICES,
    ),
)
