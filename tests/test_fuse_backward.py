"""Steps taken in the backward pass are those taken after it, bit for bit, with never more than one gradient alive."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from downslope import optim
from downslope.errors import SettingError, StateError
from downslope.optim import fuse_backward
from downslope.schedules import cosine

X = torch.randn(4, 32, 10, generator=torch.Generator().manual_seed(1))
Y = torch.randint(0, 3, (4, 32), generator=torch.Generator().manual_seed(2))
Make = Callable[[torch.nn.Module], optim.Optimizer]


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Linear(10, 24), torch.nn.ReLU(), torch.nn.Linear(24, 24), torch.nn.ReLU(), torch.nn.Linear(24, 3)
    )


def loss(model: torch.nn.Module, i: int) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(model(X[i % 4]), Y[i % 4])


def trained(make: Make, fused: bool, steps: int = 6, accumulate: int = 1) -> tuple[torch.nn.Module, optim.Optimizer]:
    model = network()
    optimizer = make(model)
    within = fuse_backward(optimizer) if fused else None
    for step in range(steps):
        for part in range(accumulate):
            if within and part < accumulate - 1:
                with within.accumulate():
                    loss(model, step + part).backward()
            else:
                loss(model, step + part).backward()
        if fused:
            assert all(p.grad is None for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
    return model, optimizer


MAKES: dict[str, Make] = {
    "sgd": lambda m: optim.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda m: optim.Adam(m.parameters(), clip_value=0.01, ema=0.9, cautious=True),
    "scheduled": lambda m: optim.AdamW(m.parameters(), lr=cosine(0.01, steps=6, warmup=2)),
    "nadam": lambda m: optim.NAdam(m.parameters()),
    "groups": lambda m: optim.Lion([{"params": m[0].parameters()}, {"params": m[2:].parameters(), "lr": 0.01}]),
    "route": lambda m: optim.Route.usual(m, optim.Muon(lr=0.02), optim.AdamW(lr=0.01)),
}


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("name", MAKES)
def test_the_steps_are_the_same(name: str, accumulate: int) -> None:
    after, a = trained(MAKES[name], False, accumulate=accumulate)
    within, b = trained(MAKES[name], True, accumulate=accumulate)
    for p, q in zip(after.parameters(), within.parameters(), strict=True):
        assert torch.equal(p, q)
        s, t = a.state[p], b.state[q]
        assert s.keys() == t.keys() and all(torch.equal(s[k], t[k]) for k in s)
    assert a.steps == b.steps


def test_never_more_than_one_gradient_is_alive() -> None:
    model = network()
    most = []
    fuse_backward(optim.Adam(model.parameters()))
    for p in model.parameters():
        p.register_post_accumulate_grad_hook(lambda _: most.append(sum(p.grad is not None for p in model.parameters())))
    loss(model, 0).backward()
    assert len(most) == 6 and max(most) <= 1


def test_torchs_schedulers_work() -> None:
    def make(model: torch.nn.Module) -> optim.Optimizer:
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        optimizer.register_step_post_hook(lambda *_: scheduler.step())
        return optimizer

    after, _ = trained(make, False)
    within, optimizer = trained(make, True)
    assert optimizer.param_groups[0]["lr"] == 0.0125
    assert all(map(torch.equal, after.parameters(), within.parameters()))


def test_a_checkpoint_in_the_middle_goes_on_alike() -> None:
    model, optimizer = trained(MAKES["adam"], True, 3)
    other = network()
    other.load_state_dict(model.state_dict())
    again = MAKES["adam"](other)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    fuse_backward(again)
    for m, o in ((model, optimizer), (other, again)):
        loss(m, 7).backward()
        o.step()
    assert all(map(torch.equal, model.parameters(), other.parameters()))


def test_tied_and_frozen_parameters() -> None:
    torch.manual_seed(0)
    layer, frozen = torch.nn.Linear(10, 10), torch.nn.Linear(10, 3)
    frozen.weight.requires_grad_(False)
    model = torch.nn.Sequential(layer, torch.nn.Tanh(), layer, frozen)
    reference = copy.deepcopy(model)
    start = frozen.weight.clone()
    optimizer, plain = optim.SGD(model.parameters(), lr=0.1), optim.SGD(reference.parameters(), lr=0.1)
    fuse_backward(optimizer)
    for m, o in ((model, optimizer), (reference, plain)):
        loss(m, 0).backward()
        o.step()
    assert all(map(torch.equal, model.parameters(), reference.parameters()))
    assert torch.equal(frozen.weight, start)


def test_removed_it_leaves_gradients_alone() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    fuse_backward(optimizer).remove()
    before = model[0].weight.detach().clone()
    loss(model, 0).backward()
    assert torch.equal(model[0].weight, before) and model[0].weight.grad is not None
    optimizer.step()
    assert not torch.equal(model[0].weight, before)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_norm": 1.0}, "max_norm=1.0.*global norm is known when the last gradient is there.*clip_value"),
        ({"skip_nonfinite": True}, "skip_nonfinite=True.*finite is known when the last one"),
        ({"differentiable": True}, "differentiable"),
    ],
)
def test_what_needs_all_gradients_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=f"(?s)fuse_backward: .*{words}"):
        fuse_backward(optim.SGD(network().parameters(), lr=0.1, **settings))


def test_clipping_by_norm_switched_on_later_is_refused_too() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    fuse_backward(optimizer)
    optimizer.max_norm = 1.0
    with pytest.raises(SettingError, match="global norm"):
        loss(model, 0).backward()


def test_two_backward_passes_without_a_step_are_refused() -> None:
    model = network()
    fuse_backward(optim.SGD(model.parameters(), lr=0.1))
    loss(model, 0).backward()
    with pytest.raises(
        StateError, match=r"parameter 5 of shape \(3,\) got a second gradient before step\(\).*accumulate"
    ):
        loss(model, 1).backward()


def test_a_gradient_scaler_is_refused() -> None:
    model = network()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    fuse_backward(optimizer)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(loss(model, 0)).backward()
    with pytest.raises((StateError, AssertionError), match=r"GradScaler|No inf checks"):
        scaler.step(optimizer)
