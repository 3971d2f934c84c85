"""What stands around any formula: `lookahead=`, `centralize=`, `nesterov_form=`, `grafted=`, and SAM."""

from __future__ import annotations

import copy
import pickle

import pytest
import pytorch_optimizer
import torch

import downslope
from downslope import optim
from downslope.errors import SettingError, StateError
from downslope.formulas import FORMULAS
from downslope.optim import SAM, SGD, Adam, AdamW, Lion, Muon, Route, Shampoo
from optim_cases import (
    MATRIX_VARIANTS,
    VARIANTS,
    WHOLE_VARIANTS,
    assert_same_bits,
    eagerly,
    give_gradients,
    parameters,
    take_steps,
)

STEPS = 12
MATRICES = ((6, 5), (3, 4, 2, 2))
EVERY = {**VARIANTS, **WHOLE_VARIANTS, **MATRIX_VARIANTS}
AROUND = {
    "lookahead and grafted": {"lookahead": (2, 0.4), "grafted": Adam(betas=(0.8, 0.9))},
    "centralize and nesterov_form": {"centralize": True, "nesterov_form": 0.5},
}


def double(*shapes: tuple[int, ...]) -> list[torch.nn.Parameter]:
    return parameters(*shapes, dtype=torch.float64)


def compare(ours, theirs, rtol: float = 1e-10) -> None:
    for p, q in zip(ours, theirs, strict=True):
        torch.testing.assert_close(p.detach(), q.detach(), rtol=rtol, atol=rtol / 100)


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("name", EVERY)
def test_around_every_formula_compiled_and_eagerly(name: str, around: dict) -> None:
    """The passes mean what the whole graph does through torch, and a step is another than without."""
    cls, settings = EVERY[name]
    one, other, plain = (cls(double(*MATRICES), **settings, **a) for a in (around, around, {}))
    take_steps(one, 0, 3)
    with eagerly():
        take_steps(other, 0, 3)
    take_steps(plain, 0, 3)
    ours, theirs, without = (o.param_groups[0]["params"] for o in (one, other, plain))
    compare(ours, theirs, rtol=1e-5)  # numbers that are states are kept in float32
    assert any(not torch.equal(p, q) for p, q in zip(ours, without))


def test_lookahead_is_the_authors() -> None:
    for cls, theirs in ((AdamW, torch.optim.AdamW), (SGD, torch.optim.SGD)):
        p, q = double(), double()
        ours = cls(p, lr=0.05, lookahead=(3, 0.4))
        other = pytorch_optimizer.Lookahead(theirs(q, lr=0.05), k=3, alpha=0.4)
        for step in range(STEPS):
            take_steps(ours, step, step + 1)
            give_gradients(q, step)
            other.step()
            compare(p, q)
    assert SGD(double(), lookahead=4).lookahead == (4, 0.5)


def test_a_formula_of_descent_in_nesterovs_form_is_nesterovs_method() -> None:
    p, q = double(), double()
    ours, theirs = SGD(p, lr=0.05, nesterov_form=0.9), torch.optim.SGD(q, lr=0.05, momentum=0.9, nesterov=True)
    for step in range(STEPS):
        take_steps(ours, step, step + 1)
        take_steps(theirs, step, step + 1)
        compare(p, q)


def test_rows_are_centred_after_the_decay_and_vectors_left_alone() -> None:
    p, q = double((6, 5), (3, 4, 2, 2), (5,), ()), double((6, 5), (3, 4, 2, 2), (5,), ())
    ours, theirs = SGD(p, lr=0.05, weight_decay=0.3, centralize=True), torch.optim.SGD(q, lr=0.05)
    for step in range(STEPS):
        take_steps(ours, step, step + 1)
        give_gradients(q, step)
        for each in q:
            g = each.grad + 0.3 * each.detach()
            each.grad = g - g.flatten(1).mean(1).reshape(-1, *[1] * (g.ndim - 1)) if g.ndim > 1 else g
        theirs.step()
        compare(p, q)


def test_the_direction_is_one_rules_and_the_length_anothers() -> None:
    p, direction, length = double((6, 5), (5,)), double((6, 5), (5,)), double((6, 5), (5,))
    ours = SGD(p, lr=0.05, momentum=0.9, grafted=Adam(betas=(0.8, 0.9)))
    one, other = SGD(direction, lr=0.05, momentum=0.9), Adam(length, lr=0.05, betas=(0.8, 0.9))
    for step in range(STEPS):
        for each in (*direction, *length):
            each.detach().zero_()  # both rules' steps are independent of the parameter
        before = [each.detach().clone() for each in p]
        for optimizer in (ours, one, other):
            take_steps(optimizer, step, step + 1)
        for new, old, d, n in zip(p, before, direction, length):
            expected = d.detach() * n.detach().norm() / d.detach().norm()
            torch.testing.assert_close(new.detach() - old, expected, rtol=1e-9, atol=1e-12)


def test_a_decay_is_not_stretched_and_the_rate_may_be_its_own() -> None:
    p = double((6, 5))
    ours = AdamW(p, lr=0.1, weight_decay=0.5, grafted=SGD(lr=0.01))
    give_gradients(p, 0)
    before = p[0].detach().clone()
    ours.step()
    step = before * (1 - 0.1 * 0.5) - p[0].detach()
    assert float(step.norm()) == pytest.approx(0.01 * float(p[0].grad.norm()), rel=1e-9)


