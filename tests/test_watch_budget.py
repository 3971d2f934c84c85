"""What watching may cost: the budget over a made-up clock, steps that rest, and what a short run pays at its end."""

from __future__ import annotations

import gc
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import downslope
from downslope.diagnose import budget as budgets
from downslope.diagnose import watch as watches
from downslope.diagnose.guard import PROBES, Guard
from downslope.diagnose.hooks import FOLLOW, LOOK, REST
from downslope.diagnose.probes.trial import SHORT
from downslope.diagnose.signals import Signals


class Clock:
    """A clock that stands still unless time is spent."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now


COST = {"losses": 250e-6, "norms": 400e-6, "layers": 900e-6, "ring": 1e-3}
"""Seconds of a look on a small network; following a step that none looks at takes 40 us, a rest 3."""


def simulate(
    monkeypatch: pytest.MonkeyPatch, allowed: float, step: float, seconds: float, slower: float = 1.0
) -> tuple[Guard, int]:
    """A loop of so many seconds under a guard; how many steps were followed."""
    clock = Clock()
    monkeypatch.setattr(budgets, "time", clock)
    guard = Guard(allowed, Signals(), lambda: None)
    guard.budget.begin()
    followed, end = 0, clock.now + seconds

    def spend(cost: float) -> None:
        clock.now += slower * cost
        guard.budget.timed += slower * cost
        guard.budget.spent += slower * cost

    while clock.now < end:
        clock.now += step
        if guard.resting:
            guard.resting -= 1
            spend(3e-6)
            if not guard.resting:
                guard.rested()
            continue
        followed += 1
        spend(40e-6)
        for name, on in guard.plan.items():
            if on:
                spend(COST[name])
                guard.budget.pay(name, slower * COST[name])
        guard.next_step(norms=False, ring=False, few=False)
    return guard, followed


@pytest.mark.parametrize("allowed", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("step", [2e-4, 1e-3, 0.01])
def test_ten_seconds_and_more_stay_within_the_budget(
    monkeypatch: pytest.MonkeyPatch, allowed: float, step: float
) -> None:
    guard, followed = simulate(monkeypatch, allowed, step, 12.0)
    least = 3e-6 / step  # a rest is not free
    assert guard.budget.overhead <= (allowed if least < allowed / 2 else allowed + least)
    if least < allowed / 2 and sum(COST.values()) > allowed * step:
        assert guard.budget.overhead > 0.6 * allowed  # and what is allowed is used, with what is kept for the end
        assert all(guard.budget.accounts[name].looks > 3 for name in PROBES) and followed > 20


def test_a_budget_that_holds_is_no_accident_of_the_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert simulate(monkeypatch, 0.02, 1e-3, 12.0, slower=4)[0].budget.overhead <= 0.02


def test_a_short_run_pays_little_and_its_first_steps_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, _ = simulate(monkeypatch, 0.02, 1e-3, 0.65)
    assert guard.budget.overhead < 0.1
    assert all(account.looks >= 5 for account in guard.budget.accounts.values())
    guard, followed = simulate(monkeypatch, 0.02, 1e-3, 0.02)
    assert followed >= 10 and min(guard.budget.accounts[name].looks for name in PROBES) >= 2


def test_a_budget_of_one_looks_at_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, followed = simulate(monkeypatch, 1.0, 1e-3, 0.1)
    assert {account.looks for account in guard.budget.accounts.values()} == {followed}


def test_the_time_of_a_report_is_not_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(budgets, "time", clock)
    budget = budgets.Budget(0.02, PROBES)
    budget.begin()
    clock.now += 2.0
    budget.tick()
    fund = budget.fund
    clock.now += 50.0
    budget.away(50.0)
    budget.tick()
    assert budget.fund == pytest.approx(fund) and budget.steps == pytest.approx(2.0)


# ---- steps that rest


def small() -> tuple[nn.Module, torch.optim.Optimizer, Any]:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))
    return model, torch.optim.SGD(model.parameters(), 0.1), (torch.randn(16, 8), torch.randint(2, (16,)))


def step(model: nn.Module, optimizer: torch.optim.Optimizer, batch: Any) -> float:
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch[0]), batch[1])
    loss.backward()
    optimizer.step()
    return loss.item()


def resting(seen: watches.Watch, steps: int) -> None:
    """Have the next steps rest, as if they were too dear."""
    follower = seen._follower
    follower.guard.budget.rest = lambda: steps  # type: ignore[method-assign]
    follower.guard.looks, follower.guard.plan = False, dict.fromkeys(PROBES, False)
    follower.guard.budget.due = math.inf
    follower._tries = 100
    follower.ring.lose()
    follower.around.wants_next = False


def hooks(model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, int, int, int]:
    return (
        len(model._forward_pre_hooks),
        len(model._forward_hooks),
        len(optimizer._optimizer_step_pre_hooks),
        len(optimizer._optimizer_step_post_hooks),
    )


def test_a_step_is_told_of_at_as_few_places_as_it_needs() -> None:
    model, optimizer, batch = small()
    before = torch.autograd.backward
    with downslope.watch(model, optimizer, budget=0.02) as seen:
        assert hooks(model, optimizer) == (1, 1, 1, 1) and seen._follower.hooks._level == LOOK
        resting(seen, 0)
        step(model, optimizer, batch)
        assert hooks(model, optimizer) == (1, 0, 0, 1) and seen._follower.hooks._level == FOLLOW
        resting(seen, 20)
        seen._follower.hooks._dear = lambda: True  # type: ignore[method-assign]
        step(model, optimizer, batch)
        assert hooks(model, optimizer) == (0, 0, 0, 1) and seen._follower.hooks._level == REST
        assert torch.autograd.backward is before
        for _ in range(19):
            step(model, optimizer, batch)
        assert all(map(math.isnan, seen.signals.loss[2:])) and seen.signals.steps == 21
        resting(seen, 0)
        step(model, optimizer, batch)  # the last of the rest
        assert hooks(model, optimizer) == (1, 0, 0, 1)
        assert torch.autograd.backward is not before
        value = step(model, optimizer, batch)
        assert seen.signals.loss[-1] == pytest.approx(value)
        assert seen._follower.guard.budget.count == seen.signals.steps
    assert hooks(model, optimizer) == (0, 0, 0, 0)


def test_backward_is_followed_beside_others_who_follow_it() -> None:
    model, optimizer, batch = small()
    original, calls = torch.autograd.backward, []

    def around(what: Any) -> Any:
        return lambda *args, **kwargs: calls.append(1) or what(*args, **kwargs)

    try:
        with downslope.watch(model, optimizer, budget=0.02) as seen:
            seen._follower.hooks._dear = lambda: True  # type: ignore[method-assign]
            torch.autograd.backward = around(torch.autograd.backward)
            for rests in (20, 0, 20, 0):
                resting(seen, rests)
                for _ in range(20):
                    step(model, optimizer, batch)
            assert len(calls) == 80 and math.isfinite(seen.signals.loss[-1])
    finally:
        torch.autograd.backward = original
    with downslope.watch(model, optimizer, budget=0.02) as seen:
        step(model, optimizer, batch)
        assert math.isfinite(seen.signals.loss[-1])
    assert torch.autograd.backward is original


def test_a_watch_that_is_closed_in_a_rest_leaves_nothing() -> None:
    model, optimizer, batch = small()
    before = torch.autograd.backward
    seen = downslope.watch(model, optimizer, budget=0.02)
    resting(seen, 50)
    for _ in range(5):
        step(model, optimizer, batch)
    seen.close()
    assert hooks(model, optimizer) == (0, 0, 0, 0) and torch.autograd.backward is before
    assert seen.report().steps == 5


def test_a_step_that_is_followed_tells_a_number_that_is_not_finite_and_where_from() -> None:
    model, optimizer, batch = small()
    with downslope.watch(model, optimizer, budget=0.02) as seen:
        for _ in range(3):
            resting(seen, 0)
            step(model, optimizer, batch)
        resting(seen, 0)
        step(model, optimizer, (batch[0] * math.inf, batch[1]))
        found = seen.signals.not_finite
    assert found is not None and found["step"] == 3 and found["where"] == "loss" and found["inputs"]


@pytest.mark.filterwarnings("ignore:.*CPU autocast")
def test_such_a_number_in_half_precision_is_found_again() -> None:
    model, optimizer, batch = small()
    with torch.no_grad():
        model[0].weight.fill_(1.0)  # type: ignore[index, union-attr]
    with downslope.watch(model, optimizer, budget=0.02) as seen:
        for scale in (1.0, 1.0, 1e5):  # beyond what half precision holds
            resting(seen, 0)
            with torch.autocast("cpu", torch.float16):
                out = model(batch[0].abs() * scale)
            optimizer.zero_grad()
            F.cross_entropy(out.float(), batch[1]).backward()
            optimizer.step()
    found = seen.signals.not_finite
    assert found is not None and found["dtype"] == "float16" and found["layer"] == "0"


def test_steps_that_a_scaler_leaves_out_end_a_rest() -> None:
    model, optimizer, (x, y) = small()
    with downslope.watch(model, optimizer, budget=0.02) as seen:
        for _ in range(3):
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) * 2.0**16).backward()
            for p in model.parameters():
                p.grad /= 2.0**16
            optimizer.step()
        seen._follower.hooks.unseen = (0.0, 1.0, 1.0)  # the dearest hooks stay all the same
        resting(seen, 64)
        step(model, optimizer, (x, y))
        for _ in range(40):  # gradients overflow each time, and the scaler takes no step
            optimizer.zero_grad()
            (F.cross_entropy(model(x), y) * 2.0**130).backward()
        assert seen._follower.guard.resting == 0
        found = seen.signals.not_finite
    assert found is not None


# ---- the end of a run


def test_forks_take_no_more_seconds_than_they_may() -> None:
    model, optimizer, batch = small()
    with downslope.watch(model, optimizer, budget=1.0) as seen:
        for _ in range(5):
            step(model, optimizer, batch)
        seen.report(forks=0.5)
        trial = seen._follower.trial
        assert trial.left <= 0.5 and trial.seconds > 0
        trial.left = 0.0
        assert trial.rates((3.0,)) is None and trial.refused == {f"forked runs were not made: {SHORT}"}
        trial.left = 100.0
        assert trial.rates((10.0,)) is not None and 0 < trial.left < 100.0
        seen.report()
        assert trial.left == math.inf


def test_a_run_gives_a_part_of_its_time_for_forks_that_nobody_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    asked: list[Any] = []
    report = watches.Watch.report
    monkeypatch.setattr(
        watches.Watch, "report", lambda self, forks: asked.append((forks, self.seconds)) or report(self, forks)
    )
    for number, budget in enumerate((0.02, 1.0)):
        downslope.train("digits", out=tmp_path / f"{number}", epochs=1, batch=512, watch=budget)
    (forks, seconds), (all_of_them, _) = asked
    assert forks == pytest.approx(0.25 * seconds) and seconds > 0 and all_of_them is True


def test_the_loop_of_downslope_looks_for_no_scheduler_that_cannot_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    scans: list[Any] = []
    monkeypatch.setattr(watches, "schedulers", lambda optimizer: scans.append(optimizer) or [])
    options: dict[str, Any] = {"epochs": 1, "batch": 512}
    downslope.train("digits", out=tmp_path / "a", **options)
    assert not scans
    downslope.train("digits", out=tmp_path / "b", callbacks=[SimpleNamespace(on_step=lambda loop: None)], **options)
    assert len(scans) == 1


def test_schedulers_are_found_by_one_scan_where_one_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    _, optimizer, _ = small()
    kept = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer)
    vars(kept)  # from now on its attributes are a dictionary
    scan, scans = gc.get_referrers, []
    monkeypatch.setattr(gc, "get_referrers", lambda *of: scans.append(of) or scan(*of))
    found = watches.schedulers(optimizer)
    assert [each["name"] for each in found] == ["ReduceLROnPlateau"] and len(scans) <= 2
    del kept, found
    _, optimizer, _ = small()
    scans.clear()
    assert watches.schedulers(optimizer) == [] and len(scans) == 1
