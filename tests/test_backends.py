"""Every operation and every formula on the compiled back end against eager float64, the meaning."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from downslope.backends import cpu, eager, llvm, once
from downslope.backends.storage import as_they_are, name_of
from downslope.compiler.graph import Graph, const, node, scalar, tensor
from downslope.compiler.ops import CONDITIONS, OPS
from downslope.compiler.plan import Plan, plan, program
from downslope.compiler.transform import TRANSFORMS
from downslope.formulas import FORMULAS
from downslope.optim.table import Table

DTYPES = [torch.float32, torch.float64]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, -1e30, math.inf, -math.inf, math.nan]
CHUNK = cpu.CHUNK_ELEMENTS[0]
FRACTION = {torch.float32: 4e-6, torch.float64: 4e-15}


def run_compiled(plan: Plan, tensors: dict[str, torch.Tensor], scalars: dict[str, float]) -> dict[str, float]:
    """One step of a plan through its compiled kernel, in place; returns the scalar states' new values."""
    values = once.build(plan)([scalars[name] for name in plan.scalars])
    slots = torch.tensor([*values[: len(plan.slots)], 0.0], dtype=torch.float64)
    state = {name: tensors[name] for name in plan.tensors[2:]}
    kept = as_they_are(plan.tensors, name_of(tensors["p"].dtype))
    table = Table([tensors["p"]], [state], [plan], [kept], np.array([slots.data_ptr()]), np.array([0]))
    table.take([tensors["g"]])
    table.update(0)
    return dict(zip(plan.updates, values[len(plan.slots) :]))


def graph_of(op: str, args: list) -> Graph:
    """A graph that stores the result of one operation in p."""
    result = node(op, *args)
    if op in CONDITIONS:
        result = node("where", result, const(1.0), const(0.0))
    return Graph(op, {"a": "p", "b": "p"}, {}, False, {"p": result, "a": tensor("a"), "b": tensor("b")})


def operands(op: str) -> list[list]:
    """The operation on tensors, and with a scalar at each place."""
    g, a, s = tensor("g"), tensor("a"), scalar("s")
    if op in ("and", "or"):
        return [[node("lt", g, const(0.0)), node("lt", a, const(0.0))]]
    if op == "not":
        return [[node("lt", g, const(0.0))]]
    if op == "where":
        return [[node("lt", g, const(0.0)), a, tensor("b")], [node("lt", s, const(1.0)), g, a]]
    return [[g]] if OPS[op].arity == 1 else [[g, a], [g, s], [s, g]]