def test_all_of_them_at_once_in_a_route_through_pickle_and_checkpoints() -> None:
    def make() -> Route:
        torch.manual_seed(0)
        net = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 6), torch.nn.Linear(6, 2))
        around = {"lookahead": 2, "nesterov_form": 0.5, "centralize": True, "cautious": True, "ema": 0.9}
        return Route(net, {"matrices": Muon(lr=0.02), "rest": Lion(lr=3e-4)}, **around)

    ours = make()
    assert all(word in repr(ours) for word in ("lookahead: (2, 0.5)", "centralize: True", "nesterov_form: 0.5"))
    take_steps(ours, 0, 3)
    again = pickle.loads(pickle.dumps(ours))
    resumed = make()
    resumed.load_state_dict(copy.deepcopy(ours.state_dict()))
    for p, q in zip(resumed.param_groups, ours.param_groups):
        for a, b in zip(p["params"], q["params"]):
            a.data.copy_(b.detach())
    for optimizer in (ours, again, resumed):
        take_steps(optimizer, 3, 6)
    assert_same_bits(ours, again)
    assert_same_bits(ours, resumed)


def test_a_users_own_formula_is_wrapped_as_ours_are() -> None:
    @downslope.optimizer
    def own(p, g, v=0, *, lr=0.1):
        v = 0.9 * v + g
        return p - lr * v, v

    p = double((6, 5))
    take_steps(own(p, lookahead=2, centralize=True, grafted=Shampoo(lr=0.2)), 0, 5)
    assert p[0].isfinite().all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lookahead": 0}, r"Adam: lookahead is 0; .*lookahead=\(5, 0.5\)"),
        ({"lookahead": (5, 2.0)}, "lookahead is"),
        ({"nesterov_form": 1.0}, "nesterov_form is 1.0; .*below 1"),
        ({"grafted": 3}, r"grafted is 3; .*grafted=Adam"),
        ({"grafted": FORMULAS["adam"]}, "grafted is"),
        ({"grafted": Adam(betas=(0.5, "x"))}, "numbers"),
    ],
)
def test_what_cannot_stand_around_says_so(given: dict, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        Adam(double(), **given)


# SAM


def network() -> tuple[torch.nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x = torch.randn(32, 4, dtype=torch.float64)
    return net, x, x[:, :1] * x[:, 1:2]


@pytest.mark.parametrize("adaptive", [False, True])
def test_sam_is_the_authors(adaptive: bool) -> None:
    """pytorch_optimizer.SAM, after the authors' algorithm, around the same descent."""

    def run(make) -> list[torch.Tensor]:
        net, x, y = network()
        optimizer = make(net.parameters())

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(net(x), y)
            loss.backward()
            return loss

        losses = []
        for _ in range(STEPS):
            if isinstance(optimizer, SAM):
                losses.append(optimizer.step(closure).item())
            else:
                losses.append(closure().item())
                optimizer.first_step(zero_grad=True)
                closure()
                optimizer.second_step(zero_grad=True)
        assert losses[-1] < losses[0]
        return [*net.parameters()]

    def theirs(params):
        base = torch.optim.SGD
        return pytorch_optimizer.SAM(params, base, rho=0.1, adaptive=adaptive, lr=0.1, momentum=0.9)

    ours = run(lambda params: SAM(SGD(params, lr=0.1, momentum=0.9), rho=0.1, adaptive=adaptive))
    compare(ours, run(theirs), rtol=1e-7)


def test_sam_shows_its_optimizer_to_schedulers_checkpoints_and_pickle() -> None:
    net, x, y = network()
    inner = Route(net, {"matrices": Muon(lr=0.02), "rest": AdamW(lr=0.01)})
    optimizer = SAM(inner, rho=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    scheduler.step()
    assert [group["lr"] for group in inner.param_groups] == [0.01, 0.005]
    assert optimizer.state_dict().keys() == inner.state_dict().keys()
    again = pickle.loads(pickle.dumps(SAM(SGD(net.parameters(), lr=0.1), rho=0.2)))
    assert again.rho == 0.2 and again.param_groups[0]["lr"] == 0.1
    optimizer.load_state_dict(inner.state_dict())


def test_sam_puts_the_parameters_back_if_the_second_pass_fails() -> None:
    net, x, y = network()
    optimizer, calls = SAM(SGD(net.parameters(), lr=0.1)), []
    before = [p.detach().clone() for p in net.parameters()]

    def closure() -> torch.Tensor:
        calls.append(0)
        if len(calls) == 2:
            raise RuntimeError("out of memory")
        loss = torch.nn.functional.mse_loss(net(x), y)
        loss.backward()
        return loss

    with pytest.raises(RuntimeError):
        optimizer.step(closure)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), before))
    with pytest.raises(StateError, match="closure"):
        optimizer.step()
    with pytest.raises(SettingError, match="rho"):
        SAM(SGD(net.parameters()), rho=0)
    with pytest.raises(SettingError, match="goes around an optimizer"):
        SAM(net.parameters())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["LBFGS", "SparseAdam"])
def test_what_stays_torchs_says_where_it_is(name: str) -> None:
    with pytest.raises(AttributeError, match=f"torch.optim.{name}"):
        getattr(optim, name)
    with pytest.raises(SettingError, match=f"torch.optim.{name}"):
        optim.by_name(name)
