"""Formulas that need whole tensors: cut into passes they mean what they mean in one piece, compiled and eagerly."""

import copy

import pytest
import torch

import downslope
from downslope import columns, mean, newton_schulz, norm, rows, sqrt, where
from downslope.backends import eager
from downslope.compiler.cut import cut, levels
from downslope.compiler.plan import plan
from downslope.compiler.trace import trace
from downslope.compiler.transform import arrange
from downslope.errors import SettingError, StateError
from downslope.optim import CAME, AdamW, Muon
from optim_cases import assert_close, contents, eagerly, give_gradients, parameters, take_steps

SHAPES = ((7, 6), (3, 4, 2, 2), (2, 9), (40, 5))


def lamb(p, g, m=0, v=0, *, t, lr=0.01, betas=(0.9, 0.99), eps=1e-6):
    m = betas[0] * m + (1 - betas[0]) * g
    v = betas[1] * v + (1 - betas[1]) * g**2
    r = m / (1 - betas[0] ** t) / (sqrt(v / (1 - betas[1] ** t)) + eps) + 0.1 * p
    return p - lr * norm(p) / norm(r) * r, m, v


def layer_wise(p, g, m=0, v=0, *, t, lr=0.01, betas=(0.95, 0.98), eps=1e-8):
    """A state that is one number for a tensor, and has seen the tensor."""
    v = where(t == 1, norm(g) ** 2, betas[1] * v + (1 - betas[1]) * norm(g) ** 2)
    m = betas[0] * m + g / (sqrt(v) + eps)
    return p - lr * m, m, v


def centred(p, g, *, lr=0.1):
    return p - lr * (g - mean(g))


def orthogonal(p, g, m=0, *, lr=0.1):
    m = 0.9 * m + g
    return p - lr * sqrt(rows(p) / columns(p)) * newton_schulz(m), m


def old_norm(p, g, m=0, *, lr=0.1):
    """The state is stored only after its old value has been looked at."""
    size = norm(m)
    m = m * 0.5 + g
    return p - lr * m / (size + 1), m


def old_state(p, g, m=0, *, lr=0.1):
    """The old state is read in the pass after that which computes the new one."""
    new = m * 0.5 + g
    return p - lr * m / (norm(new) + 1), new


def old_number(p, g, v=1, *, lr=0.1):
    """As `old_state`, with a state that is one number."""
    new = 0.5 * v + norm(g)
    return p - lr * v * g / (1 + norm(new * p)), new


def three_passes(p, g, m=0, *, lr=0.1):
    m = 0.9 * m + g
    direction = newton_schulz(m)
    return p - lr * direction * norm(p) / norm(direction + p), m


RULES = {f.__name__: f for f in (lamb, layer_wise, centred, orthogonal, old_norm, old_state, old_number, three_passes)}
AROUND = {
    "alone": {},
    "clipped": {"max_norm": 1.0},
    "decayed and averaged": {"weight_decay": 0.1, "ema": 0.9},
    "by value, uphill": {"clip_value": 0.5, "maximize": True},
}
every_rule = pytest.mark.parametrize("rule", RULES.values(), ids=RULES)


def meaning(rule, settings, steps):
    """Parameters and states after some steps of the whole graph in float64, one parameter after the other."""
    names = {"max_norm": "clip_norm", "ema": "average", "weight_decay": "coupled_decay"}
    graph = arrange(trace(rule), frozenset(names.get(name, name) for name in settings))
    params = parameters(*SHAPES, dtype=torch.float64)
    scalars = {
        f"{name}[{i}]" if isinstance(value, tuple) else name: each
        for name, value in graph.settings.items()
        for i, each in enumerate(value if isinstance(value, tuple) else (value,))
    }
    scalars |= {"weight_decay": 0.1, "ema_decay": 0.9, "clip_value": 0.5}
    alone = graph.scalar_states
    states = [
        {
            name: p.detach().clone() if start == "p" else start if name in alone else torch.full_like(p, start)
            for name, start in graph.states.items()
        }
        for p in params
    ]
    for step in range(steps):
        give_gradients(params, step)
        total = torch.sqrt(sum(p.grad.square().sum() for p in params))
        scalars |= {"t": step + 1.0, "clip_coef": min(1.0, float(1.0 / (total + 1e-6)))}
        for p, state in zip(params, states):
            new = eager.run(graph, {"p": p.detach(), "g": p.grad, **state}, scalars)
            p.data.copy_(new.pop("p"))
            state.update(new)
    return [{"p": p.detach(), **{k: torch.as_tensor(v) for k, v in s.items()}} for p, s in zip(params, states)]


@pytest.mark.parametrize("around", AROUND.values(), ids=AROUND)
@pytest.mark.parametrize("how", ["compiled", "eager", "float32"])
@every_rule
def test_passes_mean_what_the_formula_does(rule, how, around) -> None:
    dtype = torch.float32 if how == "float32" else torch.float64
    optimizer = downslope.optimizer(rule)(parameters(*SHAPES, dtype=dtype), **around)
    if how == "eager":
        with eagerly():
            take_steps(optimizer, 0, 5)
    else:
        take_steps(optimizer, 0, 5)
    rtol = 2e-3 if how == "float32" else 1e-6  # numbers that are states are kept in float32
    for ours, theirs in zip(contents(optimizer), meaning(rule, around, 5), strict=True):
        assert ours.keys() - {"step"} == theirs.keys()
        for name in theirs:
            torch.testing.assert_close(ours[name].double(), theirs[name].double(), rtol=rtol, atol=rtol * 1e-1)


