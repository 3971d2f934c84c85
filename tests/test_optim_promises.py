"""Every optimizer keeps every promise of a torch.optim.Optimizer."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from downslope.optim import CLASSES
from optim_cases import (
    Variant,
    assert_close,
    assert_same_bits,
    contents,
    eagerly,
    every_variant,
    give_gradients,
    parameters,
    parameters_for,
    take_steps,
)


def made(variant: Variant, *shapes: tuple[int, ...], **more: Any) -> torch.optim.Optimizer:
    cls, settings = variant
    return cls(parameters(*shapes), **settings, **more)


def params_of(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]


@every_variant
def test_gradients_are_never_changed(variant: Variant) -> None:
    optimizer = made(variant, maximize=True, max_norm=0.1, clip_value=0.01, ema=0.9)
    for step in range(3):
        give_gradients(params_of(optimizer), step)
        grads = [p.grad for p in params_of(optimizer)]
        before = [(g.clone(), g._version) for g in grads]
        optimizer.step()
        for p, grad, (value, version) in zip(params_of(optimizer), grads, before):
            assert p.grad is grad and grad._version == version and torch.equal(grad, value)


@every_variant
def test_state_dict_round_trip_is_bitwise(variant: Variant) -> None:
    one, other = made(variant), made(variant)
    take_steps(one, 0, 3)
    with torch.no_grad():
        for p, q in zip(params_of(one), params_of(other)):
            q.copy_(p)
    other.load_state_dict(one.state_dict())
    assert_same_bits(one, other)
    take_steps(one, 3, 6)
    take_steps(other, 3, 6)
    assert_same_bits(one, other)


@every_variant
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deep", "pickle"])
def test_copies_go_on_bitwise(variant: Variant, duplicate: Any) -> None:
    one = made(variant, ema=0.9)
    take_steps(one, 0, 3)
    other = duplicate(one)
    assert type(other) is type(one) and other.ema == 0.9 and other.steps == 3
    take_steps(one, 3, 6)
    assert other.steps == 3, "shares what it should have copied"
    take_steps(other, 3, 6)
    assert_same_bits(one, other)


@every_variant
def test_groups_have_their_own_settings(variant: Variant) -> None:
    cls, settings = variant
    a, b = parameters(), parameters()
    together = cls([{"params": a, "lr": 0.02}, {"params": b, "maximize": True}], lr=0.003, **settings)
    alone = [cls(parameters(), **{**settings, "lr": 0.02}), cls(parameters(), lr=0.003, maximize=True, **settings)]
    for optimizer in (together, *alone):
        take_group_steps(optimizer)
    expected = [state for optimizer in alone for state in contents(optimizer)]
    for found, wanted in zip(contents(together), expected, strict=True):
        for name in wanted:
            assert torch.equal(found[name], wanted[name]), name


def take_group_steps(optimizer: torch.optim.Optimizer) -> None:
    """Each group gets the same gradients."""
    for step in range(4):
        for group in optimizer.param_groups:
            give_gradients(group["params"], step)
        optimizer.step()


@every_variant
def test_a_parameter_without_gradient_is_left_alone_and_may_come_later(variant: Variant) -> None:
    """The late one has a step count of its own: its bias correction begins when it begins."""
    cls, settings = variant
    early, late = parameters((5,), (33,))
    optimizer, before = cls([early, late], **settings), late.detach().clone()
    for step in range(3):
        give_gradients([early], step)
        optimizer.step()
    assert torch.equal(late, before) and not optimizer.state.get(late)
    for step in range(3):
        give_gradients([early], step + 3)
        give_gradients([late], step)
        optimizer.step()

    alone = cls([fresh := parameters((5,), (33,))[1]], **settings)
    for step in range(3):
        give_gradients([fresh], step)
        alone.step()
    assert torch.equal(late, fresh)
    for name, value in alone.state[fresh].items():
        assert torch.equal(optimizer.state[late][name], value), name


@every_variant
def test_add_param_group_after_steps(variant: Variant) -> None:
    cls, settings = variant
    first, second = parameters((5,), (33,))
    optimizer = cls([first], **settings)
    take_steps(optimizer, 0, 3)
    state = {name: value.clone() for name, value in optimizer.state[first].items()}
    optimizer.add_param_group({"params": [second], "lr": 0.02})
    assert all(torch.equal(optimizer.state[first][name], value) for name, value in state.items())
    alone = cls([fresh := parameters((5,), (33,))[1]], **{**settings, "lr": 0.02})
    for step in range(3):
        give_gradients([first], step + 3)
        give_gradients([second], step)
        give_gradients([fresh], step)
        optimizer.step()
        alone.step()
    assert torch.equal(second, fresh)
    uninterrupted = cls([p := parameters((5,), (33,))[0]], **settings)
    take_steps(uninterrupted, 0, 6)
    assert torch.equal(first, p)


@every_variant
def test_settings_may_be_tensors(variant: Variant) -> None:
    plain, tensors = made(variant, lr=0.03), made(variant, lr=torch.tensor(0.03, dtype=torch.float64))
    take_steps(plain, 0, 3)
    take_steps(tensors, 0, 3)
    assert_same_bits(plain, tensors)
    plain.param_groups[0]["lr"] = 0.5
    tensors.param_groups[0]["lr"].fill_(0.5)
    take_steps(plain, 3, 5)
    take_steps(tensors, 3, 5)
    assert_same_bits(plain, tensors)


@every_variant
def test_threads_change_nothing(variant: Variant) -> None:
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            optimizer = made(variant, (70_001,), (41, 3), max_norm=0.1)
            take_steps(optimizer, 0, 3)
            results.append(optimizer)
    finally:
        torch.set_num_threads(before)
    assert_same_bits(results[0], results[1])
    assert_same_bits(results[0], results[2])


@every_variant
def test_a_stale_backward_raises(variant: Variant) -> None:
    """Native code changes the parameters behind autograd's back, so it has to be told."""
    optimizer = made(variant, (5,))
    (p,) = params_of(optimizer)
    for step in range(2):  # in the first step and in the second, which takes the short way
        loss = (p * p).sum()
        give_gradients([p], step)
        optimizer.step()
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


