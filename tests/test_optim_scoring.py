"""Where a model is scored with other parameters than those that are trained: averages, and schedule-free rules."""

import pytest
import schedulefree
import torch

from downslope.errors import StateError
from downslope.optim import SGD, AdamW, Muon, Route, ScheduleFreeAdamW, ScheduleFreeSGD
from optim_cases import parameters, take_steps

MAKE = {
    "schedule-free SGD": lambda params: ScheduleFreeSGD(params, lr=0.1),
    "schedule-free AdamW": lambda params: ScheduleFreeAdamW(params, lr=0.01),
    "an average": lambda params: AdamW(params, lr=0.01, ema=0.9),
    "two rules": lambda params: Route(
        [(f"p{i}", p) for i, p in enumerate(params)], {2: Muon(lr=0.01), "rest": ScheduleFreeAdamW(lr=0.01)}
    ),
}
every = pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
SHAPES = ((7, 6), (5,), (3, 4, 2))


@every
def test_what_is_replaced_comes_back_bitwise_and_changes_nothing(make) -> None:
    looked, plain = (make(parameters(*SHAPES)) for _ in range(2))
    for step in range(6):
        take_steps(looked, step, step + 1)
        take_steps(plain, step, step + 1)
        trained = [p.detach().clone() for g in looked.param_groups for p in g["params"]]
        with looked.scoring():
            scored = [p.detach().clone() for g in looked.param_groups for p in g["params"]]
            looked.eval()  # a second time is the first
        after = [p for g in looked.param_groups for p in g["params"]]
        assert all(torch.equal(a, b) for a, b in zip(trained, after))
    assert any(not torch.equal(a, b) for a, b in zip(trained, scored))
    looked.train()
    for a, b in zip(looked.param_groups, plain.param_groups):
        assert all(torch.equal(p, q) for p, q in zip(a["params"], b["params"]))


@every
def test_nothing_else_happens_meanwhile(make) -> None:
    optimizer = make(parameters(*SHAPES))
    take_steps(optimizer, 0, 2)
    optimizer.eval()
    with pytest.raises(StateError, match=r"call train\(\), or leave swap_average\(\), before the next step"):
        take_steps(optimizer, 2, 3)
    with pytest.raises(StateError, match=r"before state_dict\(\)"):
        optimizer.state_dict()
    optimizer.train()
    take_steps(optimizer, 2, 3)
    optimizer.state_dict()


def test_of_others_the_parameters_are_those_that_are_trained() -> None:
    optimizer = AdamW(parameters(*SHAPES))
    take_steps(optimizer, 0, 1)
    optimizer.eval()
    take_steps(optimizer, 1, 2)
    assert not optimizer.scores_elsewhere


@pytest.mark.parametrize("name, settings", [("SGD", {"momentum": 0.8}), ("AdamW", {"betas": (0.8, 0.99)})])
def test_it_is_the_authors_point(name, settings) -> None:
    ours, theirs = (parameters(*SHAPES, dtype=torch.float64) for _ in range(2))
    one = {"SGD": ScheduleFreeSGD, "AdamW": ScheduleFreeAdamW}[name](ours, lr=0.1, **settings)
    other = getattr(schedulefree, f"{name}ScheduleFree")(theirs, lr=0.1, foreach=False, **settings)
    other.train()
    for step in range(12):
        take_steps(one, step, step + 1)
        take_steps(other, step, step + 1)
        one.eval()
        other.eval()
        for a, b in zip(ours, theirs):
            torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)  # the sum of weights is kept in float32
        one.train()
        other.train()


def test_without_a_schedule_it_settles_where_descent_jumps_about() -> None:
    errors = []
    for make in (ScheduleFreeSGD, SGD):
        torch.manual_seed(0)
        p = torch.nn.Parameter(torch.full((50,), 5.0))
        optimizer = make([p], lr=0.5)
        for _ in range(400):
            p.grad = p.detach() + 3 * torch.randn(50)
            optimizer.step()
        with optimizer.scoring():
            errors.append(p.detach().square().mean())
    assert errors[0] < 0.1 * errors[1]
