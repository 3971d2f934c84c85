"""Optimizers made of a user's own formula."""

from __future__ import annotations

import copy
import inspect
import math
import pickle
from typing import Any

import pytest
import torch

import downslope
from downslope import FormulaError, SettingError, sqrt, where
from downslope.optim import SGD, Adam, RMSprop
from optim_cases import assert_close, assert_same_bits, parameters, take_steps

SCALE = 2.0


def mixed(a: Any, b: Any, share: Any) -> Any:
    """A helper of the author's."""
    return share * a + (1 - share) * b


@downslope.optimizer
def scaled_rms(p, g, square=0, *, t, lr=0.01, alpha=0.9, eps=1e-8):
    """Of nobody, 2026."""
    square = mixed(square, g**2, alpha)
    return p - lr * g / (math.sqrt(SCALE) * sqrt(square / (1 - alpha**t)) + eps), square


def plain_step(p, g, *, lr=0.5):
    return p - lr * g


Called = downslope.optimizer(plain_step)


def test_decorated() -> None:
    optimizer = scaled_rms(parameters(), lr=0.02)
    take_steps(optimizer, 0, 4)
    params, squares = parameters(), [torch.zeros(()) for _ in parameters()]
    theirs = SGD(params, lr=1.0)
    for step in range(4):
        take_steps(SGD(copies := parameters(), lr=0.0), step, step + 1)
        for i, (p, q) in enumerate(zip(params, copies)):
            squares[i] = 0.9 * squares[i] + 0.1 * q.grad**2
            p.grad = 0.02 * q.grad / (2**0.5 * (squares[i] / (1 - 0.9 ** (step + 1))).sqrt() + 1e-8)
        theirs.step()
    for p, q, square in zip(optimizer.param_groups[0]["params"], params, squares):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(optimizer.state[p]["square"], square, rtol=1e-5, atol=1e-9)
        assert optimizer.state[p].keys() == {"step", "square"}


def test_what_it_looks_like() -> None:
    assert isinstance(scaled_rms, type) and issubclass(scaled_rms, torch.optim.Optimizer)
    assert scaled_rms.__name__ == "scaled_rms" and scaled_rms.__doc__ == "Of nobody, 2026."
    signature = str(inspect.signature(scaled_rms))
    assert signature.startswith("(params, lr=0.01, alpha=0.9, eps=1e-08, weight_decay=0.0, *, maximize=False")
    assert downslope.optimizer(plain_step) is Called


def test_in_six_lines_it_is_torchs_rmsprop() -> None:
    @downslope.optimizer
    def rms(p, g, square_avg=0, *, lr=1e-2, alpha=0.99, eps=1e-8):
        square_avg = alpha * square_avg + (1 - alpha) * g**2
        return p - lr * g / (sqrt(square_avg) + eps), square_avg

    ours, theirs = rms(parameters(), weight_decay=0.1), RMSprop(parameters(), weight_decay=0.1)
    take_steps(ours, 0, 3)
    take_steps(theirs, 0, 3)
    for p, q in zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"]):
        assert torch.equal(p, q) and torch.equal(ours.state[p]["square_avg"], theirs.state[q]["square_avg"])


@pytest.mark.parametrize("cls", [scaled_rms, Called], ids=["decorator", "call"])
def test_pickled_by_name(cls: type) -> None:
    one = cls(parameters(), max_norm=1.0)
    take_steps(one, 0, 2)
    other = pickle.loads(pickle.dumps(one))
    assert type(other) is cls
    take_steps(one, 2, 4)
    take_steps(other, 2, 4)
    assert_same_bits(one, other)


def test_a_local_formula_is_copied_but_not_pickled() -> None:
    @downslope.optimizer
    def local(p, g, *, lr=0.1):
        return p - lr * g

    one = local(parameters())
    take_steps(one, 0, 1)
    assert type(copy.deepcopy(one)) is local
    with pytest.raises((pickle.PicklingError, AttributeError), match="local"):
        pickle.dumps(one)


def test_settings_get_the_checks_of_their_names() -> None:
    with pytest.raises(SettingError, match="scaled_rms: lr is -1; it must be at least 0"):
        scaled_rms(parameters(), lr=-1)
    with pytest.raises(SettingError, match="scaled_rms: has no setting 'alfa'; did you mean alpha"):
        scaled_rms(parameters(), alfa=0.5)


def test_a_default_of_the_authors_is_never_refused() -> None:
    @downslope.optimizer
    def wild(p, g, *, lr=0.1, betas=(1.5, -0.5)):
        return p - lr * (betas[0] + betas[1]) * g

    take_steps(wild(parameters(), betas=(2.0, -1.0)), 0, 1)


