"""Formulas on rows, columns and square matrices: what they may say, what runs when, and how often."""

from __future__ import annotations

import copy
from unittest import mock

import pytest
import torch

import downslope
from downslope import (
    column_max,
    column_mean,
    inverse_root,
    mean,
    norm,
    overall,
    qr,
    row_max,
    row_mean,
    sqrt,
    sum,
    where,
)
from downslope.backends import eager
from downslope.compiler import ops
from downslope.compiler.plan import plan
from downslope.compiler.shapes import sizes
from downslope.compiler.trace import trace
from downslope.errors import FormulaError, SettingError, StateError
from downslope.optim import SOAP, Adafactor, AdamW, DoG, Muon, Route, Shampoo, sections
from optim_cases import assert_same_bits, eagerly, parameters, take_steps

SHAPES = ((4, 6), (4, 6), (3, 2, 2))


def rows_and_columns(p, g, row=0, column=0, *, lr=0.1):
    """States of two shapes, combined, and means of what was made of them."""
    row = 0.9 * row + row_mean(g**2)
    column = 0.9 * column + column_mean(g**2)
    update = g / sqrt(row * column / mean(row) + 1e-6)
    return p - lr * update / (1 + norm(update)), row, column


def maxima(p, g, row=0, column=1, *, lr=0.1):
    return p - lr * g / (row_max(abs(g)) + column_max(abs(g)) + row + column), row_max(g**2), column_max(g**2)


def from_the_left(p, g, left="identity", old=0, *, t, lr=0.1, every=2):
    """A factor that is used before it changes, and a number that waits for it."""
    step = left @ g
    left = where(t % every == 0, qr(left + g @ g.T), left)
    return p - lr * step / (1 + norm(left @ step) + old), left, norm(step)


def all_together(p, g, total=0, *, t, lr=0.1):
    total = total + overall(norm(g) ** 2)
    return p - lr * (1 + t) * g / sqrt(total + overall(sum(p * g) ** 2)), total


RULES = {f.__name__: f for f in (rows_and_columns, maxima, from_the_left)}


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "eagerly"])
@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_sections_mean_what_the_whole_graph_does(rule, compiled) -> None:
    graph = trace(rule)
    ours, theirs = parameters((4, 6), (5, 3), dtype=torch.float64), parameters((4, 6), (5, 3), dtype=torch.float64)
    optimizer = downslope.optimizer(rule)(ours)
    scalars = {name: value for name, value in graph.settings.items()}
    states = []
    for p in theirs:
        shape = {s: sizes(graph.shape(s), p.shape) for s in graph.states}
        states.append(
            {
                s: torch.eye(*shape[s], dtype=p.dtype) if start == "identity" else torch.full(shape[s], start).double()
                for s, start in graph.states.items()
            }
        )
    for step in range(5):
        if compiled:
            take_steps(optimizer, step, step + 1)
        else:
            with eagerly():
                take_steps(optimizer, step, step + 1)
        for p, q, state in zip(theirs, ours, states):
            new = eager.run(graph, {"p": p.detach(), "g": q.grad, **state}, scalars | {"t": step + 1.0})
            p.data.copy_(new.pop("p"))
            state.update({k: torch.as_tensor(v).double() for k, v in new.items()})
            torch.testing.assert_close(q.detach(), p.detach(), rtol=1e-6, atol=1e-8)
            for name, value in state.items():
                torch.testing.assert_close(
                    optimizer.state[q][name].double().reshape(value.shape), value, rtol=1e-5, atol=1e-7
                )


def test_numbers_over_all_tensors_are_one_sum_whatever_the_groups() -> None:
    params = parameters((4, 6), (5,), dtype=torch.float64)
    rule = downslope.optimizer(all_together)
    optimizer = rule([{"params": params[:1]}, {"params": params[1:], "weight_decay": 0.1}])
    take_steps(optimizer, 0, 1)
    seen = params[0].grad, params[1].grad + 0.1 * parameters((4, 6), (5,), dtype=torch.float64)[1].detach()
    expected = torch.stack([g.norm() ** 2 for g in seen]).sum()
    for p in params:
        assert float(optimizer.state[p]["total"]) == pytest.approx(float(expected), rel=1e-6)


def test_a_costly_operation_runs_when_it_is_due_and_once_for_equal_sizes() -> None:
    calls: list[torch.Size] = []

    def counted(x: torch.Tensor, power: float) -> torch.Tensor:
        calls.append(x.shape)
        return ops.inverse_root(x, power)

    params = parameters(*SHAPES)
    optimizer = Shampoo(params, update_freq=3)
    with mock.patch.dict(sections.STACKED, {"inverse_root": counted}):
        take_steps(optimizer, 0, 1)
        assert sorted(calls) == [(2, 4, 4), (2, 6, 6), (3, 3), (4, 4)]  # two equal layers in one call
        take_steps(optimizer, 1, 3)
        assert len(calls) == 4
        take_steps(optimizer, 3, 4)
        assert len(calls) == 8


def test_newton_schulz_of_equal_layers_is_one_call() -> None:
    calls = []

    def counted(x: torch.Tensor, *numbers: float) -> torch.Tensor:
        calls.append(x.shape)
        return ops.orthogonal(x, *numbers)

    with mock.patch.dict(sections.STACKED, {"newton_schulz": counted}):
        take_steps(Muon(parameters((4, 6), (4, 6), (4, 2, 3), (6, 4))), 0, 1)
    assert calls == [(3, 4, 6), (6, 4)]


