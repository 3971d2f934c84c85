"""Reading, tracing, simplifying, planning: what comes out, and one clear error for each mistake."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import downslope
from downslope import FormulaError, abs, exp, maximum, sign, sqrt, where
from downslope.backends import eager
from downslope.compiler.graph import Graph, const, node, scalar, tensor, walk
from downslope.compiler.ops import OPS
from downslope.compiler.plan import cost, plan, program
from downslope.compiler.simplify import simplify
from downslope.compiler.trace import trace
from downslope.formulas import FORMULAS

HALF = 0.5


def helper(x):
    return sqrt(x) + HALF


def with_if(p, g, *, lr=0.1):
    if g > 0:
        g = -g
    return p - lr * g


def with_math(p, g, *, lr=0.1):
    return p - lr * math.sqrt(g)


def with_torch(p, g, *, lr=0.1):
    return p - lr * torch.sqrt(g)


def with_numpy(p, g, *, lr=0.1):
    return p - lr * np.sqrt(g)


def with_method(p, g, *, lr=0.1):
    return p - lr * g.sqrt()


def with_index(p, g, *, lr=0.1):
    return p - lr * g[0]


def with_unknown(p, g, *, lr=0.1):
    return p - lr * sqroot(g)  # noqa: F821


def with_string(p, g, *, lr=0.1):
    return p - lr * g * "2"


def too_few(p, g, m=0, v=0, *, lr=0.1):
    return p - lr * g, m


def one_for_two(p, g, m=0, *, lr=0.1):
    return p - lr * g


def state_without_start(p, g, m, *, lr=0.1):
    return p - lr * m, m


def foreign_start(p, g, m="nowhere", *, lr=0.1):
    return p - lr * m, m


def setting_without_default(p, g, *, lr):
    return p - lr * g


def flag(p, g, *, lr=0.1, nesterov=False):
    return p - lr * g


def alone(p):
    return p


def spread(p, g, *states, lr=0.1):
    return p


def reserved(p, g, *, maximize=1.0):
    return p - maximize * g


def forgets_to_return(p, g, *, lr=0.1):
    p = p - lr * g


def returns_condition(p, g, *, lr=0.1):
    return g > 0


def where_on_number(p, g, *, lr=0.1):
    return where(g, p, g)


WRONG: list[tuple[Callable, list[str]]] = [
    (with_if, ["with_if: line", "`g > 0`", "where(condition, a, b)"]),
    (with_math, ["with_math: line", "downslope.sqrt"]),
    (with_torch, ["`sqrt` of another library", "downslope.sqrt"]),
    (with_numpy, ["`sqrt` of another library", "downslope.sqrt"]),
    (with_method, ["`.sqrt` on `g`", "functions from downslope"]),
    (with_index, ["`g[0]`", "element-wise"]),
    (with_unknown, ["line", "'sqroot' is not defined", "did you mean sqrt"]),
    (with_string, ["line", "str `'2'`"]),
    (too_few, ["too_few: returns 2 values but has p and the states (m, v); return (p, m, v)"]),
    (one_for_two, ["one_for_two: returns 1 value but has p and the state (m); return (p, m)"]),
    (state_without_start, ["`m` has no value to start from", "`m=0`"]),
    (foreign_start, ["`m` starts at 'nowhere'", "neither a setting nor 'p'"]),
    (setting_without_default, ["`lr` has no default"]),
    (flag, ["`nesterov` has the default False", "two formulas"]),
    (alone, ["takes p", "the parameter and its gradient"]),
    (spread, ["*args and **settings"]),
    (reserved, ["`maximize` has a meaning of its own"]),
    (forgets_to_return, ["returns None as the new p"]),
    (returns_condition, ["returns g > 0 as the new p"]),
    (where_on_number, ["where(g, ...)", "comparison"]),
]


@pytest.mark.parametrize(("function", "parts"), WRONG, ids=[f.__name__ for f, _ in WRONG])
def test_a_formula_that_cannot_be_traced_gives_one_clear_error(function: Callable, parts: list[str]) -> None:
    with pytest.raises(FormulaError) as error:
        downslope.optimizer(function)
    message = str(error.value)
    assert message.startswith(function.__name__)
    assert all(part in message for part in parts), message
    assert "\n" not in message


def test_what_is_not_a_function_is_refused() -> None:
    with pytest.raises(FormulaError, match="hypot: "):
        downslope.optimizer(math.hypot)
    with pytest.raises(FormulaError, match="a formula is a function"):
        downslope.optimizer(3)


def test_helpers_constants_and_reuse_of_names_just_work() -> None:
    def mine(p, g, v=0, *, t, lr=0.1, pair=(0.5, 0.25)):
        first, second = pair
        v += first * helper(abs(g)) + second
        g = sign(g) * maximum(v, HALF) / t
        return p - lr * g, v

    graph = trace(mine)
    assert graph.settings == {"lr": 0.1, "pair": (0.5, 0.25)} and graph.states == {"v": 0.0} and graph.counts
    assert graph.names[scalar("pair[0]")] == "first"
    assert graph.names[graph.outputs["v"]] == "v"
    values = {name: torch.randn(9, dtype=torch.float64) for name in ("p", "g", "v")}
    numbers = {"t": 3.0, "lr": 0.1, "pair[0]": 0.5, "pair[1]": 0.25}
    direct = mine(values["p"], values["g"], values["v"].clone(), t=3.0)
    for found, expected in zip(eager.run(graph, values, numbers).values(), direct):
        assert torch.equal(torch.as_tensor(found), expected)


def test_tracing_leaves_a_debugger_alone() -> None:
    import sys

    def watch(frame, event, arg):
        return None

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        trace(FORMULAS["adam"])
        kept = sys.gettrace()
    finally:
        sys.settrace(before)
    assert kept is watch


def test_equal_nodes_are_one_and_zeros_keep_their_sign() -> None:
    assert node("add", tensor("p"), const(1)) is node("add", tensor("p"), const(1.0))
    assert const(0.0) is not const(-0.0)


LEAVES = st.sampled_from([tensor("p"), tensor("g"), scalar("s"), const(0.0), const(1.0), const(-2.0), const(0.5)])
NUMERIC = ["add", "sub", "mul", "div", "neg", "abs", "sqrt", "maximum", "minimum", "sign"]


def _grow(children):
    def build(op, args):
        return node(op, *args[: OPS[op].arity])

    chosen = st.builds(build, st.sampled_from(NUMERIC), st.lists(children, min_size=2, max_size=2))
    powers = st.builds(
        lambda x, n: node("pow", x, const(n)), children, st.sampled_from([1.0, 2.0, 3.0, 4.0, -1.0, -2.0])
    )
    picks = st.builds(lambda a, b, c: node("where", node("lt", a, b), b, c), children, children, children)
    return chosen | powers | picks


@settings(max_examples=300, deadline=None)
@given(st.recursive(LEAVES, _grow, max_leaves=12), st.floats(0.1, 2.0))
def test_simplifying_keeps_every_value(root, s: float) -> None:
    graph = Graph("any", {}, {}, False, {"p": root})
    numbers = torch.tensor([0.0, -0.0, 1.0, -1.5, 0.3, 7.0, math.inf, -math.inf, math.nan], dtype=torch.float64)
    pairs = torch.cartesian_prod(numbers, numbers)
    values = {"p": pairs[:, 0], "g": pairs[:, 1]}
    before, after = (
        torch.as_tensor(eager.run(g, values, {"s": s})["p"], dtype=torch.float64) for g in (graph, simplify(graph))
    )
    # Where a value cancels to nothing or overflows, one rounding more or less decides; elsewhere it is a rounding.
    close = torch.isclose(before, after, rtol=1e-9, atol=1e-9, equal_nan=True)
    assert close.float().mean() > 0.95, (root, simplify(graph).outputs["p"])


def test_what_depends_on_settings_only_leaves_the_pass() -> None:
    cut = program(FORMULAS["adam"])
    assert set(cut.scalars) == {"lr", "betas[0]", "betas[1]", "eps", "t"}
    assert cut.tensors == ("p", "g", "exp_avg", "exp_avg_sq")
    assert cost(cut).operations == {"mul": 7, "add": 3, "sqrt": 1, "div": 1, "sub": 1}
    assert cost(cut).bytes == 28 and cost(cut, 8).bytes == 56


def test_a_state_that_never_sees_a_tensor_is_one_number() -> None:
    assert set(program(FORMULAS["nadam"]).updates) == {"mu_product"}
    assert set(program(FORMULAS["asgd"]).updates) == {"eta", "mu"}
    assert program(FORMULAS["nadam"]).tensors == ("p", "g", "exp_avg", "exp_avg_sq")


def test_a_dead_value_costs_nothing() -> None:
    def wasteful(p, g, m=0, *, lr=0.1):
        unused = exp(g) * m  # noqa: F841
        return p - lr * g, m + g

    assert {n.op for n in walk(plan(trace(wasteful)).body)} == {"tensor", "scalar", "mul", "sub", "add"}


def test_decoupled_decay_needs_a_learning_rate() -> None:
    def without_lr(p, g, *, step_size=0.1):
        return p - step_size * g

    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    with pytest.raises(downslope.SettingError, match="no setting `lr`"):
        downslope.optimizer(without_lr)([parameter], weight_decay=0.1, decoupled_weight_decay=True).step()
