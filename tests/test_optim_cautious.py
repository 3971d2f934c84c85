"""`cautious=True` around any formula: against the authors' C-AdamW and C-Lion, and against what it says."""

from __future__ import annotations

import pickle

import pytest
import torch

import downslope
from downslope.compiler.plan import program
from downslope.formulas import FORMULAS
from downslope.optim import SGD, AdamW, Lion, Muon, Optimizer, Route, ScheduleFreeSGD
from optim_cases import VARIANTS, WHOLE_VARIANTS, assert_same_bits, eagerly, give_gradients, parameters, take_steps

STEPS = 30


def mask(update: torch.Tensor, g: torch.Tensor) -> torch.Tensor:
    """As in https://github.com/kyleliang919/C-Optim/blob/main/c_adamw.py."""
    agree = (update * g > 0).to(g.dtype)
    return agree / agree.mean().clamp(min=1e-3)


def c_adamw(p, g, memory, lr, betas, eps, weight_decay):
    step = memory["step"] = memory.get("step", 0) + 1
    m = memory["m"] = memory.get("m", torch.zeros_like(p)) * betas[0] + g * (1 - betas[0])
    v = memory["v"] = memory.get("v", torch.zeros_like(p)) * betas[1] + g * g * (1 - betas[1])
    update = m / (1 - betas[0] ** step) / ((v / (1 - betas[1] ** step)).sqrt() + eps)
    return p - lr * weight_decay * p - lr * update * mask(m, g)


def c_lion(p, g, memory, lr, betas, weight_decay):
    m = memory.get("m", torch.zeros_like(p))
    update = (m * betas[0] + g * (1 - betas[0])).sign()
    memory["m"] = m * betas[1] + g * (1 - betas[1])
    return p * (1 - lr * weight_decay) - lr * update * mask(update, g)


CASES = [
    (AdamW, c_adamw, {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.0}),
    (AdamW, c_adamw, {"lr": 0.1, "betas": (0.95, 0.99), "eps": 1e-8, "weight_decay": 0.3}),
    (Lion, c_lion, {"lr": 0.01, "betas": (0.9, 0.99), "weight_decay": 0.0}),
    (Lion, c_lion, {"lr": 0.02, "betas": (0.95, 0.5), "weight_decay": 0.3}),
]


@pytest.mark.parametrize("eager", [False, True], ids=["compiled", "eager"])
@pytest.mark.parametrize(("cls", "rule", "settings"), CASES, ids=[f"{c[0].__name__}-{i}" for i, c in enumerate(CASES)])
def test_equals_the_authors(cls, rule, settings, eager) -> None:
    params, theirs = (parameters(dtype=torch.float64) for _ in range(2))
    ours, memories = cls(params, cautious=True, **settings), [{} for _ in theirs]
    for step in range(STEPS):
        give_gradients(theirs, step)
        with torch.no_grad():
            for p, memory in zip(theirs, memories):
                p.copy_(rule(p.clone(), p.grad, memory, **settings))
        if eager:
            with eagerly():
                take_steps(ours, step, step + 1)
        else:
            take_steps(ours, step, step + 1)
            assert not ours._batch._slow, "not compiled"
        for p, q in zip(params, theirs):
            torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12, msg=f"after step {step + 1}")


@pytest.mark.parametrize(
    "name", [n for n in {**VARIANTS, **WHOLE_VARIANTS} if "weight_decay" not in FORMULAS[n].__kwdefaults__]
)
def test_masks_the_update_of_every_formula(name: str) -> None:
    """One step from the same state: where plain and gradient disagree nothing moves, elsewhere all by one factor."""
    cls, settings = {**VARIANTS, **WHOLE_VARIANTS}[name]
    plain, wary = (cls(parameters((9, 8), dtype=torch.float64), **settings) for _ in range(2))
    take_steps(plain, 0, 4)
    take_steps(wary, 0, 4)
    wary.cautious = True
    assert_same_bits(plain, wary)
    (p,), (q,) = plain.param_groups[0]["params"], wary.param_groups[0]["params"]
    before = p.detach().clone()
    take_steps(plain, 4, 5)
    take_steps(wary, 4, 5)
    update = before - p.detach()
    share = mask(update, p.grad)
    assert share.max() > 1 or (update * p.grad > 0).all()
    torch.testing.assert_close(before - q.detach(), update * share, rtol=1e-6, atol=1e-12)
    for state, value in plain.state[p].items():
        if (name, state) == ("asgd", "ax"):  # the average of p
            value = q.detach()
        assert torch.equal(value, wary.state[q][state]), state


def test_sees_the_gradient_that_the_formula_sees() -> None:
    """Clipped, negated and with a coupled decay in it."""
    p, q = (parameters((9, 8), dtype=torch.float64)[0] for _ in range(2))
    ours = SGD([p], lr=0.1, momentum=0.9, weight_decay=0.5, maximize=True, clip_value=0.2, cautious=True)
    buffer = None
    for step in range(5):
        give_gradients([p], step)
        g = -p.grad.clamp(-0.2, 0.2) + 0.5 * q.detach()
        buffer = g if buffer is None else 0.9 * buffer + g
        q = q.detach() - 0.1 * buffer * mask(buffer, g)
        ours.step()
        torch.testing.assert_close(p.detach(), q, rtol=1e-10, atol=1e-12)


def test_the_average_follows_what_was_masked() -> None:
    (p,) = params = parameters((9, 8), dtype=torch.float64)
    ours = SGD(params, lr=0.1, momentum=0.9, ema=0.5, cautious=True)
    mean = p.detach().clone()
    for step in range(5):
        take_steps(ours, step, step + 1)
        mean = mean + 0.5 * (p.detach() - mean)
        torch.testing.assert_close(ours.state[p]["ema"], mean, rtol=1e-12, atol=1e-14)


def test_in_a_route_for_a_users_own_formula_and_through_pickle() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 6), torch.nn.Linear(6, 2))
    both = Route(net, {"matrices": Muon(lr=0.02), "rest": AdamW(lr=3e-4)}, cautious=True)
    assert [plan.graph.name for plan in map(both._plan, both.param_groups)] == ["muon", "adamw"]
    assert all("cautious" not in group and both._plan(group).whole for group in both.param_groups)

    ours: Optimizer = downslope.optimizer(FORMULAS["nag"])(parameters(), cautious=True)
    assert "cautious: True" in repr(ours)
    take_steps(ours, 0, 3)
    again = pickle.loads(pickle.dumps(ours))
    take_steps(ours, 3, 5)
    take_steps(again, 3, 5)
    assert again.cautious
    assert_same_bits(ours, again)


def test_costs_one_more_pass_and_no_more_states() -> None:
    plain, wary = program(FORMULAS["adam"]), program(FORMULAS["adam"], frozenset({"cautious"}))
    assert len([*plain.passes]) == 1 and len([*wary.passes]) == 2
    assert plain.states == wary.states


def test_a_schedule_free_rule_is_masked_where_it_trains() -> None:
    params = parameters()
    take_steps(ScheduleFreeSGD(params, lr=0.1, cautious=True), 0, 5)
    assert all(torch.isfinite(p).all() for p in params)
