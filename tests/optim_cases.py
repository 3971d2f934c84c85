"""What the tests of the optimizers share: the table of variants, parameters, gradients, and states to compare."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
import torch

from downslope.compiler.plan import program
from downslope.formulas import FORMULAS
from downslope.optim import CLASSES, Optimizer, batch
from downslope.optim.classes import OTHERS

Variant = tuple[type[Optimizer], dict[str, Any]]

# Every formula by the class and the settings that choose it.
VARIANTS: dict[str, Variant] = {
    "sgd": (CLASSES["SGD"], {}),
    "sgd_momentum": (CLASSES["SGD"], {"momentum": 0.9}),
    "sgd_nesterov": (CLASSES["SGD"], {"momentum": 0.9, "nesterov": True}),
    "adagrad": (CLASSES["Adagrad"], {}),
    "adadelta": (CLASSES["Adadelta"], {}),
    "rmsprop": (CLASSES["RMSprop"], {}),
    "rmsprop_centered": (CLASSES["RMSprop"], {"centered": True}),
    "rmsprop_momentum": (CLASSES["RMSprop"], {"momentum": 0.9}),
    "rmsprop_centered_momentum": (CLASSES["RMSprop"], {"centered": True, "momentum": 0.9}),
    "adam": (CLASSES["Adam"], {}),
    "adamw": (CLASSES["AdamW"], {}),
    "amsgradw": (CLASSES["AdamW"], {"amsgrad": True}),
    "adamax": (CLASSES["Adamax"], {}),
    "nadam": (CLASSES["NAdam"], {}),
    "radam": (CLASSES["RAdam"], {}),
    "rprop": (CLASSES["Rprop"], {}),
    "asgd": (CLASSES["ASGD"], {}),
    **{formula: (CLASSES[name], {}) for name, formula in OTHERS.items() if not program(FORMULAS[formula]).whole},
}
# Those that look at whole tensors, in more than one pass; some have another formula for vectors.
WHOLE_VARIANTS: dict[str, Variant] = {
    "adafactor": (CLASSES["Adafactor"], {}),
    "adafactor_vector": (CLASSES["Adafactor"], {}),
    **{
        formula: (CLASSES[name], {})
        for name, of in OTHERS.items()
        for formula in (of, f"{of}_vector")
        if formula in FORMULAS and of not in VARIANTS and not program(FORMULAS[of]).needs_matrices
    },
}
# Those that take matrices only.
MATRIX_VARIANTS: dict[str, Variant] = {
    "muon": (CLASSES["Muon"], {}),
    "muon_polyak": (CLASSES["Muon"], {"nesterov": False}),
    "moonlight": (CLASSES["Muon"], {"adjust_lr_fn": "match_rms_adamw"}),
    "moonlight_polyak": (CLASSES["Muon"], {"adjust_lr_fn": "match_rms_adamw", "nesterov": False}),
    "shampoo": (CLASSES["Shampoo"], {}),
    "soap": (CLASSES["SOAP"], {}),
    "kron": (CLASSES["Kron"], {}),
}
MATRICES = ((7, 6), (3, 9), (3, 4, 2, 2))
every_variant = pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)

SHAPES = ((7, 6), (5,), (), (3, 4, 2, 2), (33,))


def parameters(*shapes: tuple[int, ...], dtype: torch.dtype = torch.float32) -> list[torch.nn.Parameter]:
    """The same random parameters in every call."""
    generator = torch.Generator().manual_seed(3)
    values = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes or SHAPES]
    return [torch.nn.Parameter(value.to(dtype)) for value in values]


def parameters_for(cls: type[Optimizer]) -> list[torch.nn.Parameter]:
    return parameters(*(MATRICES if any(cls is c for c, _ in MATRIX_VARIANTS.values()) else SHAPES))


def give_gradients(params: Iterable[torch.Tensor], step: int) -> None:
    """The same random gradients for the same step, of several sizes and with a few zeros."""
    generator = torch.Generator().manual_seed(100 + step)
    for p in params:
        size = 10 ** torch.empty(p.shape, dtype=torch.float64).uniform_(-3, 1, generator=generator)
        g = size * torch.randn(p.shape, generator=generator, dtype=torch.float64)
        g[torch.rand(p.shape, generator=generator) < 0.1] = 0
        p.grad = g.to(p.dtype)


def take_steps(optimizer: torch.optim.Optimizer, first: int, last: int, smooth: bool = False) -> None:
    """Steps `first` to `last`, without the latter, each with the gradients of that step."""
    for step in range(first, last):
        give_gradients((p for group in optimizer.param_groups for p in group["params"]), step)
        for p in (p for group in optimizer.param_groups for p in group["params"]) if smooth else ():
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(step), dtype=p.dtype)
        optimizer.step()


def contents(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Each parameter's value and its states, as copies."""
    return [
        {"p": p.detach().clone(), **{k: v.clone() for k, v in optimizer.state[p].items() if v is not None}}
        for group in optimizer.param_groups
        for p in group["params"]
    ]


def assert_same_bits(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer) -> None:
    for place, (a, b) in enumerate(zip(contents(ours), contents(theirs), strict=True)):
        assert a.keys() == b.keys()
        for name in a:
            assert a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]), f"{name} of parameter {place}"


def assert_close(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer, rtol: float, atol: float) -> None:
    for place, (a, b) in enumerate(zip(contents(ours), contents(theirs), strict=True)):
        assert a.keys() == b.keys()
        for name in a:
            torch.testing.assert_close(
                a[name],
                b[name],
                rtol=rtol,
                atol=atol,
                equal_nan=True,
                msg=lambda m, what=f"{name} of parameter {place}": f"{what}: {m}",
            )


@contextmanager
def eagerly() -> Iterator[None]:
    """Inside, an optimizer's first step goes through torch operations, and so do its later ones."""
    with mock.patch.object(batch, "native", lambda *_: False):
        yield
