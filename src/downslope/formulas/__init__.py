"""The optimizers, each as the formula in its paper.

`FORMULAS` has them by name, in the order of their families. Where torch.optim has the optimizer, the names of settings
and states, their defaults and the mathematics are torch's; elsewhere they are the paper's and its authors' code's, and
the docstring says where the two differ.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import (
    adagrad,
    adam,
    averaging,
    bounded,
    factored,
    free,
    layerwise,
    matrix,
    precondition,
    sgd,
    sign,
    variants,
)

FORMULAS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        sgd.sgd,
        sgd.sgd_momentum,
        sgd.sgd_nesterov,
        sgd.momentum,
        sgd.nag,
        sgd.qhm,
        sgd.aggmo,
        sgd.accsgd,
        sgd.pid,
        sgd.pnm,
        sgd.sgdw,
        adagrad.adagrad,
        adagrad.root_mean_square,
        adagrad.adadelta,
        adagrad.rmsprop,
        adagrad.rmsprop_centered,
        adagrad.rmsprop_momentum,
        adagrad.rmsprop_centered_momentum,
        adagrad.rmsprop_tf,
        adagrad.madgrad,
        adagrad.kate,
        adagrad.ftrl,
        adagrad.smorms3,
        adam.adam,
        adam.adamw,
        adam.amsgrad,
        adam.amsgradw,
        adam.adamax,
        adam.nadam,
        adam.radam,
        adam.yogi,
        adam.adabelief,
        adam.adan,
        adam.adopt,
        adam.ademamix,
        adam.qhadam,
        variants.nadamw,
        variants.laprop,
        variants.adapnm,
        variants.adamd,
        variants.adam_atan2,
        variants.adax,
        bounded.adabound,
        bounded.amsbound,
        bounded.adamod,
        bounded.padam,
        bounded.diffgrad,
        sign.rprop,
        sign.signum,
        sign.lion,
        sign.sign_sgd,
        sign.tiger,
        sign.grams,
        sign.ano,
        sign.powersign,
        sign.addsign,
        layerwise.lars,
        layerwise.lamb,
        layerwise.novograd,
        layerwise.fromage,
        layerwise.adamnorm,
        layerwise.stableadamw,
        layerwise.mars,
        factored.adafactor,
        factored.adafactor_vector,
        factored.came,
        factored.came_vector,
        factored.sm3,
        factored.adam_mini,
        factored.adam_mini_vector,
        free.dog,
        free.ldog,
        free.dadapt_sgd,
        free.dadapt_adam,
        free.prodigy,
        averaging.asgd,
        averaging.schedule_free_sgd,
        averaging.schedule_free_adamw,
        matrix.muon,
        matrix.muon_polyak,
        matrix.moonlight,
        matrix.moonlight_polyak,
        precondition.shampoo,
        precondition.soap,
        precondition.kron,
    )
}

# Formulas that have another one for vectors and single numbers, as the papers say: where rows and columns are factored,
# a vector has nothing to factor.
VECTORS: dict[Callable[..., Any], Callable[..., Any]] = {
    factored.adafactor: factored.adafactor_vector,
    factored.came: factored.came_vector,
    factored.adam_mini: factored.adam_mini_vector,
}

__all__ = ["FORMULAS", "VECTORS"]
