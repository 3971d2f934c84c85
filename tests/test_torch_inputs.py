"""torch's own inputs for its optimizers, given to ours of the same names."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, optim_db

from downslope.errors import StateError
from downslope.optim import CLASSES, TORCH
from downslope.optim.around import OWN
from optim_cases import give_gradients, parameters, take_steps

# Muon takes matrices alone, and torch's iterates in bfloat16: it has tests of its own, in test_optim_whole.py.
NAMES = [name for name in TORCH if name != "Muon"]
INFOS = {info.name: info for info in optim_db if info.name in NAMES}
every_drop_in = pytest.mark.parametrize("name", NAMES)

INPUTS = [
    pytest.param(name, given.kwargs, id=f"{name}-{given.desc}")
    for name, info in INFOS.items()
    for given in info.optim_inputs_func(device="cpu")
]
# How torch may be asked to run; ours takes the same words, and computes the same.
HOW = [
    pytest.param(name, {**given.kwargs, **how}, id=f"{name}-{given.desc}-{next(iter(how), 'plain')}")
    for name, info in INFOS.items()
    for given in info.optim_inputs_func(device="cpu")
    for how in ({}, *({word: True} for word in info.supported_impls))
    if not ("foreach" in how and "lr" in given.desc and isinstance(given.kwargs.get("lr"), torch.Tensor))
]

# What torch refuses and ours can do: a tensor is as good as a number everywhere.
ACCEPTED = (
    "lr as Tensor doesn't work with foreach & not capturable",
    "betas must be either both floats or both Tensors",
    r"betas\[0\] as a Tensor is not supported for capturable=False and foreach=True",
)
TOLERANCE = {
    torch.float64: {"rtol": 1e-10, "atol": 1e-12},
    torch.float32: {"rtol": 2e-5, "atol": 2e-6},
    torch.bfloat16: {"rtol": 6e-2, "atol": 6e-2},
    torch.complex64: {"rtol": 2e-5, "atol": 2e-6},
}
STEPS = 6


@pytest.fixture
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """torch keeps counts and products in the default dtype."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(before)


def test_torch_has_inputs_for_all() -> None:
    assert INFOS.keys() == {*NAMES} and len(INPUTS) > 60


def both(name: str, dtype: torch.dtype, kwargs: dict[str, Any]) -> list[torch.optim.Optimizer]:
    kwargs = {key: value.clone() if isinstance(value, torch.Tensor) else value for key, value in kwargs.items()}
    return [cls(parameters(dtype=dtype), **kwargs) for cls in (CLASSES[name], getattr(torch.optim, name))]


def assert_alike(ours: torch.optim.Optimizer, theirs: torch.optim.Optimizer, dtype: torch.dtype) -> None:
    """The same parameters, state dicts and groups, with the same keys."""
    a, b = ours.state_dict(), theirs.state_dict()
    assert a.keys() == b.keys() and a["param_groups"] == b["param_groups"]
    assert a["state"].keys() == b["state"].keys()
    for place, (p, q) in enumerate(zip(ours.param_groups[0]["params"], theirs.param_groups[0]["params"], strict=True)):
        torch.testing.assert_close(p, q, **TOLERANCE[dtype])
        mine, its = a["state"].get(place, {}), b["state"].get(place, {})
        assert mine.keys() == its.keys()
        for key, value in its.items():
            wanted = torch.as_tensor(value)
            kinds = (
                {wanted.dtype, torch.get_default_dtype()} if key == "step" else {wanted.dtype}
            )  # torch's fused: float32
            assert mine[key].dtype in kinds and mine[key].shape == wanted.shape, key
            torch.testing.assert_close(
                mine[key].to(wanted.dtype), wanted, **TOLERANCE[dtype], msg=lambda m, key=key: f"{key}: {m}"
            )


@pytest.mark.parametrize(("name", "kwargs"), HOW)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_same_results(name: str, kwargs: dict[str, Any], dtype: torch.dtype, default_dtype: None) -> None:
    ours, theirs = both(name, dtype, kwargs)
    for step in range(STEPS):
        for optimizer in (ours, theirs):
            for p in (params := optimizer.param_groups[0]["params"]):
                p.requires_grad_("differentiable" not in kwargs)  # torch changes only other tensors differentiably
            take_steps(optimizer, step, step + 1)
            assert all(p.grad is not None for p in params)
    assert_alike(ours, theirs, dtype)