@every_variant
def test_closure(variant: Variant) -> None:
    with_closure, without = made(variant), made(variant)
    params = params_of(with_closure)

    def closure() -> torch.Tensor:
        with_closure.zero_grad()
        loss = sum((p * p).sum() for p in params)
        loss.backward()
        return loss

    for _ in range(3):
        wanted = sum((p * p).sum() for p in params_of(without))
        without.zero_grad()
        wanted.backward()
        without.step()
        with torch.no_grad():  # as Lightning and others call it
            assert torch.equal(with_closure.step(closure), wanted)
    assert_same_bits(with_closure, without)


@every_variant
def test_step_hooks(variant: Variant) -> None:
    optimizer, seen = made(variant), []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: seen.append(("before", contents(o))))
    after = optimizer.register_step_post_hook(lambda o, args, kwargs: seen.append(("after", contents(o))))
    take_steps(optimizer, 0, 1)
    assert [when for when, _ in seen] == ["before", "after"]
    (_, old), (_, new) = seen
    take_steps(plain := made(variant), 0, 1)
    assert_same_bits(optimizer, plain)
    assert torch.equal(old[0]["p"], parameters()[0]) and torch.equal(new[0]["p"], params_of(optimizer)[0])
    before.remove()
    after.remove()
    take_steps(optimizer, 1, 2)
    assert len(seen) == 2


def replaced_states(optimizer: torch.optim.Optimizer) -> None:
    for state in optimizer.state.values():
        for name, value in state.items():
            state[name] = value.clone()


def replaced_numbers(optimizer: torch.optim.Optimizer) -> None:
    """The step count, and what else is one number for a parameter."""
    for state in optimizer.state.values():
        for name in state.keys() & {"step", "mu_product", "eta", "mu"}:
            state[name] = state[name] * 3


