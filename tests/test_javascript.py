"""The JavaScript back end, run by node, against eager float64: every operation, every formula, a thousand steps."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import downslope
from downslope import schedules
from downslope.backends import eager
from downslope.backends.javascript import HELPERS, covers, function, javascript
from downslope.compiler.functions import maximum, mean, norm, rows, where
from downslope.compiler.graph import Graph, const, node, scalar, tensor
from downslope.compiler.ops import CONDITIONS, OPS
from downslope.compiler.trace import trace
from downslope.compiler.transform import TRANSFORMS, arrange
from downslope.errors import SettingError
from downslope.formulas import FORMULAS

NODE = shutil.which("node")
needs_node = pytest.mark.skipif(NODE is None, reason="no node on the path")
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, 1e-30, -1e30, math.inf, -math.inf, math.nan]
STEPS, SIZE = 1000, 3
VECTORS = [name for name, formula in FORMULAS.items() if covers(trace(formula))]

# Numbers travel as text that says inf and nan, and doubles exactly.
READ = """
const fs = require("fs");
const plain = (key, v) => typeof v === "number" ? (Number.isFinite(v) ? v : String(v)) : v;
const special = (key, v) => v === "Infinity" || v === "-Infinity" || v === "NaN" ? Number(v) : v;
const given = JSON.parse(fs.readFileSync(0, "utf8"), special);
const answer = value => fs.writeFileSync(1, JSON.stringify(value, plain));
"""


def run_node(script: str, given) -> object:
    words = {math.inf: "Infinity", -math.inf: "-Infinity"}

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, list):
            return [plain(each) for each in value]
        return ("NaN" if value != value else words.get(value, value)) if isinstance(value, float) else value

    text = json.dumps(plain(given))
    done = subprocess.run([NODE, "-e", READ + script], input=text, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    back = {"Infinity": math.inf, "-Infinity": -math.inf, "NaN": math.nan}
    numbers = json.loads(done.stdout)

    def special(value):
        if isinstance(value, dict):
            return {key: special(each) for key, each in value.items()}
        if isinstance(value, list):
            return [special(each) for each in value]
        return back.get(value, value) if isinstance(value, str) else value

    return special(numbers)


def graph_of(name: str, op: str, args: list) -> Graph:
    result = node(op, *args)
    if op in CONDITIONS:
        result = node("where", result, const(1.0), const(0.0))
    return Graph(name, {"a": "p", "b": "p"}, {}, False, {"p": result, "a": tensor("a"), "b": tensor("b")})


def operands(op: str) -> list[list]:
    """The operation on tensors, and with a number at each place."""
    g, a, s = tensor("g"), tensor("a"), scalar("s")
    if op in ("and", "or"):
        return [[node("lt", g, const(0.0)), node("lt", a, const(0.0))]]
    if op == "not":
        return [[node("lt", g, const(0.0))]]
    if op == "where":
        return [[node("lt", g, const(0.0)), a, tensor("b")], [node("lt", s, const(1.0)), g, a]]
    return [[g]] if OPS[op].arity == 1 else [[g, a], [g, s], [s, g]]


@needs_node
def test_an_operation_means_the_same_in_node_and_eager() -> None:
    pairs = torch.cartesian_prod(torch.tensor(SPECIAL, dtype=torch.float64), torch.tensor(SPECIAL, dtype=torch.float64))
    tensors = {"g": pairs[:, 0], "a": pairs[:, 1], "p": torch.zeros(len(pairs), dtype=torch.float64)}
    tensors["b"] = torch.full_like(tensors["p"], 7.0)
    graphs = {
        f"{op}_{i}_": graph_of(f"{op}_{i}_", op, args) for op in OPS for i, args in enumerate(operands(op))
    }  # fmt: skip
    source = "\n".join([*HELPERS.values(), *map(function, graphs.values())])
    table = ", ".join(f"{name}" for name in graphs)
    numbers = [0.5, -2.0, 0.0]
    script = f"""{source}
    const out = {{}};
    for (const [name, step] of Object.entries({{{table}}})) out[name] = given.numbers.map(s => {{
      const tensors = Object.fromEntries(Object.entries(given.tensors).map(([k, v]) => [k, Float64Array.from(v)]));
      step(tensors, {{ s }});
      return Array.from(tensors.p);
    }});
    answer(out);"""
    found = run_node(script, {"tensors": {k: v.tolist() for k, v in tensors.items()}, "numbers": numbers})
    for name, graph in graphs.items():
        for s, values in zip(numbers, found[name]):
            expected = torch.as_tensor(eager.run(graph, tensors, {"s": s})["p"], dtype=torch.float64)
            expected = expected.expand(len(pairs)).clone()
            values = torch.tensor(values, dtype=torch.float64)
            if name.startswith("pow"):  # torch takes a square root for the exponent 0.5, which differs at -inf
                expected[pairs[:, 0] == -math.inf] = values[pairs[:, 0] == -math.inf]
            torch.testing.assert_close(values, expected, rtol=4e-15, atol=0, equal_nan=True, msg=named(name))


def named(name: str):
    return lambda message: f"{name}: {message}"


def numbers_of(graph: Graph, **extra: float) -> dict[str, float]:
    """Every number that a graph reads: settings, options, and states that are one number."""
    values: dict[str, float] = {"unscale": 0.5, "clip_coef": 0.3, "clip_value": 0.4, "ema_decay": 0.9}
    for setting, default in graph.settings.items():
        items = enumerate(default) if isinstance(default, tuple) else [(None, default)]
        values |= {setting if i is None else f"{setting}[{i}]": float(value) for i, value in items}
    return values | extra


def begun(graph: Graph, numbers: dict[str, float], p: torch.Tensor) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """The tensors and the one-number states before the first step."""
    tensors, alone = {"p": p.clone()}, {}
    for state, initial in graph.states.items():
        value = initial if initial == "p" or not isinstance(initial, str) else numbers[initial]
        if state in graph.scalar_states:
            alone[state] = float(value)
        else:
            tensors[state] = p.clone() if value == "p" else torch.full_like(p, float(value))
    return tensors, alone


WALK = """
const out = {};
for (const [name, step] of Object.entries(STEPS)) {
  const { tensors, numbers } = given.cases[name];
  for (const key in tensors) tensors[key] = Float64Array.from(tensors[key]);
  const seen = [];
  given.gradients.forEach((g, k) => {
    tensors.g = Float64Array.from(g, (each, i) => each + 0.1 * tensors.p[i]);
    numbers.t = k + 1;
    step(tensors, numbers);
    if ((k + 1) % 100 === 0) seen.push(Array.from(tensors.p));
  });
  out[name] = seen;
}
answer(out);
"""


def walk_both(graphs: dict[str, Graph], steps: int, **extra: float):
    """Parameters after every hundredth step, by node and by eager."""
    random = torch.Generator().manual_seed(3)
    gradients = torch.randn(steps, SIZE, generator=random, dtype=torch.float64)
    p = torch.tensor([1.0, -0.5, 2.0], dtype=torch.float64)
    cases, expected = {}, {}
    for name, graph in graphs.items():
        numbers = numbers_of(graph, **extra)
        tensors, alone = begun(graph, numbers, p)
        cases[name] = {"tensors": {k: v.tolist() for k, v in tensors.items()}, "numbers": numbers | alone}
        seen = []
        for k, g in enumerate(gradients):
            given = (
                tensors
                | {"g": g + 0.1 * tensors["p"]}
                | {key: torch.tensor(v, dtype=torch.float64) for key, v in alone.items()}
            )
            values = eager.run(graph, given, numbers | {"t": float(k + 1)})
            for key, value in values.items():
                if key in alone:
                    alone[key] = float(value)
                else:
                    tensors[key] = torch.as_tensor(value, dtype=torch.float64).expand(SIZE).clone()
            if (k + 1) % 100 == 0:
                seen.append(tensors["p"].tolist())
        expected[name] = seen
    table = ", ".join(f"{name}: {function(graph)}" for name, graph in graphs.items())
    found = run_node(
        "\n".join(HELPERS.values()) + f"\nconst STEPS = {{{table}}};{WALK}",
        {"cases": cases, "gradients": gradients.tolist()},
    )
    return found, expected


@needs_node
def test_a_thousand_steps_of_every_formula_equal_eager_float64() -> None:
    graphs = {name: trace(FORMULAS[name]) for name in VECTORS}
    found, expected = walk_both(graphs, STEPS, lr=0.01)
    assert len(found) >= 31
    for name in graphs:
        got, wanted = (torch.tensor(each[name], dtype=torch.float64) for each in (found, expected))
        assert wanted.isfinite().all() and len(wanted) == STEPS // 100, name
        assert (wanted[0] - wanted[-1]).abs().max() > 1e-8, f"{name} does not move"
        torch.testing.assert_close(got, wanted, rtol=1e-9, atol=0, msg=named(name))


@needs_node
def test_what_stands_around_a_formula_is_in_the_javascript() -> None:
    everything = frozenset(TRANSFORMS) - {"decoupled_decay", "centralize"}  # which is about rows
    ways = {"all": everything, "none": frozenset()} | {name: frozenset({name}) for name in everything}
    ways["decoupled_decay"] = frozenset({"decoupled_decay"})
    graphs = {name: arrange(trace(FORMULAS["adam"]), way) for name, way in ways.items()}
    found, expected = walk_both(graphs, 100, lr=0.01, weight_decay=0.1)
    for name in graphs:
        torch.testing.assert_close(torch.tensor(found[name]), torch.tensor(expected[name]), rtol=1e-9, atol=0)
    assert found["none"] != found["coupled_decay"] != found["all"]


def whole(p, g, seen=0, *, t, lr=0.1):
    seen = seen + norm(g)
    size = norm(g)
    return p - lr * where(t > 2, g / maximum(1, size), g) + 0.001 * mean(p) * rows(p), seen


@needs_node
def test_norms_and_means_of_a_vector() -> None:
    found, expected = walk_both({"whole": trace(whole)}, 200)
    torch.testing.assert_close(torch.tensor(found["whole"]), torch.tensor(expected["whole"]), rtol=1e-9, atol=0)


def test_a_formula_for_matrices_is_refused_with_the_reason() -> None:
    with pytest.raises(SettingError, match="muon: newton_schulz works on matrices"):
        javascript(trace(FORMULAS["muon"]))


def awkward(p, g, function=0, i=0, *, t, lr=0.1, class_=(1.0, 2.0), Math=3.0):
    i = i + g
    new = function + i * class_[1] / Math
    return p - lr * new, new, i


@needs_node
def test_names_that_javascript_keeps_for_itself() -> None:
    found, expected = walk_both({"awkward": trace(awkward)}, 100)
    torch.testing.assert_close(torch.tensor(found["awkward"]), torch.tensor(expected["awkward"]), rtol=1e-9, atol=0)


def test_every_operation_has_its_javascript() -> None:
    from downslope.backends.javascript import TABLE

    assert set(TABLE) == set(OPS)


@needs_node
def test_the_playgrounds_schedules_are_downslopes() -> None:
    n = 40
    names = {
        "constant": schedules.constant(1.0),
        "linear": schedules.linear(1.0, 0.0, steps=n),
        "cosine": schedules.cosine(1.0, steps=n),
        "step": schedules.multistep(1.0, milestones=[n // 2, 3 * n // 4]),
        "exponential": schedules.exponential(1.0, gamma=0.01 ** (1 / n)),
        "warmup": schedules.warmup(schedules.cosine(1.0, steps=n - n // 10), n // 10),
    }
    source = (Path(downslope.__file__).parent / "playground/page/schedules.js").read_text()
    tell = f"""answer(Object.fromEntries(Object.entries(SCHEDULES).map(
        ([name, factor]) => [name, Array.from({{length: {n}}}, (_, k) => factor(k, {n}))])));"""
    found = run_node(source + tell, {})
    assert found.keys() == names.keys()
    for name, schedule in names.items():
        assert found[name] == pytest.approx([schedule(k) for k in range(n)], rel=1e-12, abs=1e-15), name
