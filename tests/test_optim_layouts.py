"""However a parameter and its gradient lie in memory, the numbers are those of the plain layout."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from downslope.optim import SGD, Adam
from optim_cases import VARIANTS, Variant, eagerly, every_variant, give_gradients, parameters, take_steps

Tensor = torch.Tensor
SHAPE = (3, 5, 4, 4)
# A state that starts at p sees what the step of another parameter on the same memory has made of it, or not.
FROM_NUMBERS = {name: (cls, s) for name, (cls, s) in VARIANTS.items() if "p" not in cls.formula.states.values()}


def plain(p: Tensor) -> Tensor:
    return p.clone()


def channels_last(p: Tensor) -> Tensor:
    return p.clone().contiguous(memory_format=torch.channels_last)


def transposed(p: Tensor) -> Tensor:
    return p.transpose(0, 3).contiguous().transpose(0, 3)


def strided(p: Tensor) -> Tensor:
    """Every second element of a larger tensor."""
    return torch.full((*p.shape[:-1], 2 * p.shape[-1]), torch.nan)[..., ::2].copy_(p)


def offset(p: Tensor) -> Tensor:
    """In the middle of other memory, so at an odd address."""
    return torch.empty(p.numel() + 5)[3:-2].view(p.shape).copy_(p)


def expanded(p: Tensor) -> Tensor:
    return p[:1, :1].expand_as(p)


def negated_view(p: Tensor) -> Tensor:
    """A tensor whose minus sign is still to come."""
    return torch.view_as_complex(torch.stack([p, -p], -1)).conj().imag


PARAMETERS = (plain, channels_last, transposed, strided, offset)
GRADIENTS = (*PARAMETERS, expanded, negated_view)
layouts = [(p, g) for p in PARAMETERS for g in GRADIENTS]


@every_variant
@pytest.mark.parametrize("lie", layouts, ids=lambda pair: "-".join(f.__name__ for f in pair))
def test_layouts(variant: Variant, lie: tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]) -> None:
    cls, settings = variant
    (p,) = parameters(SHAPE)
    q = torch.nn.Parameter(lie[0](p.detach()))
    assert torch.equal(p, q)
    straight, other = cls([p], **settings), cls([q], **settings)
    strides, surroundings = q.stride(), q.untyped_storage().nbytes()
    for step in range(2):
        give_gradients([p], step)
        q.grad = lie[1](p.grad)
        p.grad = q.grad.contiguous().resolve_neg()
        straight.step()
        other.step()
    torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-6)
    assert (q.stride(), q.untyped_storage().nbytes()) == (strides, surroundings)
    for name, value in straight.state[p].items():
        torch.testing.assert_close(other.state[q][name], value, rtol=1e-4, atol=1e-6, msg=name)
        assert value.dim() == 0 or other.state[q][name].shape == q.shape


def test_a_minus_sign_still_to_come() -> None:
    """Of one element such a view is contiguous, and its memory holds the wrong sign."""

    def view() -> Tensor:
        t = negated_view(torch.full((1,), 2.0))
        assert t.is_neg() and t.is_contiguous() and t.item() == 2
        return t

    for p, g in ((torch.full((1,), 2.0), view()), (view(), torch.full((1,), 2.0))):
        p = torch.nn.Parameter(p)
        p.grad = g
        optimizer = Adam([p], lr=0.5, max_norm=100.0)
        optimizer.step()
        torch.testing.assert_close((p.item(), optimizer.state[p]["exp_avg"].item()), (1.5, 0.2))


def test_what_lies_around_a_slice_is_left_alone() -> None:
    whole = torch.zeros(6, 8)
    column = torch.nn.Parameter(whole[:, 1:3])
    optimizer = Adam([column], lr=0.5, ema=0.9)
    take_steps(optimizer, 0, 2)
    assert (column != 0).any() and torch.equal(whole[:, 1:3], column)
    assert not whole[:, :1].any() and not whole[:, 3:].any()


@every_variant
def test_zero_size(variant: Variant) -> None:
    cls, settings = variant
    empty, full = parameters((0, 3), (5,))
    optimizer = cls([empty, full], max_norm=1.0, **settings)
    take_steps(optimizer, 0, 3)
    alone = cls(parameters((0, 3), (5,))[1:], max_norm=1.0, **settings)
    take_steps(alone, 0, 3)
    assert torch.equal(full, alone.param_groups[0]["params"][0])
    take_steps(cls(parameters((0,)), **settings), 0, 2)


@pytest.mark.parametrize("variant", FROM_NUMBERS.values(), ids=FROM_NUMBERS)
def test_shared_storage(variant: Variant) -> None:
    """Two parameters on the same memory, as torch does it: one after the other, each from what it finds."""
    cls, settings = variant
    compiled, looped = torch.arange(1.0, 13.0), torch.arange(1.0, 13.0)
    ours = cls([torch.nn.Parameter(compiled[:8]), torch.nn.Parameter(compiled[4:])], **settings)
    theirs = [cls([torch.nn.Parameter(part)], **settings) for part in (looped[:8], looped[4:])]
    for step in range(3):
        give_gradients(ours.param_groups[0]["params"], step)
        ours.step()
        assert ours._batch._slow == [0, 1], "side by side they would race"
        for optimizer, p in zip(theirs, ours.param_groups[0]["params"]):
            optimizer.param_groups[0]["params"][0].grad = p.grad.clone()
            with eagerly():
                optimizer.step()
    torch.testing.assert_close(compiled, looped, rtol=1e-5, atol=1e-6)


def test_a_tied_parameter_is_updated_once() -> None:
    encoder, decoder = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3, bias=False)
    decoder.weight = encoder.weight
    model = torch.nn.Sequential(encoder, decoder)
    before = encoder.weight.detach().clone()
    optimizer = SGD(model.parameters(), lr=0.5)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert torch.equal(encoder.weight, before - 0.5 * encoder.weight.grad)


def smaller_view(p: Tensor) -> None:
    p.data = p.data[:2]


def other_shape(p: Tensor) -> None:
    p.data = torch.ones(9)


@pytest.mark.parametrize("swap", [smaller_view, other_shape], ids=lambda f: f.__name__)
def test_data_of_another_shape(swap: Callable[[Tensor], None]) -> None:
    """Never reads or writes beyond: an error names the parameter, and without states it just goes on."""
    (p,), (q,) = parameters((4000,)), parameters((4000,))
    adam, sgd = Adam([("w", p)]), SGD([("w", q)], lr=0.5)
    take_steps(adam, 0, 2)
    take_steps(sgd, 0, 2)
    for parameter in (p, q):
        parameter.grad = None
        swap(parameter)
    expected = q.detach().clone()
    take_steps(sgd, 2, 3)
    assert torch.equal(q, expected - 0.5 * q.grad)
    with pytest.raises(Exception, match=r"Adam: 'w': the state exp_avg has shape \(4000,\), its parameter \(\d,\)"):
        take_steps(adam, 2, 3)
    adam.state.pop(p)
    take_steps(adam, 2, 3)
    assert adam.state[p]["step"] == 1