@every_rule
def test_every_pass_reads_only_what_is_there(rule) -> None:
    """Sources and results of calls stand between the passes that make and read them; each output is stored once."""
    first = plan(trace(rule))
    there = {"p", "g", *first.states}
    stored = []
    for each in first.passes:
        assert set(each.reads) <= there
        stored += [*each.writes, *each.updates]
        there |= set(each.writes)
        for call in each.calls:
            assert call.source in there
            there.add(call.result)
    states = [name for name in stored if not name.startswith("scratch")]
    assert sorted(states) == sorted(["p", *first.states, *first.numbers])
    assert first.whole


def test_a_factor_leaves_the_norm_so_that_nothing_is_stored_for_it() -> None:
    first = plan(arrange(trace(layer_wise), frozenset({"clip_norm"})))
    assert not first.scratch and [call.source for call in first.calls] == ["g"]


def test_levels_count_the_passes_before() -> None:
    graph = trace(three_passes)
    assert max(levels(graph.outputs.values()).values()) == 2
    assert len(cut(graph.outputs, ())) == 3


def test_bfloat16_and_float32_of_one_optimizer() -> None:
    params = [torch.nn.Parameter(torch.randn(6, 4).bfloat16()), torch.nn.Parameter(torch.randn(6, 4))]
    optimizer = downslope.optimizer(lamb)(params)
    before = [p.detach().clone() for p in params]
    take_steps(optimizer, 0, 3)
    assert all(not torch.equal(a, b) and b.isfinite().all() for a, b in zip(before, params))


# Muon


def test_the_step_is_torchs_up_to_its_bfloat16() -> None:
    for settings in ({}, {"nesterov": False}, {"adjust_lr_fn": "match_rms_adamw"}, {"ns_steps": 3, "momentum": 0.8}):
        ours, theirs = parameters((7, 6), (6, 9), (12, 5)), parameters((7, 6), (6, 9), (12, 5))
        one, other = Muon(ours, lr=0.1, **settings), torch.optim.Muon(theirs, lr=0.1, **settings)
        take_steps(one, 0, 20)
        take_steps(other, 0, 20)
        assert_close(one, other, rtol=0.05, atol=0.05)


def test_a_checkpoint_passes_both_ways() -> None:
    ours, theirs = parameters((7, 6)), parameters((7, 6))
    one, other = Muon(ours), torch.optim.Muon(theirs)
    take_steps(other, 0, 3)
    one.load_state_dict(copy.deepcopy(other.state_dict()))
    assert torch.equal(one.state[ours[0]]["momentum_buffer"], other.state[theirs[0]]["momentum_buffer"])
    other.load_state_dict(one.state_dict())


def test_singular_values_come_near_one() -> None:
    x = torch.randn(30, 12, dtype=torch.float64)
    values = torch.linalg.svdvals(newton_schulz(x))
    assert values.min() > 0.6 and values.max() < 1.3
    assert torch.allclose(newton_schulz(x.T), newton_schulz(x).T)


def test_a_vector_is_no_matrix_and_is_named() -> None:
    model = torch.nn.Linear(3, 2)
    with pytest.raises(SettingError, match=r"Muon: needs matrices, and 'bias' has 1 dimension; .*AdamW"):
        Muon(model.named_parameters())
    optimizer = Muon([model.weight])
    with pytest.raises(SettingError, match="needs matrices, and parameter 1 of shape"):
        optimizer.add_param_group({"params": [model.bias]})
    assert len(optimizer.param_groups) == 1


def test_what_cannot_go_through_several_passes_says_so() -> None:
    with pytest.raises(SettingError, match=r"differentiable.*whole tensors"):
        downslope.optimizer(lamb)(parameters((3, 2)), differentiable=True)
    params = [torch.nn.Parameter(torch.randn(3, 2, dtype=torch.complex64))]
    optimizer = downslope.optimizer(lamb)(params)
    params[0].grad = torch.ones_like(params[0])
    with pytest.raises(StateError, match="complex"):
        optimizer.step()


def test_with_adamw_for_the_rest_a_network_learns() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    x = torch.randn(256, 2)
    y = (x[:, :1] * x[:, 1:]).sign()
    matrices = [p for p in model.parameters() if p.ndim == 2]
    optimizers = [
        Muon(matrices, lr=0.05, weight_decay=0.0),
        AdamW([p for p in model.parameters() if p.ndim < 2], lr=0.01),
    ]
    losses = []
    for _ in range(100):
        loss = torch.nn.functional.soft_margin_loss(model(x), y)
        model.zero_grad()
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_came_moves_nothing_where_a_row_has_no_gradient() -> None:
    """In float32 the product of its factors would be 0 there, and the step nan."""
    p = torch.nn.Parameter(torch.ones(4, 3))
    optimizer = CAME([p], lr=0.01)
    for _ in range(2):
        p.grad = torch.ones(4, 3)
        p.grad[1], p.grad[:, 2] = 0.0, 0.0
        optimizer.step()
    assert torch.isfinite(p).all() and bool((p[1] == 1).all()) and bool((p[0, :2] < 1).all())
