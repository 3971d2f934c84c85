"""Schedules in settings, and torch's schedulers around ours."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from downslope import SettingError, schedules
from downslope.optim import CLASSES, SGD, Adam, Optimizer
from downslope.schedules import cosine, linear, plateau
from optim_cases import assert_close, parameters, parameters_for, take_steps

L = lr_scheduler
SCHEDULERS: dict[str, Callable[[torch.optim.Optimizer], Any]] = {
    "step": lambda o: L.StepLR(o, 3, gamma=0.5),
    "multistep": lambda o: L.MultiStepLR(o, [2, 5], gamma=0.1),
    "exponential": lambda o: L.ExponentialLR(o, 0.8),
    "lambda": lambda o: L.LambdaLR(o, lambda n: 1 / (1 + n)),
    "cosine": lambda o: L.CosineAnnealingLR(o, 8),
    "restarts": lambda o: L.CosineAnnealingWarmRestarts(o, 3),
    "linear": lambda o: L.LinearLR(o, 0.1, total_iters=5),
    "polynomial": lambda o: L.PolynomialLR(o, 6),
    "one-cycle": lambda o: L.OneCycleLR(o, 0.2, total_steps=12),
    "cyclic": lambda o: L.CyclicLR(o, 0.01, 0.2, step_size_up=3),
    "sequential": lambda o: L.SequentialLR(o, [L.ConstantLR(o, 0.1), L.ExponentialLR(o, 0.9)], [3]),
    "chained": lambda o: L.ChainedScheduler([L.ConstantLR(o, 0.1, 4), L.ExponentialLR(o, 0.9)]),
    "plateau": lambda o: L.ReduceLROnPlateau(o, patience=1),
}


@pytest.mark.parametrize("scheduler", SCHEDULERS.values(), ids=SCHEDULERS)
@pytest.mark.parametrize(
    ("name", "settings"), [("SGD", {"momentum": 0.9}), ("Adam", {}), ("RMSprop", {"momentum": 0.5})]
)
def test_torchs_schedulers_drive_ours(name: str, settings: dict[str, Any], scheduler: Any) -> None:
    ours, theirs = (cls(parameters(), lr=0.05, **settings) for cls in (CLASSES[name], getattr(torch.optim, name)))
    drivers = [scheduler(ours), scheduler(theirs)]
    for step in range(10):
        for optimizer, driver in zip((ours, theirs), drivers):
            take_steps(optimizer, step, step + 1)
            driver.step(*([1.0] if isinstance(driver, L.ReduceLROnPlateau) else []))
        assert ours.param_groups[0] | {"params": 0} == theirs.param_groups[0] | {"params": 0}
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_an_optimizer_with_a_scheduler_is_copied_and_pickled() -> None:
    optimizer = Adam(parameters())
    SCHEDULERS["step"](optimizer)
    take_steps(optimizer, 0, 1)
    for other in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        take_steps(other, 1, 2)
        assert other.steps == 2


# ---- schedules in settings


def rates(optimizer: Optimizer, steps: int, key: str = "lr") -> list[Any]:
    """What a setting of each group was in each step."""
    seen = []
    for step in range(steps):
        take_steps(optimizer, step, step + 1)
        seen.append(tuple(group[key] for group in optimizer.param_groups))
    return seen


def test_a_schedule_is_followed_and_equals_the_numbers() -> None:
    fall = cosine(0.1, steps=6, warmup=2)
    follows, by_hand = Adam(parameters(), lr=fall), Adam(parameters(), lr=0.0)
    for step in range(8):
        by_hand.param_groups[0]["lr"] = fall(step)
        take_steps(by_hand, step, step + 1)
        take_steps(follows, step, step + 1)
        assert follows.param_groups[0]["lr"] == fall(step)
    assert_close(follows, by_hand, rtol=0, atol=0)


def test_a_schedule_in_a_tuple() -> None:
    rise = linear(0.5, 0.9, steps=4)
    optimizer = Adam(parameters(), betas=(rise, 0.99))
    assert rates(optimizer, 3, "betas") == [((rise(n), 0.99),) for n in range(3)]


def test_the_momentum_may_be_scheduled_from_zero() -> None:
    """SGD without momentum is another formula, which is changed on the way."""
    rise = linear(0.0, 0.9, steps=3)
    ours, theirs = SGD(parameters(), lr=0.1, momentum=rise), torch.optim.SGD(parameters(), lr=0.1)
    for step in range(5):
        theirs.param_groups[0]["momentum"] = rise(step)
        take_steps(theirs, step, step + 1)
        take_steps(ours, step, step + 1)
    assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CLASSES)
def test_every_setting_of_every_optimizer_may_be_scheduled(name: str) -> None:
    cls = CLASSES[name]
    settings = {
        key: schedules.constant(value)
        if type(value) in (int, float)
        else tuple(None if v is None else schedules.constant(v) for v in value)
        for key, value in cls.setting_defaults.items()
        if type(value) in (int, float, tuple) and key not in cls.fixed
    }
    assert settings
    scheduled, plain = cls(parameters_for(cls), **settings), cls(parameters_for(cls))
    take_steps(scheduled, 0, 4)
    take_steps(plain, 0, 4)
    assert_close(scheduled, plain, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["max_norm", "clip_value", "ema"])
def test_settings_of_the_whole_optimizer_may_be_scheduled(name: str) -> None:
    change = linear(0.2, 0.8, steps=4)
    scheduled, by_hand = Adam(parameters(), **{name: change}), Adam(parameters(), **{name: 0.5})
    for step in range(3):
        setattr(by_hand, name, change(step))
        take_steps(by_hand, step, step + 1)
        take_steps(scheduled, step, step + 1)
    assert_close(scheduled, by_hand, rtol=0, atol=0)
    resumed = Adam(scheduled.param_groups[0]["params"], **{name: change})
    resumed.load_state_dict(scheduled.state_dict())
    assert resumed.steps == 3
    with pytest.raises(SettingError, match=f"Adam: {name} is -"):
        take_steps(Adam(parameters(), **{name: linear(0.5, -0.5, steps=3)}), 0, 9)
    with pytest.raises(
        SettingError, match=rf"Adam: {name} is plateau\(0.5\); only settings of param groups can follow"
    ):
        Adam(parameters(), **{name: plateau(0.5)})


def test_groups_follow_the_default_or_their_own() -> None:
    a, b, c = parameters((3,), (4,), (5,))
    default, own = cosine(0.1, steps=5), linear(1.0, 0.5, steps=5)
    given = [{"params": [a]}, {"params": [b], "lr": own}, {"params": [c], "lr": 0.25}]
    optimizer = Adam(given, lr=default)
    assert rates(optimizer, 3) == [(default(n), own(n), 0.25) for n in range(3)]
    assert given[1]["lr"] is own, "the caller's own dictionary was changed"
    optimizer.add_param_group({"params": parameters((2,))})
    assert rates(optimizer, 1)[0][3] == default(3), "a late group follows the same clock"


def test_a_shared_plateau_falls_for_all_groups() -> None:
    a, b = parameters((3,), (4,))
    patience = plateau(0.1, patience=0)
    optimizer = Adam([{"params": [a]}, {"params": [b]}], lr=patience)
    patience.update(1.0)
    patience.update(2.0)
    assert rates(optimizer, 1) == [(pytest.approx(0.01), pytest.approx(0.01))]
    other = copy.deepcopy(optimizer)
    copied = other.schedules[0]["lr"]
    assert copied is other.schedules[1]["lr"] and copied is not patience, "a copy's plateau is its own, and shared"
    copied.update(3.0)
    assert rates(other, 1) == [(pytest.approx(0.001), pytest.approx(0.001))]
    assert rates(optimizer, 1) == [(pytest.approx(0.01), pytest.approx(0.01))]


def by_a_scheduler_of_torch(optimizer: Optimizer) -> None:
    driver = L.StepLR(optimizer, 1)
    take_steps(optimizer, 0, 1)
    driver.step()


def by_hand(optimizer: Optimizer) -> None:
    take_steps(optimizer, 0, 1)
    optimizer.param_groups[0]["lr"] = 0.5


def before_the_first_step(optimizer: Optimizer) -> None:
    optimizer.param_groups[0]["lr"] = 0.5


@pytest.mark.parametrize("meddle", [by_a_scheduler_of_torch, by_hand, before_the_first_step], ids=lambda f: f.__name__)
@pytest.mark.parametrize("dup", [lambda o: o, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=range(3))
def test_a_setting_has_one_master(meddle: Callable[[Optimizer], None], dup: Any) -> None:
    optimizer = Adam(parameters(), lr=cosine(0.1, steps=5))
    meddle(optimizer)
    optimizer = dup(optimizer)
    before = [p.detach().clone() for p in optimizer.param_groups[0]["params"]]
    with pytest.raises(SettingError, match=r"Adam: lr of param group 0 follows cosine\(0.1, steps=5\), .* set it to 0"):
        take_steps(optimizer, 1, 2)
    assert all(map(torch.equal, before, optimizer.param_groups[0]["params"]))


def test_a_schedule_put_into_a_group_is_followed() -> None:
    optimizer = Adam(parameters(), lr=0.3)
    take_steps(optimizer, 0, 2)
    fall = optimizer.param_groups[0]["lr"] = linear(1.0, 0.0, steps=10)
    assert rates(optimizer, 2) == [(fall(2),), (fall(3),)]
    rise = optimizer.param_groups[0]["lr"] = linear(0.0, 1.0, steps=10)
    assert rates(optimizer, 1) == [(rise(4),)]


def test_groups_may_be_moved_and_taken_out() -> None:
    a, b, c = parameters((3,), (4,), (5,))
    falls = [linear(1.0, 0.0, steps=10), 0.5, linear(0.0, 1.0, steps=10)]
    optimizer = Adam([{"params": [p], "lr": lr} for p, lr in zip((a, b, c), falls)])
    optimizer.param_groups.reverse()
    assert rates(optimizer, 1) == [(falls[2](0), 0.5, falls[0](0))]
    del optimizer.param_groups[0]
    assert rates(optimizer, 1) == [(0.5, falls[0](1))]
    optimizer.param_groups.clear()
    optimizer.add_param_group({"params": [c], "lr": 0.25})
    assert rates(optimizer, 1) == [(0.25,)]


def test_a_schedule_out_of_range_is_an_error_when_it_gets_there() -> None:
    optimizer = Adam(parameters(), lr=linear(0.1, -0.1, steps=4))
    with pytest.raises(SettingError, match=r"Adam: lr is -0\.0\d+; it must be at least 0"):
        take_steps(optimizer, 0, 9)
    assert 0 < optimizer.steps < 9
    with pytest.raises(SettingError, match="Adam: lr is -1"):
        Adam(parameters(), lr=linear(-1.0, 1.0, steps=4))


def test_repr_shows_the_schedule_and_its_value() -> None:
    assert "lr: linear(1.0, 0.0, steps=4), now 1.0" in repr(SGD(parameters(), lr=linear(1.0, 0.0, steps=4)))


def test_a_skipped_step_does_not_count() -> None:
    optimizer = SGD(parameters(), lr=linear(1.0, 0.0, steps=4), skip_nonfinite=True)
    optimizer.param_groups[0]["params"][0].grad = torch.full((7, 6), torch.nan)
    optimizer.step()
    take_steps(optimizer, 0, 1)
    assert optimizer.param_groups[0]["lr"] == 1.0