FORMULA_ERRORS = [
    (lambda p, g: (p, g), "returns 2 values but has p and no state"),
    (lambda p, g, v=0: p - g, r"returns 1 value but has p and the state \(v\)"),
    (lambda p: p, "the first two must be the parameter and its gradient"),
    (lambda p, g, v: (p, v), "`v` has no value to start from"),
    (lambda p, g, *, lr: p - lr * g, "the setting `lr` has no default"),
    (lambda p, g: p if g > 0 else g, r"write where\(condition, a, b\)"),
    (lambda p, g: p - torch.sqrt(g), "use downslope.sqrt"),
    (lambda p, g: p - g.mean(), r"`.mean` on `g`: a formula is element-wise"),
    (lambda p, g: p - squrt(g), r"of downslope's functions did you mean sqrt"),  # noqa: F821
    (lambda p, g, *, max_norm=1.0: p - max_norm * g, "`max_norm` has a meaning of its own"),
    (3, "a formula is a function, such as"),
]


@pytest.mark.parametrize(("formula", "message"), FORMULA_ERRORS, ids=[m for _, m in FORMULA_ERRORS])
def test_formula_errors(formula: Any, message: str) -> None:
    with pytest.raises(FormulaError, match=message):
        downslope.optimizer(formula)


# ---- differentiable


DIFFERENTIABLE: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("Adam", {}),
    ("RMSprop", {}),
    ("Adagrad", {}),
    ("Adamax", {}),
]


@pytest.mark.parametrize(("name", "settings"), DIFFERENTIABLE, ids=str)
def test_the_gradient_flows_to_the_learning_rate(name: str, settings: dict[str, Any]) -> None:
    """Through three steps, against differences; torch's own optimizers agree where they can do it at all."""

    def end(lr: torch.Tensor) -> torch.Tensor:
        start = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64, requires_grad=True)
        p = start * 1  # no leaf, so that it may be changed differentiably
        optimizer = getattr(downslope.optim, name)([start], lr=lr, differentiable=True, **settings)
        optimizer.param_groups[0]["params"] = [p]
        for step in range(3):
            p.grad = torch.tensor([0.3, -0.7, 1.1], dtype=torch.float64) * (step + 1)
            optimizer.step()
        return p.square().sum()

    torch.autograd.gradcheck(end, torch.tensor(0.1, dtype=torch.float64, requires_grad=True))


def test_the_gradient_flows_to_the_momentum() -> None:
    """It needs the buffer as it was before each step, which the step overwrites."""

    def end(momentum: torch.Tensor) -> torch.Tensor:
        p = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True) * 1
        optimizer = SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1, momentum=momentum, differentiable=True)
        optimizer.param_groups[0]["params"] = [p]
        for step in range(3):
            p.grad = torch.tensor([0.3, -0.7], dtype=torch.float64) * (step + 1)
            optimizer.step()
        return p.square().sum()

    torch.autograd.gradcheck(end, torch.tensor(0.8, dtype=torch.float64, requires_grad=True))


def test_the_gradient_equals_torchs() -> None:
    found = []
    for cls in (SGD, torch.optim.SGD):
        lr = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
        p = parameters((4,), dtype=torch.float64)[0] * 1
        optimizer = cls([torch.nn.Parameter(torch.ones(4))], lr=lr, weight_decay=0.3, differentiable=True)
        optimizer.param_groups[0]["params"] = [p]
        for step in range(3):
            p.grad = torch.arange(4.0, dtype=torch.float64) - step
            optimizer.step()
        p.square().sum().backward()
        found.append(lr.grad)
    torch.testing.assert_close(found[0], found[1])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64, torch.complex128], ids=str)
def test_other_kinds_of_parameters(dtype: torch.dtype) -> None:
    @downslope.optimizer
    def clipped(p, g, v=0, *, lr=0.1, beta=0.5):
        v = beta * v + g
        return p - lr * where(v > 1, 1, v), v

    p = torch.nn.Parameter(torch.ones(2, dtype=dtype))
    p.grad = torch.tensor([4.0, 0.5]).to(dtype)
    optimizer = clipped([p])
    optimizer.step()
    torch.testing.assert_close(p.detach(), torch.tensor([0.9, 0.95]).to(dtype))
    assert optimizer.state[p]["v"].dtype == dtype


def test_states_start_where_the_formula_says() -> None:
    @downslope.optimizer
    def anchored(p, g, first="p", rate="lr", seven=7, *, lr=0.1, pull=0.5):
        return p - rate * g + pull * (first - p), first, rate, seven

    optimizer = anchored(parameters((3,)), lr=0.25)
    (p,) = optimizer.param_groups[0]["params"]
    start = p.detach().clone()
    take_steps(optimizer, 0, 1)
    state = optimizer.state[p]
    assert torch.equal(state["first"], start) and float(state["rate"]) == 0.25 and float(state["seven"]) == 7
    torch.testing.assert_close(p.detach(), start - 0.25 * p.grad)


def test_a_formula_as_adam_equals_adam() -> None:
    """The same formula through the decorator, also with everything around it."""
    from downslope.formulas import FORMULAS

    options = {"max_norm": 0.5, "ema": 0.9, "weight_decay": 0.1, "maximize": True}
    ours, dropin = downslope.optimizer(FORMULAS["adam"])(parameters(), **options), Adam(parameters(), **options)
    take_steps(ours, 0, 3)
    take_steps(dropin, 0, 3)
    assert_close(ours, dropin, rtol=0, atol=0)