def shifted_states(optimizer: torch.optim.Optimizer) -> None:
    for state in optimizer.state.values():
        for name, value in state.items():
            state[name] = value + 0.5


def shifted_in_place(optimizer: torch.optim.Optimizer) -> None:
    """Of one parameter alone: it no longer shares its step count with the others."""
    for value in optimizer.state[params_of(optimizer)[0]].values():
        value += 0.5


def cleared(optimizer: torch.optim.Optimizer) -> None:
    optimizer.state.clear()


def emptied(optimizer: torch.optim.Optimizer) -> None:
    for state in optimizer.state.values():
        state.clear()


def swapped_data(optimizer: torch.optim.Optimizer) -> None:
    for p in params_of(optimizer):
        p.data = p.data * 2


def swapped_places(optimizer: torch.optim.Optimizer) -> None:
    """Two of the same shape."""
    first, second, *rest = optimizer.param_groups[0]["params"]
    optimizer.param_groups[0]["params"] = [second, first, *rest]


@every_variant
@pytest.mark.parametrize(
    "meddle",
    [
        replaced_states,
        replaced_numbers,
        shifted_states,
        shifted_in_place,
        cleared,
        emptied,
        swapped_data,
        swapped_places,
    ],
    ids=lambda f: f.__name__,
)
def test_meddling_is_noticed(variant: Variant, meddle: Any) -> None:
    """What a user changes between two steps counts in the next: as in a run through torch operations, which looks
    everything up anew in each step."""
    shapes = ((5,), (5,), (41, 3))
    compiled, looked_up = made(variant, *shapes), made(variant, *shapes)
    for optimizer in (compiled, looked_up):
        take_steps(optimizer, 0, 2)
        meddle(optimizer)
    looked_up._forget()
    take_steps(compiled, 2, 3)
    with eagerly():
        take_steps(looked_up, 2, 3)
    assert_close(compiled, looked_up, rtol=1e-4, atol=1e-6)
    take_steps(compiled, 3, 4)
    take_steps(looked_up, 3, 4)
    assert_close(compiled, looked_up, rtol=1e-3, atol=1e-5)


@every_variant
def test_bfloat16_and_complex(variant: Variant) -> None:
    """bfloat16 computes in float32 and rounds once; a complex number is a pair of real ones."""
    cls, settings = variant[0], {**variant[1], "lr": 0.5}
    (p,) = parameters((8, 2))
    z = torch.nn.Parameter(torch.view_as_complex(p.detach().clone()))
    real, complex_ = cls([p], **settings), cls([z], **settings)
    low, lows = cls([q := torch.nn.Parameter(p.detach().bfloat16())], **settings), []
    for step in range(3):
        give_gradients([p], step)
        z.grad = torch.view_as_complex(p.grad.clone())
        q.grad = p.grad.bfloat16()
        real.step()
        complex_.step()
        low.step()
        lows.append(q.detach().clone())
    torch.testing.assert_close(torch.view_as_real(z.detach()), p.detach(), rtol=1e-4, atol=1e-6)
    assert q.dtype == torch.bfloat16 and torch.isfinite(q).all() and not torch.equal(lows[0], lows[-1])
    for name, value in low.state[q].items():
        assert value.dtype == (torch.bfloat16 if value.shape == q.shape else torch.float32), name


@every_variant
def test_no_gradient_no_change(variant: Variant) -> None:
    optimizer = made(variant)
    optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(params_of(optimizer), parameters()))
    assert not optimizer.state


@pytest.mark.parametrize("name", CLASSES)
def test_repr_names_the_settings(name: str) -> None:
    text = repr(CLASSES[name](parameters_for(CLASSES[name]), lr=0.125, max_norm=2.0))
    assert text.startswith(name) and "lr: 0.125" in text and "max_norm: 2.0" in text
