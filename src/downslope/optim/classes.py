"""The classes: torch's names as drop-ins, and one for each other formula."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ..compiler.formula import read
from ..compiler.ops import COEFFICIENTS, STEPS
from ..errors import SettingError
from ..formulas import FORMULAS as F
from .base import Optimizer
from .make import make

Group = dict[str, Any]
Function = Callable[..., Any]


class Torch(NamedTuple):
    """What torch.optim's optimizer of the name takes, and which formula its settings choose."""

    choose: Callable[[Group], Function]
    settings: dict[str, Any]
    flags: dict[str, Any]
    hidden: dict[str, Any] | None = None
    shows_step: bool = True
    saves_all: bool = False
    check: Callable[[Group], None] | None = None
    others: str = ""  # what else the class does by its settings, for its docstring


RUN = {"foreach": None, "maximize": False, "capturable": False, "differentiable": False}


def _sgd(group: Group) -> Function:
    if group["momentum"] == 0:
        return F["sgd"]
    return F["sgd_nesterov"] if group["nesterov"] else F["sgd_momentum"]


def _check_sgd(group: Group) -> None:
    if group.get("nesterov") and not (group.get("momentum", 0) > 0 and group.get("dampening", 0) == 0):
        raise SettingError(
            f"SGD: nesterov with momentum={group.get('momentum', 0)}, dampening={group.get('dampening', 0)}; "
            "Nesterov momentum needs a momentum above 0 and no dampening"
        )


def _adam(group: Group) -> Function:
    return F["amsgrad"] if group["amsgrad"] else F["adam"]


def _adamw(group: Group) -> Function:
    if group["weight_decay"] == 0:
        return _adam(group)
    return F["amsgradw"] if group["amsgrad"] else F["adamw"]


def _rmsprop(group: Group) -> Function:
    centered, momentum = "_centered" * bool(group["centered"]), "_momentum" * (group["momentum"] > 0)
    return F[f"rmsprop{centered}{momentum}"]


def _muon(group: Group) -> Function:
    base = "moonlight" if group["adjust_lr_fn"] == "match_rms_adamw" else "muon"
    return F[base if group["nesterov"] else f"{base}_polyak"]


ADAM = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0}

TORCH: dict[str, Torch] = {
    "SGD": Torch(
        _sgd,
        {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False},
        {"maximize": False, "foreach": None, "differentiable": False, "fused": None},
        shows_step=False,
        check=_check_sgd,
        others="With momentum it is Polyak 1964 (`sgd_momentum`), with nesterov Sutskever 2013 (`sgd_nesterov`).",
    ),
    "Adagrad": Torch(
        lambda group: F["adagrad"],
        {"lr": 1e-2, "lr_decay": 0, "weight_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10, "foreach": None},
        {"maximize": False, "differentiable": False, "fused": None},
        saves_all=True,
    ),
    "Adadelta": Torch(
        lambda group: F["adadelta"],
        {"lr": 1.0, "rho": 0.9, "eps": 1e-6, "weight_decay": 0, "foreach": None},
        {"capturable": False, "maximize": False, "differentiable": False},
    ),
    "RMSprop": Torch(
        _rmsprop,
        {
            "lr": 1e-2,
            "alpha": 0.99,
            "eps": 1e-8,
            "weight_decay": 0,
            "momentum": 0,
            "centered": False,
            "capturable": False,
            "foreach": None,
            "maximize": False,
            "differentiable": False,
        },
        {},
        others="centered=True is Graves 2013 (`rmsprop_centered`); momentum acts on the scaled gradient.",
    ),
    "Adam": Torch(
        _adam,
        {**ADAM, "amsgrad": False},
        {**RUN, "fused": None, "decoupled_weight_decay": False},
        others="amsgrad=True is Reddi, Kale & Kumar 2018 (`amsgrad`).",
    ),
    "AdamW": Torch(
        _adamw,
        {**ADAM, "weight_decay": 1e-2, "amsgrad": False},
        {"maximize": False, "foreach": None, "capturable": False, "differentiable": False, "fused": None},
        hidden={"decoupled_weight_decay": True},
        others="amsgrad=True is Reddi, Kale & Kumar 2018 with the same decay (`amsgradw`).",
    ),
    "Adamax": Torch(
        lambda group: F["adamax"],
        {**ADAM, "lr": 2e-3, "foreach": None},
        {"maximize": False, "differentiable": False, "capturable": False},
    ),
    "NAdam": Torch(
        lambda group: F["nadam"],
        {**ADAM, "lr": 2e-3, "momentum_decay": 4e-3, "decoupled_weight_decay": False},
        RUN,
    ),
    "RAdam": Torch(lambda group: F["radam"], {**ADAM, "decoupled_weight_decay": False}, RUN),
    "Rprop": Torch(
        lambda group: F["rprop"],
        {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50)},
        {"capturable": False, "foreach": None, "maximize": False, "differentiable": False},
    ),
    "ASGD": Torch(
        lambda group: F["asgd"],
        {
            "lr": 1e-2,
            "lambd": 1e-4,
            "alpha": 0.75,
            "t0": 1e6,
            "weight_decay": 0,
            "foreach": None,
            "maximize": False,
            "differentiable": False,
            "capturable": False,
        },
        {},
    ),
    "Adafactor": Torch(
        lambda group: F["adafactor"],
        {"lr": 1e-2, "beta2_decay": -0.8, "eps": (None, 1e-3), "d": 1.0, "weight_decay": 0.0},
        {"foreach": None, "maximize": False},
        others="Vectors have `adafactor_vector`. eps[0] of None is the precision of the parameter.",
    ),
    "Muon": Torch(
        _muon,
        {
            "lr": 1e-3,
            "weight_decay": 0.1,
            "momentum": 0.95,
            "nesterov": True,
            "ns_coefficients": COEFFICIENTS,
            "eps": 1e-7,
            "ns_steps": STEPS,
            "adjust_lr_fn": None,
        },
        {},
        shows_step=False,
        others="adjust_lr_fn='match_rms_adamw' is Liu et al. 2025 (`moonlight`). For matrices alone: vectors, and by\n"
        "custom the first and the last layer, go to another optimizer.",
    ),
}

