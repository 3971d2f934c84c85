"""What stands around a formula, against the plain sequence of torch operations."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from downslope import SettingError, StateError
from downslope.compiler.trace import trace
from downslope.formulas import FORMULAS
from downslope.optim import SGD, Adam, Optimizer
from optim_cases import (
    VARIANTS,
    Variant,
    assert_close,
    assert_same_bits,
    contents,
    every_variant,
    parameters,
    take_steps,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "coupled": {"weight_decay": 0.1},
    "decoupled": {"weight_decay": 0.1, "decoupled_weight_decay": True},
    "maximize": {"maximize": True},
    "max_norm": {"max_norm": 0.7},
    "clip_value": {"clip_value": 0.05},
    "ema": {"ema": 0.8},
    "skip_nonfinite": {"skip_nonfinite": True},
}
DECAYED_BY_THE_FORMULA = {
    name for name, formula in FORMULAS.items() if "weight_decay" in (formula.__kwdefaults__ or {})
}


def has(formula: str, option: str) -> bool:
    """Whether an optimizer takes an option around its formula; torch's names have what torch has."""
    known = VARIANTS[formula][0].setting_defaults
    if option in ("coupled", "decoupled") and formula in DECAYED_BY_THE_FORMULA:
        return False
    if option == "decoupled" and "p" in trace(FORMULAS[formula]).states.values():
        return False  # torch's sweep decays p before the first step, and so before such a state begins at it
    return not {"weight_decay", "decoupled_weight_decay"} & {*OPTIONS[option]} - {*known}


ALONE = [pytest.param(VARIANTS[f], name, id=f"{f}-{name}") for f in VARIANTS for name in OPTIONS if has(f, name)]
PAIRS = [pair for pair in itertools.combinations(OPTIONS, 2) if pair != ("coupled", "decoupled")]
EVERYTHING = [
    tuple(name for name in OPTIONS if name != "coupled"),
    tuple(name for name in OPTIONS if name != "decoupled"),
]


class Sequence:
    """The options as separate sweeps of torch operations around a plain optimizer, in the order that torch users have:
    clip the gradients by norm, then by value; the optimizer negates and decays; then the average."""

    def __init__(self, plain: Optimizer, options: dict[str, Any]):
        self.plain, self.options = plain, options
        self.params = [p for group in plain.param_groups for p in group["params"]]
        self.average = [p.detach().clone() for p in self.params]

    @torch.no_grad()
    def step(self, grads: list[torch.Tensor]) -> None:
        for p, g in zip(self.params, grads):
            p.grad = g.clone()
        if "max_norm" in self.options:
            torch.nn.utils.clip_grad_norm_(self.params, self.options["max_norm"])
        if "clip_value" in self.options:
            torch.nn.utils.clip_grad_value_(self.params, self.options["clip_value"])
        for group in self.plain.param_groups:
            for p in group["params"]:
                if self.options.get("maximize"):
                    p.grad.neg_()
                if self.options.get("decoupled_weight_decay"):
                    p.mul_(1 - group["lr"] * self.options["weight_decay"])
                elif "weight_decay" in self.options:
                    p.grad.add_(p, alpha=self.options["weight_decay"])
        self.plain.step()
        for p, mean in zip(self.params, self.average):
            mean.lerp_(p, 1 - self.options.get("ema", 0.0))


def check(variant: Variant, names: tuple[str, ...], *shapes: tuple[int, ...]) -> None:
    cls, settings = variant
    options = {key: value for name in names for key, value in OPTIONS[name].items()}
    ours = cls(parameters(*shapes, dtype=torch.float64), **settings, **options)
    apart = Sequence(cls(parameters(*shapes, dtype=torch.float64), **settings), options)
    for step in range(5):
        take_steps(ours, step, step + 1)
        apart.step([p.grad for p in ours.param_groups[0]["params"]])
    for p, q, mean in zip(ours.param_groups[0]["params"], apart.params, apart.average):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-7)
        if "ema" in options:
            torch.testing.assert_close(ours.state[p]["ema"], mean, rtol=1e-5, atol=1e-7)
        for name, value in apart.plain.state[q].items():
            torch.testing.assert_close(ours.state[p][name], value, rtol=1e-5, atol=1e-7, msg=name)


@pytest.mark.parametrize(("variant", "name"), ALONE)
def test_alone(variant: Variant, name: str) -> None:
    check(variant, (name,))


@pytest.mark.parametrize("names", [*PAIRS, *EVERYTHING], ids="-".join)
def test_together(names: tuple[str, ...]) -> None:
    check(VARIANTS["adam"], names)
    check(VARIANTS["qhm"], names)


def test_many_tensors_share_one_norm() -> None:
    shapes = [(n % 7 + 1, n % 5 + 1) for n in range(120)]
    check(VARIANTS["adam"], ("max_norm",), *shapes, (70_000,))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.complex64], ids=str)