def test_stacked_operations_are_those_of_each_alone() -> None:
    x = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    square = x @ x.mT + torch.eye(5)
    numbers = (3.4445, -4.7750, 2.0315, 5, 1e-7)
    for op, given, rest in (
        ("newton_schulz", x, numbers),
        ("inverse_root", square, (4,)),
        ("qr", square, ()),
        ("eigenvectors", square, ()),
    ):
        together = ops.STACKED[op](given, *rest)
        for one, found in zip(given, together):
            torch.testing.assert_close(ops.EVERY[op].tensor(one, *rest), found, rtol=1e-9, atol=1e-9)


def test_operations_keep_their_word() -> None:
    x = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    a = x @ x.T + torch.eye(6)
    root = inverse_root(a, 4)
    torch.testing.assert_close(root @ root @ root @ root @ a, torch.eye(6, dtype=a.dtype), rtol=1e-9, atol=1e-9)
    values = downslope.diagonal(downslope.eigenvectors(a).T @ a @ downslope.eigenvectors(a)).flatten()
    assert (values.diff() <= 1e-9).all()
    order = downslope.permutation(x[:, :1])
    assert ((x.T @ order)[0].diff() <= 0).all() and torch.equal(order.sum(0), torch.ones(6, dtype=x.dtype))
    bound, largest = float(downslope.spectral_bound(x)), float(torch.linalg.matrix_norm(x, 2))
    assert 0.5 * largest < bound <= largest * (1 + 1e-12)
    torch.testing.assert_close(a @ downslope.solve(a, x), x)
    first, again = downslope.noise(x, 3), downslope.noise(x, 3)
    assert torch.equal(first, again) and not torch.equal(first, downslope.noise(x, 4))


def test_checkpoints_have_states_of_their_shapes_and_go_on_bit_by_bit() -> None:
    for cls, settings in ((Adafactor, {}), (SOAP, {"precondition_frequency": 2}), (DoG, {})):
        one, other = (cls(parameters((4, 6), (3, 2, 2)), **settings) for _ in range(2))
        take_steps(one, 0, 3)
        other.load_state_dict(copy.deepcopy(one.state_dict()))
        for p, q in zip(other.param_groups[0]["params"], one.param_groups[0]["params"]):
            p.data.copy_(q.detach())
        take_steps(one, 3, 6)
        take_steps(other, 3, 6)
        assert_same_bits(one, other)
    wrong = copy.deepcopy(one.state_dict())
    adafactor = Adafactor(parameters((4, 6)))
    take_steps(adafactor, 0, 1)
    wrong = copy.deepcopy(adafactor.state_dict())
    wrong["state"][0]["row_var"] = torch.zeros(5, 1)
    with pytest.raises(StateError, match=r"row_var .*\(5, 1\).*\(4, 1\)"):
        adafactor.load_state_dict(wrong)


def test_adafactors_checkpoints_pass_both_ways() -> None:
    ours, theirs = parameters((4, 6), (5,), (2, 4, 3)), parameters((4, 6), (5,), (2, 4, 3))
    one, other = Adafactor(ours), torch.optim.Adafactor(theirs)
    take_steps(other, 0, 3)
    one.load_state_dict(copy.deepcopy(other.state_dict()))
    for p, q in zip(ours, theirs):
        p.data.copy_(q.detach())
    take_steps(one, 3, 5)
    take_steps(other, 3, 5)
    for p, q in zip(ours, theirs):
        torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)
    other.load_state_dict(one.state_dict())
    assert other.state[theirs[0]]["row_var"].shape == (4, 1)


@pytest.mark.parametrize("name", ["Shampoo", "SOAP", "Kron", "Muon"])
def test_a_vector_is_no_matrix_and_is_named(name: str) -> None:
    model = torch.nn.Linear(3, 2)
    made = getattr(downslope.optim, name)
    with pytest.raises(SettingError, match=rf"{name}: needs matrices, and 'bias' has 1 dimension; .*Route"):
        made(model.named_parameters())
    Route(model, {"weight": made(), "rest": AdamW()})


def mixed(p, g, *, lr=0.1):
    return p - lr * mean(g, -1) * (g @ g.T @ g)


def wrong_product(p, g, *, lr=0.1):
    return p - lr * g @ g


def wrong_sum(p, g, left=0, *, lr=0.1):
    left = left + g @ g.T
    return p - lr * (g + left), left


def not_square(p, g, *, lr=0.1):
    return p - lr * qr(g)


def not_a_number(p, g, *, lr=0.1):
    return p - lr * overall(g)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (mixed, "sees the last two dimensions"),
        (wrong_product, r"@ g.*matrix product of \[rows x columns\] and \[rows x columns\]"),
        (wrong_sum, "do not fit together"),
        (not_square, "needs a square matrix"),
        (not_a_number, "one number of each tensor"),
    ],
)
def test_shapes_that_do_not_fit_are_told_with_the_expression(rule, message) -> None:
    with pytest.raises(FormulaError, match=message):
        plan(trace(rule))


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("cls", [Shampoo, SOAP, Adafactor], ids=lambda cls: cls.__name__)
def test_sections_read_states_of_another_precision(cls, dtype) -> None:
    params = parameters((64, 96))
    before = params[0].detach().clone()
    take_steps(cls(params, state_dtype=dtype), 0, 3)
    assert params[0].isfinite().all() and not torch.equal(params[0], before)