# The other formulas that have a class of their own, under the name their authors write.
OTHERS: dict[str, str] = {
    "Momentum": "momentum",
    "NAG": "nag",
    "QHM": "qhm",
    "AggMo": "aggmo",
    "AccSGD": "accsgd",
    "PID": "pid",
    "PNM": "pnm",
    "SGDW": "sgdw",
    "RootMeanSquare": "root_mean_square",
    "RMSpropTF": "rmsprop_tf",
    "MADGRAD": "madgrad",
    "KATE": "kate",
    "FTRL": "ftrl",
    "SMORMS3": "smorms3",
    "AMSGrad": "amsgrad",
    "Yogi": "yogi",
    "AdaBelief": "adabelief",
    "Adan": "adan",
    "ADOPT": "adopt",
    "AdEMAMix": "ademamix",
    "QHAdam": "qhadam",
    "NAdamW": "nadamw",
    "LaProp": "laprop",
    "AdaPNM": "adapnm",
    "AdamD": "adamd",
    "AdamAtan2": "adam_atan2",
    "AdaX": "adax",
    "AdaBound": "adabound",
    "AMSBound": "amsbound",
    "AdaMod": "adamod",
    "Padam": "padam",
    "DiffGrad": "diffgrad",
    "SignSGD": "sign_sgd",
    "Signum": "signum",
    "Lion": "lion",
    "Tiger": "tiger",
    "Grams": "grams",
    "Ano": "ano",
    "PowerSign": "powersign",
    "AddSign": "addsign",
    "LARS": "lars",
    "LAMB": "lamb",
    "NovoGrad": "novograd",
    "Fromage": "fromage",
    "AdamNorm": "adamnorm",
    "StableAdamW": "stableadamw",
    "MARS": "mars",
    "CAME": "came",
    "SM3": "sm3",
    "AdamMini": "adam_mini",
    "DoG": "dog",
    "LDoG": "ldog",
    "DAdaptSGD": "dadapt_sgd",
    "DAdaptAdam": "dadapt_adam",
    "Prodigy": "prodigy",
    "Shampoo": "shampoo",
    "SOAP": "soap",
    "Kron": "kron",
    "ScheduleFreeSGD": "schedule_free_sgd",
    "ScheduleFreeAdamW": "schedule_free_adamw",
}


def _schedule_free(p: torch.Tensor, state: Group, group: Group) -> torch.Tensor:
    """Defazio et al. 2024, equation 5 for x: y = (1 - beta) z + beta x."""
    beta = group["momentum"] if "momentum" in group else group["betas"][0]
    return torch.lerp(p, state["z"], 1 - 1 / float(beta)) if float(beta) else p.clone()


# Where the parameters are scored, for formulas whose p is where gradients are taken.
SCORED: dict[str, Callable[[torch.Tensor, Group, Group], torch.Tensor]] = {
    "schedule_free_sgd": _schedule_free,
    "schedule_free_adamw": _schedule_free,
}


def _drop_in(name: str, of: Torch) -> type[Optimizer]:
    return make(
        name,
        read(F[name.lower()]),
        of.choose,
        settings=of.settings,
        flags=of.flags,
        hidden=of.hidden,
        shows_step=of.shows_step,
        saves_all=of.saves_all,
        check=of.check,
        module="downslope.optim",
        doc=f"A drop-in for torch.optim.{name}.\n\n{of.others}".strip(),
    )


def _own(name: str, formula: str) -> type[Optimizer]:
    function = F[formula]
    read_formula = read(function)
    return make(
        name,
        read_formula,
        lambda group: function,
        settings=dict(read_formula.settings),
        scored=SCORED.get(formula),
        module="downslope.optim",
    )


CLASSES: dict[str, type[Optimizer]] = {
    **{name: _drop_in(name, of) for name, of in TORCH.items()},
    **{name: _own(name, formula) for name, formula in OTHERS.items()},
}