def check_operation(run: Callable[[Plan, dict, dict], object], op: str, dtype: torch.dtype) -> None:
    """What a back end makes of an operation at every pair of special values, against eager."""
    pairs = torch.cartesian_prod(torch.tensor(SPECIAL, dtype=dtype), torch.tensor(SPECIAL, dtype=dtype))
    if op == "pow":  # torch takes a square root for the exponent 0.5, which differs from a power at -inf
        pairs = pairs[pairs[:, 0] != -math.inf]
    for args in operands(op):
        for s in (0.5, -2.0, 0.0):
            cut = plan(graph_of(op, args))
            tensors = {"p": torch.zeros(len(pairs), dtype=dtype), "g": pairs[:, 0].clone(), "a": pairs[:, 1].clone()}
            tensors["b"] = torch.full_like(tensors["p"], 7.0)
            expected = torch.as_tensor(eager.run(cut.graph, tensors, {"s": s})["p"], dtype=dtype).expand(len(pairs))
            run(cut, tensors, {"s": s})
            torch.testing.assert_close(tensors["p"], expected, rtol=FRACTION[dtype], atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_an_operation_means_the_same_compiled_and_eager(op: str, dtype: torch.dtype) -> None:
    check_operation(run_compiled, op, dtype)


def numbers_for(name: str, transforms: frozenset[str], t: int) -> dict[str, float]:
    cut = program(FORMULAS[name], transforms)
    values: dict[str, float] = {"t": float(t), "unscale": 0.5, "clip_coef": 0.3, "clip_value": 0.4, "ema_decay": 0.9}
    for setting, default in cut.graph.settings.items():
        items = enumerate(default) if isinstance(default, tuple) else [(None, default)]
        values |= {setting if i is None else f"{setting}[{i}]": float(value) for i, value in items}
    for state, initial in cut.graph.states.items():
        values[state] = values[initial] if isinstance(initial, str) and initial != "p" else initial
    return values | {"weight_decay": 0.1}


# what cuts a plan in two has tests of its own: test_optim_cautious, test_optim_wrappers
ONE_PASS = [t for t in TRANSFORMS if not program(FORMULAS["adam"], frozenset({t})).whole]
ALONE = [frozenset(), *(frozenset({t}) for t in ONE_PASS), frozenset(ONE_PASS) - {"decoupled_decay"}]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", [name for name in FORMULAS if not program(FORMULAS[name]).whole])
def test_a_compiled_step_from_a_random_state_equals_eager_float64(name: str, dtype: torch.dtype) -> None:
    """Jumps (sign, <) may fall on the other side where an entry is within rounding of them: few, and counted."""
    random = torch.Generator().manual_seed(1)
    for transforms in ALONE:
        if "decoupled_decay" in transforms and "weight_decay" in FORMULAS[name].__kwdefaults__:
            continue
        cut = program(FORMULAS[name], transforms)
        for t in (1, 7):
            scalars = numbers_for(name, transforms, t)
            size = 3 * llvm.LANES["float"] + 5
            tensors = {n: torch.randn(size, generator=random, dtype=torch.float64) for n in cut.tensors}
            for n in cut.tensors[2:]:
                tensors[n] = tensors[n].abs() + 0.1  # sums of squares are positive
            tensors = {n: value.to(dtype) for n, value in tensors.items()}
            meaning = eager.run(cut.graph, {n: v.to(torch.float64, copy=True) for n, v in tensors.items()}, scalars)
            updates = run_compiled(cut, tensors, scalars)
            for state, value in updates.items():
                assert value == pytest.approx(float(meaning[state]), rel=1e-12)
            for n in cut.writes:
                expected = torch.as_tensor(meaning[n]).expand(size).to(dtype)
                wrong = ~torch.isclose(
                    tensors[n], expected, rtol=8 * FRACTION[dtype], atol=2 * FRACTION[dtype], equal_nan=True
                )
                assert int(wrong.sum()) <= size // 50, (transforms, t, n, tensors[n][wrong], expected[wrong])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_every_length_is_covered_once_and_nothing_beside_it(dtype: torch.dtype) -> None:
    cut = program(FORMULAS["sgd"])
    for size in [*range(1, 70), CHUNK - 1, CHUNK + 1, 3 * CHUNK + 17]:
        room = torch.arange(size + 2, dtype=dtype)
        tensors = {"p": room[1:-1], "g": torch.ones(size, dtype=dtype)}
        run_compiled(cut, tensors, {"lr": 1.0})
        expected = torch.arange(size + 2, dtype=dtype)
        expected[1:-1] -= 1
        assert torch.equal(room, expected)


def test_the_norm_is_exact_in_double_and_the_same_on_any_number_of_threads() -> None:
    cut, threads = program(FORMULAS["sgd"]), torch.get_num_threads()
    grads = [torch.randn(n, dtype=d) * 1e30 for n in (1, 15, 100_003) for d in (torch.float32, torch.float64)]
    grads += [g.to(d) / 1e28 for g in grads[::2] for d in (torch.bfloat16, torch.float16)]
    kepts, zeros = [as_they_are(cut.tensors, name_of(g.dtype)) for g in grads], np.zeros(len(grads), int)
    table = Table([torch.zeros_like(g) for g in grads], [{} for _ in grads], [cut] * len(grads), kepts, zeros, zeros)
    table.take(grads)
    try:
        found = []
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            found.append(table.launch.sum_of_squares())
    finally:
        torch.set_num_threads(threads)
    expected = math.fsum(float(g.double().square().sum()) for g in grads)
    assert found[0] == pytest.approx(expected, rel=1e-14)
    assert found[0] == found[1] == found[2]
    for bad in (math.nan, math.inf, -math.inf):
        grads[2][7] = bad
        assert not math.isfinite(table.launch.sum_of_squares())


def test_a_state_may_have_any_name_that_python_allows() -> None:
    def greek(p, g, β=0, *, η=0.5):
        β = β + g
        return p - η * β, β

    tensors = {"p": torch.zeros(5), "g": torch.ones(5), "β": torch.ones(5)}
    run_compiled(program(greek), tensors, {"η": 0.5})
    assert torch.equal(tensors["p"], torch.full((5,), -1.0)) and torch.equal(tensors["β"], torch.full((5,), 2.0))


def test_plain_threads_do_what_the_openmp_pool_does(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = program(FORMULAS["sgd"])
    monkeypatch.setattr(cpu, "_team", lambda: cpu._with_threads)
    size = 5 * CHUNK
    tensors = {"p": torch.zeros(size), "g": torch.ones(size)}
    run_compiled(cut, tensors, {"lr": 1.0})
    assert torch.equal(tensors["p"], -torch.ones(size))


@pytest.mark.parametrize("op", [name for name in OPS if name not in ("and", "or", "not", "where")])
def test_what_is_computed_once_a_step_has_ieee_results(op: str) -> None:
    """Python's own floats raise for 1 / 0, 0 ** -1, log(-1) and exp(1000): the meaning is what numpy says."""
    args = [scalar("a"), scalar("b")][: OPS[op].arity]
    cut = plan(Graph(op, {}, {}, False, {"p": node("mul", tensor("g"), _real(op, node(op, *args)))}))
    for a in [*SPECIAL, 1000.0]:
        for b in [0.0, -1.0, 0.5, 2.0, math.nan]:
            numbers = {"a": a, "b": b}
            found = once.build(cut)([numbers[name] for name in cut.scalars])
            meaning = eager.run(cut.graph, {"g": torch.ones(1, dtype=torch.float64)}, numbers)["p"]
            product = math.prod(map(float, found))
            assert product == pytest.approx(float(meaning), rel=1e-14, nan_ok=True), (a, b)


def _real(op: str, value):
    return node("where", value, const(2.0), const(3.0)) if op in CONDITIONS else value