@pytest.mark.parametrize(("name", "kwargs"), INPUTS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64], ids=str)
def test_same_results_in_other_dtypes(name: str, kwargs: dict[str, Any], dtype: torch.dtype) -> None:
    """bfloat16: torch rounds after each operation and ours once in a step, so only the first steps are alike."""
    if name == "Adafactor" and dtype.is_complex:
        pytest.skip("torch's takes real tensors alone")
    ours, theirs = both(name, dtype, kwargs)
    for optimizer in (ours, theirs):
        take_steps(optimizer, 0, 1 if dtype == torch.bfloat16 else STEPS)
    assert_alike(ours, theirs, dtype)


@every_drop_in
@pytest.mark.parametrize("steps", [0, 2])
def test_a_parameter_without_gradient_in_the_checkpoint(name: str, steps: int) -> None:
    """It goes on in torch with a first gradient of its own."""
    ours, theirs = both(name, torch.float32, {})
    for optimizer in (ours, theirs):
        _frozen, *rest = optimizer.param_groups[0]["params"]
        for step in range(steps):
            for p, grad in zip(rest, gradients(step)[1:], strict=True):
                p.grad = grad
            optimizer.step()
    assert_alike(ours, theirs, torch.float32)
    other = both(name, torch.float32, {})[1]
    other.load_state_dict(ours.state_dict())
    with torch.no_grad():
        for p, q in zip(other.param_groups[0]["params"], theirs.param_groups[0]["params"]):
            p.copy_(q)
    take_steps(other, steps, steps + 2)
    take_steps(theirs, steps, steps + 2)
    assert_alike(other, theirs, torch.float32)


def gradients(step: int) -> list[torch.Tensor]:
    give_gradients(params := parameters(), step)
    return [p.grad for p in params]


@every_drop_in
def test_signature_is_torchs_and_ours_comes_after(name: str) -> None:
    ours = inspect.signature(CLASSES[name]).parameters
    theirs = inspect.signature(getattr(torch.optim, name)).parameters
    assert list(ours) == [*theirs, *OWN]
    for key, wanted in theirs.items():
        assert ours[key].kind is wanted.kind and ours[key].default == wanted.default, key
        assert type(ours[key].default) is type(wanted.default), key
    assert all(ours[key].kind is inspect.Parameter.KEYWORD_ONLY for key in OWN)


@every_drop_in
def test_defaults_and_groups_are_torchs(name: str) -> None:
    ours, theirs = both(name, torch.float32, {})
    assert ours.defaults == theirs.defaults
    assert isinstance(ours, torch.optim.Optimizer)


@every_drop_in
def test_settings_by_position(name: str) -> None:
    places = [
        key
        for key, p in inspect.signature(getattr(torch.optim, name)).parameters.items()
        if p.kind is p.POSITIONAL_OR_KEYWORD and key != "params"
    ]
    values = [0.25, *(getattr(torch.optim, name)(parameters()).defaults[key] for key in places[1:])]
    ours, theirs = (cls(parameters(), *values) for cls in (CLASSES[name], getattr(torch.optim, name)))
    assert ours.defaults == theirs.defaults and ours.param_groups[0]["lr"] == 0.25


ERRORS = [
    pytest.param(name, error, id=f"{name}-{error.optimizer_error_input.desc}")
    for name, info in INFOS.items()
    for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float32)
]


@pytest.mark.parametrize(("name", "error"), ERRORS)
def test_error_inputs(name: str, error: Any) -> None:
    given = error.optimizer_error_input
    params = given.params if given.params is not None else parameters()
    if error.error_on is OptimizerErrorEnum.STEP_ERROR:
        optimizer = CLASSES[name](params, **given.kwargs)
        with pytest.raises(StateError, match="complex"):
            take_steps(optimizer, 0, 1)
        return
    if given.desc in ACCEPTED:
        take_steps(CLASSES[name](params, **given.kwargs), 0, 2)
    elif issubclass(error.error_type, Warning):
        with pytest.warns(error.error_type, match=error.error_regex):
            CLASSES[name](params, **given.kwargs)
    else:
        with warnings.catch_warnings(), pytest.raises(error.error_type):
            CLASSES[name](params, **given.kwargs)
