"""Maxout: against the largest of separate layers, and as a citizen of torch."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from downslope import SettingError
from downslope.layers import Maxout, MaxoutConv2d

LAYERS = {
    "linear": (lambda **s: Maxout(5, 3, **{"pieces": 4, **s}), (7, 5), (7, 3)),
    "linear-deep": (lambda **s: Maxout(5, 3, **{"pieces": 2, **s}), (2, 7, 5), (2, 7, 3)),
    "conv": (lambda **s: MaxoutConv2d(2, 3, 3, **{"pieces": 4, **s}), (5, 2, 6, 7), (5, 3, 4, 5)),
    "conv-one": (lambda **s: MaxoutConv2d(2, 3, (1, 3), **{"pieces": 2, **s}), (2, 6, 7), (3, 6, 5)),
    "conv-stride": (lambda **s: MaxoutConv2d(2, 3, 3, 3, stride=2, padding=1, **s), (5, 2, 6, 7), (5, 3, 3, 4)),
}
every_layer = pytest.mark.parametrize(("make", "shape", "out"), LAYERS.values(), ids=LAYERS)


def made(make, shape, **settings):
    torch.manual_seed(0)
    return make(**settings), torch.randn(shape)


@every_layer
@pytest.mark.parametrize("bias", [True, False])
def test_a_unit_is_the_largest_of_its_pieces(make, shape, out, bias) -> None:
    layer, inputs = made(make, shape, bias=bias)
    alone = copy.deepcopy(layer.affine)
    assert (alone.bias is not None) == bias
    units = out[-1] if isinstance(layer, Maxout) else out[-3]
    answers = []
    for piece in range(layer.pieces):
        rows = slice(piece * units, (piece + 1) * units)
        weight, bias_of = alone.weight[rows], None if alone.bias is None else alone.bias[rows]
        if isinstance(layer, Maxout):
            answers.append(nn.functional.linear(inputs, weight, bias_of))
        else:
            answers.append(nn.functional.conv2d(inputs, weight, bias_of, alone.stride, alone.padding))
    assert layer(inputs).shape == out
    torch.testing.assert_close(layer(inputs), torch.stack(answers).max(0).values)


@every_layer
def test_the_gradient_is_right(make, shape, out) -> None:
    layer, inputs = made(make, shape)
    layer, inputs = layer.double(), inputs.double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (inputs,))


def test_two_pieces_hold_relu_and_the_absolute_value() -> None:
    layer = Maxout(1, 2, pieces=2, bias=False)
    with torch.no_grad():
        layer.affine.weight.copy_(torch.tensor([[1.0], [1.0], [0.0], [-1.0]]))
    x = torch.linspace(-2, 2, 9).unsqueeze(1)
    torch.testing.assert_close(layer(x), torch.cat([x.relu(), x.abs()], 1))


def test_equal_pieces_share_the_gradient() -> None:
    layer = Maxout(1, 1, pieces=2, bias=False)
    nn.init.ones_(layer.affine.weight)
    layer(torch.tensor([[3.0]])).sum().backward()
    assert layer.affine.weight.grad.flatten().tolist() == [1.5, 1.5]


@every_layer
def test_members_run_together_as_they_do_alone(make, shape, out) -> None:
    torch.manual_seed(1)
    members = [make() for _ in range(3)]
    inputs = torch.randn(shape)
    base = copy.deepcopy(members[0])
    params, buffers = stack_module_state(members)

    def loss(p, x):
        return functional_call(base, (p, buffers), (x,)).square().sum()

    together = vmap(grad(loss), (0, None))(params, inputs)
    for i, member in enumerate(members):
        member(inputs).square().sum().backward()
        for name, p in member.named_parameters():
            torch.testing.assert_close(together[name][i], p.grad, rtol=1e-4, atol=1e-5)


@every_layer
def test_a_copy_and_a_state_dict_carry_the_layer_over(make, shape, out) -> None:
    layer, inputs = made(make, shape)
    other = make()
    assert not torch.equal(other(inputs), layer(inputs))
    other.load_state_dict(layer.state_dict())
    assert set(layer.state_dict()) == {"affine.weight", "affine.bias"}
    for same in (other, copy.deepcopy(layer)):
        assert torch.equal(same(inputs), layer(inputs))


@pytest.mark.parametrize("pieces", [0, -1, 1.5, True, "2"])
def test_less_than_a_piece_is_refused(pieces) -> None:
    for name, make in (("Maxout", Maxout), ("MaxoutConv2d", lambda *a, **s: MaxoutConv2d(*a, 3, **s))):
        with pytest.raises(SettingError, match=f"^{name}: pieces is {pieces!r}"):
            make(2, 2, pieces=pieces)


def test_the_repr_tells_the_sizes() -> None:
    assert repr(Maxout(5, 3, pieces=4)).startswith("Maxout(\n  5, 3, pieces=4")
    assert "2, 3, pieces=2" in repr(MaxoutConv2d(2, 3, 3))
