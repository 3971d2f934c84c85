"""Every optimizer does what its formula's reference does, compiled, in double and in single precision."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from downslope.backends import cpu
from downslope.formulas import FORMULAS, VECTORS
from optim_cases import (
    MATRIX_VARIANTS,
    VARIANTS,
    WHOLE_VARIANTS,
    Variant,
    eagerly,
    every_variant,
    give_gradients,
    parameters,
    parameters_for,
    take_steps,
)
from reference import Reference
from references import CASES
from test_formulas import named

STEPS = 50


@pytest.fixture
def float64() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


def test_each_formula_has_a_class() -> None:
    every = VARIANTS | WHOLE_VARIANTS | MATRIX_VARIANTS
    assert every.keys() == FORMULAS.keys()
    for name, (cls, settings) in every.items():
        optimizer = cls(parameters_for(cls), **settings)
        chosen = type(optimizer).choose(optimizer.param_groups[0])
        assert FORMULAS[name] in (chosen, VECTORS.get(chosen))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", CASES, ids=named)
def test_equals_the_reference(case: tuple[Reference, dict[str, Any]]) -> None:
    reference, settings = case
    cls, choice = (VARIANTS | WHOLE_VARIANTS | MATRIX_VARIANTS)[reference.formula]
    their_params, our_params = (parameters(*reference.shapes, dtype=torch.float64) for _ in range(2))
    theirs = reference.make(their_params, **settings)
    ours = cls(our_params, **{**choice, **settings})
    for step in range(STEPS):
        take_steps(theirs, step, step + 1, reference.smooth)
        take_steps(ours, step, step + 1, reference.smooth)
        assert not ours._batch._slow, "not compiled"
        for ours_p, theirs_p in zip(our_params, their_params):
            same = {"p": (ours_p, theirs_p)} | {
                state: (ours.state[ours_p][state], theirs.state[theirs_p][key])
                for state, key in reference.states.items()
            }
            for name, (a, b) in same.items():
                a, b = torch.as_tensor(a), torch.as_tensor(b)
                torch.testing.assert_close(
                    a, b, rtol=10 * reference.rtol, atol=reference.rtol / 10, msg=f"{name} after step {step + 1}"
                )


def in_double(variant: Variant, of: torch.optim.Optimizer, noise: float = 0.0) -> list[dict[str, torch.Tensor]]:
    """Parameters and states after one step from the optimizer's state, by the meaning: eager, in double precision.
    Every number that goes in is off by a random share of `noise`."""
    cls, settings = variant
    generator = torch.Generator().manual_seed(1)

    def double(t: torch.Tensor) -> torch.Tensor:
        t = t.detach().double()
        return t + t * noise * (2 * torch.rand(t.shape, generator=generator, dtype=t.dtype) - 1)

    params = [torch.nn.Parameter(double(p)) for p in of.param_groups[0]["params"]]
    twin = cls(params, **settings)
    for p, q in zip(params, of.param_groups[0]["params"]):
        p.grad = double(q.grad)
        twin.state[p] = {k: v.clone() if k == "step" else double(v) for k, v in of.state.get(q, {}).items()}
    with eagerly():
        twin.step()
    return [{"p": p.detach(), **twin.state[p]} for p in params]


@every_variant
def test_single_precision_keeps_to_the_meaning(variant: Variant) -> None:
    """One step at a time from the same state. Entries that rounding alone throws off (a sign, a difference) are few."""
    cls, settings = variant
    params = parameters((50, 41), (7,), ())
    optimizer = cls(params, **settings)
    apart = total = 0
    for step in range(8):
        give_gradients(params, step)
        meant, shaken = in_double(variant, optimizer), in_double(variant, optimizer, noise=1e-6)
        optimizer.step()
        assert not optimizer._batch._slow, "not compiled"
        for p, right, other in zip(params, meant, shaken):
            assert right.keys() - {"p"} == optimizer.state[p].keys()
            for name, value in right.items():
                found = (p.detach() if name == "p" else optimizer.state[p][name]).double()
                value, other_value = value.double(), other[name].double()
                fragile = (value - other_value).abs() > 1e-4 * value.abs() + 1e-6
                apart, total = apart + int(fragile.sum()), total + fragile.numel()
                torch.testing.assert_close(
                    torch.where(fragile, 0, found), torch.where(fragile, 0, value), rtol=2e-5, atol=1e-6, msg=name
                )
    assert apart <= 0.005 * total


@every_variant
def test_compiles_once(variant: Variant, monkeypatch: pytest.MonkeyPatch) -> None:
    cls, settings = variant
    compiled: list[str] = []
    compile_, names = cpu._compile, {"update"}
    monkeypatch.setattr(cpu, "_compile", lambda ir, name: (compiled.append(name), compile_(ir, name))[1])
    cpu.update.cache_clear()
    optimizer = cls(parameters(), **settings)
    take_steps(optimizer, 0, 1)
    assert names & {*compiled}, "nothing was compiled at all"
    compiled.clear()
    take_steps(optimizer, 1, 3)
    optimizer.param_groups[0]["lr"] = 0.5
    take_steps(optimizer, 3, 5)
    cls(parameters(), **settings).zero_grad()
    take_steps(cls(parameters(), **settings), 0, 2)
    assert compiled == []