def test_groups_and_kinds_share_one_norm(dtype: torch.dtype) -> None:
    """The norm is over all groups, whatever their formulas, precisions and layouts."""
    first, second = parameters((5, 4), (33,), dtype=torch.float64), parameters((6, 3), (2,), dtype=dtype)
    second[0] = torch.nn.Parameter(second[0].detach().t())
    ours = Adam([{"params": first}, {"params": second, "amsgrad": True, "lr": 0.01}], max_norm=0.5)
    take_steps(ours, 0, 1)
    norm = torch.linalg.vector_norm(
        torch.stack([torch.linalg.vector_norm(p.grad).abs().double() for p in first + second])
    )
    coefficient = float(0.5 / (norm + 1e-6))
    assert coefficient < 0.5
    for p in first + second:
        wanted = 0.1 * coefficient * p.grad
        torch.testing.assert_close(
            ours.state[p]["exp_avg"], wanted.to(p.dtype), rtol=2e-2 if p.dtype.itemsize == 2 else 1e-5, atol=1e-9
        )


def test_a_norm_below_the_limit_changes_nothing() -> None:
    clipped, plain = Adam(parameters(), max_norm=1e9), Adam(parameters())
    take_steps(clipped, 0, 3)
    take_steps(plain, 0, 3)
    assert_close(clipped, plain, rtol=1e-6, atol=1e-8)


def test_a_norm_of_nan_reaches_the_parameters_unless_skipped() -> None:
    """As after clip_grad_norm_: a broken step shows."""
    optimizer = SGD(parameters((3,), (2,)), lr=0.1, max_norm=1.0)
    p, q = optimizer.param_groups[0]["params"]
    p.grad, q.grad = torch.tensor([1.0, torch.nan, 1.0]), torch.ones(2)
    optimizer.step()
    assert p.isnan().all() and q.isnan().all()


@every_variant
@pytest.mark.parametrize("bad", [torch.nan, torch.inf, -torch.inf], ids=str)
def test_skip_nonfinite(variant: Variant, bad: float) -> None:
    """One bad entry of one tensor: nothing changes at all, the step is counted, and the next one goes on."""
    cls, settings = variant
    optimizer = cls(parameters(), skip_nonfinite=True, ema=0.9, max_norm=1.0, **settings)
    straight = cls(parameters(), skip_nonfinite=True, ema=0.9, max_norm=1.0, **settings)
    take_steps(optimizer, 0, 2)
    take_steps(straight, 0, 3)
    before, versions = contents(optimizer), [p._version for p in optimizer.param_groups[0]["params"]]
    optimizer.param_groups[0]["params"][3].grad.view(-1)[40] = bad
    optimizer.step()
    torch.testing.assert_close(contents(optimizer), before, rtol=0, atol=0)
    assert [p._version for p in optimizer.param_groups[0]["params"]] == versions
    assert (optimizer.skipped_steps, optimizer.steps) == (1, 2)
    take_steps(optimizer, 2, 3)
    assert_same_bits(optimizer, straight)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.complex64, torch.float64], ids=str)
def test_skip_nonfinite_in_eager_parameters(dtype: torch.dtype) -> None:
    (p,) = parameters((4,), dtype=dtype)
    optimizer = Adam([p], skip_nonfinite=True)
    p.grad = torch.full_like(p, torch.nan)
    optimizer.step()
    assert optimizer.skipped_steps == 1 and torch.equal(p, parameters((4,), dtype=dtype)[0])


def test_large_gradients_are_not_taken_for_infinite_ones() -> None:
    """Their squares overflow, they do not."""
    p = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = SGD([p], lr=1e-200, skip_nonfinite=True)
    p.grad = torch.full_like(p, 1e200)
    optimizer.step()
    assert optimizer.skipped_steps == 0 and (p.abs() < 1e-9).all()


# ---- the average


def test_swap_average() -> None:
    optimizer = Adam(parameters(), ema=0.5, lr=0.1)
    take_steps(optimizer, 0, 3)
    params, before = optimizer.param_groups[0]["params"], contents(optimizer)
    with optimizer.swap_average():
        for p, then in zip(params, before):
            assert torch.equal(p, then["ema"]) and not torch.equal(p, then["p"])
        with pytest.raises(StateError, match="leave swap_average"):
            optimizer.step()
    torch.testing.assert_close(contents(optimizer), before, rtol=0, atol=0)
    with pytest.raises(ZeroDivisionError), optimizer.swap_average():
        _ = 1 / 0
    torch.testing.assert_close(contents(optimizer), before, rtol=0, atol=0)
    take_steps(optimizer, 3, 4)


def test_swap_average_needs_one() -> None:
    with pytest.raises(SettingError, match=r"Adam: keeps no average; make it with ema=0\.999"):
        Adam(parameters()).swap_average().__enter__()


def test_the_average_equals_torchs() -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    torch.manual_seed(0)
    model = torch.nn.Linear(5, 4)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9))
    theirs.update_parameters(model)  # its first is a copy, as ours starts at the parameters
    optimizer = SGD(model.parameters(), lr=0.1, ema=0.9)
    for step in range(4):
        take_steps(optimizer, step, step + 1)
        theirs.update_parameters(model)
    with optimizer.swap_average():
        for p, q in zip(model.parameters(), theirs.module.parameters()):
            torch.testing.assert_close(p, q)


def test_decoupled_weight_decay_needs_a_learning_rate() -> None:
    from downslope import optimizer

    @optimizer
    def fixed(p, g, *, rate=0.1):
        return p - rate * g

    with pytest.raises(SettingError, match=r"fixed: decoupled weight decay .* no setting `lr`"):
        fixed(parameters(), weight_decay=0.1, decoupled_weight_decay=True)
